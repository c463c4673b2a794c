//! SIGKILLs at random moments of a loop of fences, while users read and write.
//!
//! `LEPTON_KILL_ROUNDS` is the number of kills, 10 by default, `LEPTON_KILL_SEED` the seed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lepton::core::data_set::Side;
use lepton::core::traffic::{Hold, HoldRequest, InFlightPolicy, Route, Traffic as _};
use lepton::providers::router::RouterTraffic;
use lepton::{ErrorKind, Result};

use crate::program::{Address, Program, answer, cleared};
use crate::replica::settle;

/// Added to the epoch of a fence while no side may get a write.
const HELD: u64 = 1 << 32;

/// A small generator of numbers, so that a run can be repeated.
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

#[tokio::test]
async fn one_side_owns_the_writes_however_often_the_router_is_killed() {
    let kills = number("LEPTON_KILL_ROUNDS").unwrap_or(10);
    let seed = number("LEPTON_KILL_SEED").unwrap_or_else(|| u64::from(std::process::id()) * 7919 + 1);
    println!("seed {seed}");
    let mut numbers = Numbers(seed);
    let mut program = Program::start();
    let done = Arc::new(AtomicBool::new(false));
    let users: Vec<_> = (0..4).map(|user| start_user(user, program.address.clone(), Arc::clone(&done))).collect();
    let mut driver = Driver {
        traffic: program.traffic.clone(),
        sides: [program.a.address.clone(), program.b.address.clone()],
        epoch: Arc::clone(&program.epoch),
        owners: BTreeMap::from([(0, Side::A)]),
        last: (0, 0),
        numbers: Numbers(seed.rotate_left(17) | 1),
    };
    let stop = Arc::clone(&done);
    let killer = std::thread::spawn(move || {
        for _ in 0..kills {
            std::thread::sleep(Duration::from_micros(20_000 + numbers.below(150_000)));
            program.kill_and_start();
        }
        std::thread::sleep(Duration::from_millis(100));
        stop.store(true, Ordering::SeqCst);
        program
    });
    while !done.load(Ordering::SeqCst) {
        driver.fence().await;
    }
    let program = killer.join().unwrap();
    let acknowledged: BTreeMap<_, _> = users.into_iter().flat_map(|user| user.join().unwrap()).collect();
    let route = driver.route().await;
    assert!(route.hold.is_none() && route.weights.of(route.owner) == 100, "{route:?}");
    assert_eq!(Some((&route.epoch, &route.owner)), driver.owners.last_key_value());
    check(&program, &driver, &acknowledged);
}

/// Each write was at the owner of its epoch, at most once, and exactly once where its user got an
/// answer.
fn check(program: &Program, driver: &Driver, acknowledged: &BTreeMap<String, Side>) {
    let mut found = BTreeMap::new();
    for (side, replica) in [(Side::A, &program.a), (Side::B, &program.b)] {
        settle(&replica.address);
        for seen in replica.seen().into_iter().filter(|seen| seen.writes) {
            assert_eq!(driver.owners.get(&seen.epoch), Some(&side), "{seen:?} was at side {side}");
            let before = found.insert(seen.path.clone(), side);
            assert_eq!(before, None, "{} was sent twice", seen.path);
        }
    }
    for (path, side) in acknowledged {
        assert_eq!(found.get(path), Some(side), "{path} was acknowledged");
    }
    let owners: BTreeSet<_> = driver.owners.values().map(|side| *side == Side::A).collect();
    println!("{} writes, {} of them acknowledged, {} fences", found.len(), acknowledged.len(), driver.owners.len() - 1);
    assert!(acknowledged.len() > 10 && owners.len() == 2, "the run has tried something");
}

