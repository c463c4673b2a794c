//! Supervisors that are stopped or hang: alive, but silent.

use std::process::Command;
use std::time::{Duration, Instant};

use lepton_core::deployment::{Deployment as _, Observation, Secrets};
use lepton_core::{ErrorKind, RetryClass};
use lepton_providers::process::ProcessDeployment;
use rustix::process::Signal;

use crate::place::{LONG, Place, builder, key, kill, send, serve};

const SILENCE: Duration = Duration::from_secs(1);

/// Longer than a busy disk takes for a few syncs.
const PATIENCE: Duration = Duration::from_secs(4);

async fn ready() -> (Place, i32) {
    ready_with(SILENCE).await
}

async fn ready_with(silence: Duration) -> (Place, i32) {
    let place = Place::with(|builder| builder.silence(silence)).await;
    let revision = place.apply(&serve(), "1").await.unwrap();
    place.ready(&revision).await;
    let supervisor = place.supervisor().unwrap();
    (place, supervisor)
}

async fn another(place: &Place) -> ProcessDeployment {
    builder(place.folder()).silence(SILENCE).open().await.unwrap()
}

fn is_silent(seen: &Observation) -> bool {
    seen.reasons.iter().any(|reason| !reason.terminal && reason.message.contains("has been silent for"))
}

/// The supervisors of this place that live.
fn supervisors(place: &Place) -> Vec<i32> {
    let own = format!("lepton-supervise\0{}\0", place.folder().canonicalize().unwrap().display());
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    // The command line of a process that has ended is empty.
    let line = |pid: i32| std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    pids.filter(|pid| String::from_utf8_lossy(&line(*pid)).contains(&own)).collect()
}

