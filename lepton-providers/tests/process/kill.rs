//! A supervisor that is killed or stopped at any moment.
//!
//! `LEPTON_KILL_ROUNDS` is the number of rounds, 20 by default, `LEPTON_KILL_SEED` the seed.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lepton_core::ErrorKind;
use lepton_core::deployment::{Deployment as _, RevisionId, UpdateStrategy, WorkloadSpec};
use rustix::process::Signal;

use crate::place::{LONG, OWNER, Place, send, serve};

/// The largest number of replicas that a round wants, with the surge.
const MOST: usize = 3 + 1;

/// A small generator of numbers, so that a round can be repeated.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

pub(crate) async fn a_killed_supervisor_does_nothing_twice_and_leaves_nothing() {
    let rounds = number("LEPTON_KILL_ROUNDS").unwrap_or(20);
    let seed = number("LEPTON_KILL_SEED").unwrap_or_else(|| u64::from(std::process::id()) * 7919 + 1);
    println!("seed {seed}");
    let place = Arc::new(Place::with(|builder| builder.silence(Duration::from_secs(1))).await);
    let mut numbers = Numbers(seed);
    for round in 0..rounds {
        one(&place, round, &mut numbers).await;
    }
}

/// A driver that is killed at any moment, at best between the effect and the reply: what it has
/// applied is found by its owner, and applying it again with the same key does nothing twice.
pub(crate) async fn a_killed_driver_is_followed_by_one_that_does_nothing_twice() {
    let rounds = number("LEPTON_KILL_ROUNDS").unwrap_or(20);
    let place = Place::new().await;
    let own = std::env::current_exe().unwrap();
    let mut spec = serve();
    spec.replicas = 2;
    for round in 0..rounds {
        let mut driver = Command::new(&own).arg("driver").arg(place.folder()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(round * 3 % 40));
        // It may have ended by itself.
        let _ = driver.kill();
        driver.wait().unwrap();
        let found = place.deployment.find(OWNER).await.unwrap();
        assert_eq!(found.is_empty(), place.deployment.observe("shop").await.unwrap().is_none());
        let revision = place.apply(&spec, "1").await.unwrap();
        assert_eq!(revision, RevisionId::new("1"));
        assert_eq!(place.deployment.find(OWNER).await.unwrap(), ["shop"]);
        assert_eq!(place.deployment.revisions("shop").await.unwrap().len(), 1);
        if round % 4 == 0 {
            place.ready(&revision).await;
            assert_eq!(place.processes().len(), 2);
        }
        place.deployment.delete("shop").await.unwrap();
        place.gone().await;
    }
}

/// One round: a workload is made, changed and deleted while supervisors are killed.
async fn one(place: &Arc<Place>, round: u64, numbers: &mut Numbers) {
    let done = Arc::new(AtomicBool::new(false));
    let killer = {
        let (place, done, mut numbers) = (Arc::clone(place), Arc::clone(&done), Numbers(numbers.0 | 1));
        // Pauses of very different lengths, so that each step is met.
        let mut pause = move || 1u64 << numbers.below(10);
        std::thread::spawn(move || {
            let mut most = 0;
            while !done.load(Ordering::Relaxed) {
                let end = Instant::now() + Duration::from_millis(pause());
                while Instant::now() < end {
                    most = most.max(running(&place));
                    std::thread::sleep(Duration::from_millis(5));
                }
                match place.supervisor() {
                    // It stays alive, with what it has locked, until a driver replaces it.
                    Some(pid) if pause() == 1 => send(pid, Signal::STOP),
                    _ => place.kill_supervisor(),
                }
            }
            most
        })
    };
    let mut spec = serve();
    spec.replicas = 2;
    spec.strategy = UpdateStrategy::RollingUpdate { max_surge: 1, max_unavailable: 1 };
    for step in 0..4 {
        change(place, &mut spec, &format!("{round}-{step}"), numbers).await;
        // Goes on with the work, as each look starts a supervisor if there is none.
        for _ in 0..numbers.below(20) {
            let _ = place.deployment.observe("shop").await.unwrap();
            tokio::time::sleep(Duration::from_millis(numbers.below(30))).await;
        }
    }
    if numbers.below(2) == 0 {
        done.store(true, Ordering::Relaxed);
        let revision = place.apply(&spec, &format!("{round}-last")).await.unwrap();
        place.deployment.scale("shop", 2).await.unwrap();
        let seen = place.ready(&revision).await;
        let endpoints: BTreeSet<_> = seen.endpoints.iter().map(|endpoint| endpoint.replica.clone()).collect();
        assert_eq!((place.replicas(), endpoints.len()), (endpoints, 2), "round {round}");
    }
    place.deployment.delete("shop").await.unwrap();
    tokio::time::sleep(Duration::from_millis(numbers.below(100))).await;
    done.store(true, Ordering::Relaxed);
    let most = killer.join().unwrap();
    place.gone().await;
    assert!(most <= MOST, "{most} replicas ran at once in round {round}");
    println!("round {round}: at most {most} replicas ran at once");
}

async fn change(place: &Place, spec: &mut WorkloadSpec, key: &str, numbers: &mut Numbers) {
    match numbers.below(3) {
        0 if place.deployment.observe("shop").await.unwrap().is_some() => {
            let replicas = u32::try_from(numbers.below(4)).unwrap();
            return place.deployment.scale("shop", replicas).await.unwrap();
        }
        1 => drop(spec.env.insert("CHANGE".into(), key.into())),
        _ => {}
    }
    let start = Instant::now();
    loop {
        match place.apply(spec, key).await {
            // The workload of the round before is being deleted.
            Err(error) if error.kind() == ErrorKind::Conflict && start.elapsed() < LONG => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            applied => {
                let again = place.apply(spec, key).await.unwrap();
                assert_eq!(applied.unwrap(), again, "the same key has made two revisions");
                return;
            }
        }
    }
}

/// How many replicas have a process and are not ending. The processes are looked for first: one
/// that is not ending afterwards was not ending then.
fn running(place: &Place) -> usize {
    let processes: Vec<_> = place.processes().into_iter().filter(|found| !found.launches).collect();
    let living: BTreeSet<_> = processes.iter().map(|found| found.replica.clone()).collect();
    assert_eq!(processes.len(), living.len(), "a replica runs twice: {processes:?}");
    let status = place.json("workloads/shop/status.json").unwrap_or_default();
    let ending = |id: &str| {
        let record = place.json(&format!("workloads/shop/replicas/{id}/record.json"));
        record.is_none_or(|record| record["stop"]["remove"] == true)
            || status["replicas"]
                .as_array()
                .is_some_and(|all| all.iter().any(|it| it["id"] == id && it["terminating"] == true))
    };
    living.iter().filter(|id| !ending(id)).count()
}