/// A user who reads and writes in turn, and remembers which side has answered each write.
fn start_user(user: u64, address: Address, done: Arc<AtomicBool>) -> JoinHandle<BTreeMap<String, Side>> {
    std::thread::spawn(move || {
        let mut acknowledged = BTreeMap::new();
        for turn in 0_u64.. {
            if done.load(Ordering::SeqCst) {
                break;
            }
            let path = format!("/{user}/{turn}");
            let method = if turn % 2 == 0 { "POST" } else { "GET" };
            // Between two routers nothing listens.
            let text = address.send(method, &path).map_or_else(|_| String::new(), answer);
            if text.starts_with("HTTP/1.1 200 ") {
                let side = if text.ends_with('A') { Side::A } else { Side::B };
                if method == "POST" {
                    acknowledged.insert(path, side);
                }
            } else {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        acknowledged
    })
}

/// What a driver does, with the proof of a quiesce that the replicas give.
struct Driver {
    traffic: RouterTraffic,
    /// The addresses of the replicas.
    sides: [String; 2],
    epoch: Arc<AtomicU64>,
    /// The owner that each epoch has decided.
    owners: BTreeMap<u64, Side>,
    /// The highest version and epoch that the register had.
    last: (u64, u64),
    numbers: Numbers,
}

impl Driver {
    /// One fence: the writes are held, the owner becomes quiet, and a release decides.
    async fn fence(&mut self) {
        let route = self.route().await;
        let (owner, epoch) = (route.owner, route.epoch + 1);
        let mut request = HoldRequest::new(epoch);
        // No hold ends by itself.
        (request.limits.time, request.limits.silence) = (Duration::from_secs(60), Duration::from_secs(60));
        let hold = self.again(async |traffic| traffic.hold(request.clone()).await).await;
        self.quiet(owner).await;
        self.epoch.store(HELD + epoch, Ordering::SeqCst);
        for _ in 0..self.numbers.below(3) {
            let renewed = self.again(async |traffic| traffic.renew(&hold.id).await).await;
            assert_eq!((renewed.id, renewed.epoch), (hold.id.clone(), epoch));
        }
        let to = if epoch.is_multiple_of(3) { owner } else { owner.other() };
        // Before the release, since the first write may be at its side before the reply is here.
        self.epoch.store(epoch, Ordering::SeqCst);
        self.release(&hold, owner, to).await;
        self.owners.insert(epoch, to);
        tokio::time::sleep(Duration::from_millis(self.numbers.below(20))).await;
    }

    /// Waits until no write can come to the old owner any more.
    async fn quiet(&self, owner: Side) {
        while self.again(async |traffic| traffic.drain(owner, InFlightPolicy::Wait).await).await.writes > 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        // What a router sent that was killed since.
        settle(&self.sides[usize::from(owner == Side::B)]);
    }

    /// Ends the fence, and finds out what has become of a command without a reply.
    async fn release(&mut self, hold: &Hold, owner: Side, to: Side) {
        let mut current = owner;
        loop {
            let done = if current == to {
                self.traffic.release(&hold.id, hold.epoch).await
            } else {
                self.traffic.switch(cleared(to, hold.epoch), &hold.id, hold.epoch).await
            };
            if done.is_ok() && current == to {
                break;
            }
            let route = self.route().await;
            match route.hold {
                Some(still) => assert_eq!(still.id, hold.id),
                None => break,
            }
            assert!(route.owner == owner || route.owner == to, "the owner is {}", route.owner);
            current = route.owner;
        }
        let route = self.route().await;
        assert_eq!((route.owner, route.epoch, route.hold), (to, hold.epoch, None));
    }

    /// The route, whose version and epoch never fall.
    async fn route(&mut self) -> Route {
        let route = self.again(async |traffic| traffic.get().await).await;
        let now = (route.version, route.epoch);
        assert!(now.0 >= self.last.0 && now.1 >= self.last.1, "{:?} came after {:?}", now, self.last);
        self.last = now;
        route
    }

    /// Tries until a router answers.
    async fn again<T>(&self, call: impl AsyncFn(&RouterTraffic) -> Result<T>) -> T {
        let start = Instant::now();
        loop {
            match call(&self.traffic).await {
                Ok(value) => return value,
                Err(error) => {
                    let refused = matches!(error.kind(), ErrorKind::PreconditionFailed | ErrorKind::Conflict);
                    assert!(!refused && start.elapsed() < Duration::from_secs(30), "{error:?}");
                }
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}