async fn until_replaced(place: &Place, old: i32) {
    let start = Instant::now();
    while place.supervisor().is_none_or(|pid| pid == old) || supervisors(place).len() != 1 {
        assert!(start.elapsed() < LONG, "{old} is not replaced: {:?}", supervisors(place));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn until(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < LONG, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) async fn a_stopped_supervisor_is_reported_and_replaced() {
    let (place, old) = ready().await;
    tokio::time::sleep(SILENCE * 2).await;
    assert!(!is_silent(&place.observe().await), "one that works is not silent");
    let before = place.processes();
    send(old, Signal::STOP);
    // The workload is ready, and yet there is something to report.
    let seen = place.until("the silence is reported", is_silent).await;
    assert_eq!((seen.ready, place.processes()), (1, before.clone()), "{seen:?}");
    until_replaced(&place, old).await;
    let seen = place.until("it is supervised", |seen| seen.reasons.is_empty()).await;
    assert_eq!((seen.ready, seen.restarts), (1, 0), "the replica was adopted");
    assert_eq!(place.processes(), before);
    // A change by a new driver is enough, too.
    let old = place.supervisor().unwrap();
    send(old, Signal::STOP);
    before.iter().for_each(|found| kill(found.pid));
    tokio::time::sleep(SILENCE * 2).await;
    let mut spec = serve();
    spec.env.insert("CHANGE".into(), "1".into());
    another(&place).await.apply(&spec, &Secrets::new(), &key("2")).await.unwrap();
    place.until_processes("the new revision runs", |found| found.len() == 1).await;
    until_replaced(&place, old).await;
}

pub(crate) async fn drivers_that_replace_a_supervisor_at_once_leave_one() {
    let (place, old) = ready().await;
    let before = place.processes();
    let drivers = [another(&place).await, another(&place).await, another(&place).await];
    for _ in 0..3 {
        let old = place.supervisor().unwrap_or(old);
        send(old, Signal::STOP);
        tokio::time::sleep(SILENCE + Duration::from_millis(500)).await;
        let looks = drivers.iter().map(|driver| async {
            for _ in 0..20 {
                driver.observe("shop").await.unwrap().unwrap();
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        futures_util::future::join_all(looks).await;
        // Those that came second give up.
        until_replaced(&place, old).await;
        assert_eq!(place.processes(), before, "nothing was started twice or ended");
    }
}

/// A supervisor that was stopped while it had the lock of the state. The lock of this test
/// takes the place of its own, and ends with it.
pub(crate) async fn a_change_does_not_hang_on_a_stopped_supervisor_with_the_lock() {
    let (place, old) = ready().await;
    send(old, Signal::STOP);
    let state = std::fs::File::open(place.path("state.lock")).unwrap();
    state.lock().unwrap();
    let ends = std::thread::spawn(move || {
        let start = Instant::now();
        // It becomes a zombie of this process, or is reaped.
        while std::fs::read(format!("/proc/{old}/cmdline")).is_ok_and(|line| !line.is_empty()) {
            assert!(start.elapsed() < LONG, "nobody has ended the supervisor");
            std::thread::sleep(Duration::from_millis(10));
        }
        drop(state);
    });
    place.deployment.scale("shop", 2).await.unwrap();
    ends.join().unwrap();
    place.until("both are ready", |seen| seen.ready == 2).await;
    until_replaced(&place, old).await;
}

/// Another process has the lock and never gives it up.
pub(crate) async fn a_driver_opens_without_the_lock_and_changes_nothing_without_it() {
    let (place, _) = ready().await;
    let state = std::fs::File::open(place.path("state.lock")).unwrap();
    state.lock().unwrap();
    let driver = tokio::time::timeout(LONG, another(&place)).await.expect("nothing has to be written");
    let wait = builder(place.folder()).silence(SILENCE).settle(Duration::from_secs(7)).open();
    let opened = tokio::time::timeout(LONG, wait).await.expect("it waits for the lock for ever").map(drop);
    let scaled = tokio::time::timeout(LONG, driver.scale("shop", 2)).await.expect("it waits for the lock for ever");
    for error in [opened.unwrap_err(), scaled.unwrap_err()] {
        assert!(error.kind() == ErrorKind::Locked && error.retry() != RetryClass::Never, "{error:?}");
        assert!(error.to_string().contains("state.lock"), "{error}");
    }
    drop(state);
    driver.scale("shop", 2).await.unwrap();
    place.until("both are ready", |seen| seen.ready == 2).await;
}

/// A driver that was stopped while it had the lock of the state: this test takes its place.
/// Meanwhile the supervisor can neither wipe values nor remove folders, but does everything else.
pub(crate) async fn a_supervisor_works_while_a_stopped_driver_has_the_lock() {
    let (place, old) = ready_with(PATIENCE).await;
    let state = std::fs::File::open(place.path("state.lock")).unwrap();
    state.lock().unwrap();
    let leftover = place.path("workloads/.new-0");
    std::fs::create_dir(&leftover).unwrap();
    kill(old);
    place.until("it is replaced", |_| place.supervisor().is_some_and(|pid| pid != old)).await;
    let new = place.supervisor().unwrap();
    place.processes().iter().for_each(|found| kill(found.pid));
    place.until("it is restarted", |seen| seen.restarts == 1 && seen.is_ready()).await;
    state.unlock().unwrap();
    until("the leftover is swept", || !leftover.exists()).await;
    // The supervisor gets to the end of the deletion after this test has the lock.
    let mut spec = serve();
    spec.pre_stop_seconds = 5;
    let revision = place.apply(&spec, "2").await.unwrap();
    place.ready(&revision).await;
    place.deployment.delete("shop").await.unwrap();
    state.lock().unwrap();
    place.until_processes("the processes end", <[_]>::is_empty).await;
    let start = Instant::now();
    while start.elapsed() < PATIENCE + SILENCE {
        assert!(!is_silent(&place.observe().await), "the supervisor waits for the lock");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(place.supervisor(), Some(new));
    drop(state);
    place.gone().await;
}

/// A program may have supervised in the past, and live on.
pub(crate) async fn a_process_without_the_lock_is_no_supervisor_and_lives_on() {
    let (place, old) = ready().await;
    let mut other = Command::new("sleep").arg("1000").spawn().unwrap();
    kill(old);
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", other.id())).unwrap();
    let start = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().parse::<u64>().unwrap();
    let mut file = place.json("supervisor.json").unwrap();
    (file["pid"], file["start"]) = (other.id().into(), start.into());
    std::fs::write(place.path("supervisor.json"), file.to_string()).unwrap();
    place.until("the silence is reported", is_silent).await;
    until_replaced(&place, i32::try_from(other.id()).unwrap()).await;
    let lives = other.try_wait().unwrap().is_none();
    let _ = other.kill();
    let _ = other.wait();
    assert!(lives, "a process that supervises nothing was ended");
}

pub(crate) async fn a_supervisor_that_does_not_begin_is_replaced() {
    let sleeps = ["-c", "exec sleep 30"];
    let place = Place::with(|builder| builder.silence(SILENCE).supervisor("/bin/sh", sleeps)).await;
    place.apply(&serve(), "1").await.unwrap();
    let says = |seen: &Observation| seen.reasons.iter().any(|reason| reason.message.contains("has not begun within"));
    place.until("it is reported", says).await;
}
