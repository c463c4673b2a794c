//! How much is on its way at once, and who waits for whom, on a clock that moves when
//! everybody waits.

#![allow(clippy::unwrap_used, reason = "test")]

mod support;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use lepton_core::{ErrorKind, RetryClass, Runtime, SharedRuntime};
use lepton_data::{Progress, Report, Status, TransferBuilder};
use support::faulty::{Fault, Faulty};
use support::*;
use tokio::time::Instant;

/// The system, but for the time since its start, which is that of the test's runtime.
#[derive(Debug)]
struct Paused(SharedRuntime, Instant);

impl Paused {
    fn shared() -> SharedRuntime {
        Arc::new(Self(lepton_core::SystemRuntime::shared(), Instant::now()))
    }
}

impl Runtime for Paused {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.0.spawn(task);
    }
    fn spawn_cpu(&self, work: Box<dyn FnOnce() + Send>) {
        self.0.spawn_cpu(work);
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.0.sleep(duration)
    }
    fn now(&self) -> SystemTime {
        self.0.now()
    }
    fn uptime(&self) -> Duration {
        self.1.elapsed()
    }
    fn random(&self) -> u64 {
        // The same each time.
        self.uptime().subsec_nanos().into()
    }
}

fn places(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).unwrap()
}

/// Runs, and looks at the progress every tenth of a second.
async fn run(builder: TransferBuilder) -> (Report, Vec<Progress>) {
    let mut seen = Vec::new();
    let journal = tempfile::tempdir().unwrap();
    let handle = builder.journal(journal.path()).runtime(Paused::shared()).build().unwrap().start().await.unwrap();
    let report = handle.watch(Duration::from_millis(100), |progress| seen.push(progress)).await.unwrap();
    assert_eq!(report.status, Status::Complete, "{:?}", report.failures);
    (report, seen)
}

/// Serves so many requests a second, each in 40 ms, and refuses the rest.
fn at_most(a_second: f64) -> impl FnMut(&str) -> Fault {
    let (mut tokens, mut then) = (a_second / 10.0, Instant::now());
    move |_| {
        let now = Instant::now();
        tokens = (tokens + (now - then).as_secs_f64() * a_second).min(a_second / 10.0);
        then = now;
        if tokens < 1.0 {
            return Fault::Fail(ErrorKind::Throttled, RetryClass::After(Duration::from_secs(1)));
        }
        tokens -= 1.0;
        Fault::Slow(40)
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_refuses_is_asked_for_as_much_as_it_takes() {
    let (from, _) = stores();
    for i in 0..3000 {
        put(&from, &format!("{i:04}"), bytes(i, 100), lepton_core::PutOptions::new()).await;
    }
    let mut reports = Vec::new();
    for adaptive in [true, false] {
        let (_, to) = stores();
        let mut limited = at_most(300.0);
        let target = Faulty::new(&to, move |operation, _| (operation == "put").then(|| limited(operation)));
        let transfer = transfer(shared(&from), Arc::new(target)).concurrency(places(64));
        let (report, seen) = run(transfer.adaptive(adaptive)).await;
        assert_same(&from, &to).await;
        assert_eq!(report.throttled, report.retries);
        let limits: Vec<usize> = seen.iter().map(|progress| progress.lanes.small.destination.limit).collect();
        if adaptive {
            assert!(limits.iter().all(|limit| (4..=60).contains(limit)), "{limits:?}");
            assert!(!limits.is_sorted(), "{limits:?}");
            // 300 a second are what twelve at once bring.
            let late = &limits[limits.len() / 2..];
            let middle = late.iter().sum::<usize>() / late.len();
            assert!((8..=18).contains(&middle), "{limits:?}");
        } else {
            assert!(limits.iter().all(|limit| *limit == 60), "{limits:?}");
        }
        assert!(seen.iter().all(|progress| progress.lanes.small.source.throttled == 0));
        reports.push(report);
    }
    let [found, fixed] = &reports[..] else { unreachable!() };
    assert!(found.retries > 0 && found.retries * 3 < fixed.retries, "{} and {}", found.retries, fixed.retries);
    assert!(found.elapsed < fixed.elapsed.mul_f64(1.2), "{:?} and {:?}", found.elapsed, fixed.elapsed);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_far_is_asked_for_more_at_once() {
    let (from, to) = stores();
    for i in 0..6000 {
        put(&from, &format!("{i:04}"), bytes(i, 100), lepton_core::PutOptions::new()).await;
    }
    let target = Faulty::new(&to, |operation, _| (operation == "put").then_some(Fault::Slow(100)));
    let (report, seen) = run(transfer(shared(&from), Arc::new(target))).await;
    let limits: Vec<usize> = seen.iter().map(|progress| progress.lanes.small.destination.limit).collect();
    assert_eq!((limits[0], report.throttled), (16, 0));
    assert!(limits.len() > 20 && limits[10..].iter().all(|limit| *limit == 240), "{limits:?}");
    assert!(seen.iter().any(|progress| progress.lanes.small.running == 240 && progress.lanes.small.waiting > 0));
}

/// A store that is slow with some operations, and when each was asked for.
type Times = Arc<Mutex<BTreeMap<String, Vec<Duration>>>>;

fn slow(to: &lepton_core::MemoryStorage, slow: fn(&str) -> u64) -> (Faulty, Times) {
    let (times, begun) = (Times::default(), Instant::now());
    let target = Faulty::new(to, {
        let times = Arc::clone(&times);
        move |operation, _| {
            times.lock().unwrap().entry(operation.to_owned()).or_default().push(begun.elapsed());
            Some(Fault::Slow(slow(operation)))
        }
    });
    (target, times)
}

#[tokio::test(start_paused = true)]
async fn small_objects_do_not_wait_for_large_parts() {
    for (adaptive, memory) in [(false, 128 * MIB), (false, 8 * MIB), (true, 128 * MIB)] {
        let (from, to) = stores();
        let large: Vec<String> = (0..40).map(|i| format!("a-{i:02}")).collect();
        let small: Vec<String> = (0..200).map(|i| format!("b-{i:03}")).collect();
        let all = large.iter().map(|name| (&**name, 2 * MIB)).chain(small.iter().map(|name| (&**name, 1000)));
        fill(&from, &all.collect::<Vec<_>>()).await;
        // A part takes a minute.
        let (target, times) = slow(&to, |operation| if operation == "upload_part" { 60_000 } else { 10 });
        let builder = transfer(shared(&from), Arc::new(target)).concurrency(places(16)).adaptive(adaptive);
        let _ = run(builder.memory(memory as u64)).await;
        assert_same(&from, &to).await;
        let times = times.lock().unwrap();
        assert_eq!((times["put"].len(), times["upload_part"].len()), (200, 80));
        let last = times["put"].iter().max().unwrap();
        assert!(*last < Duration::from_secs(60), "{last:?}: {adaptive}, {memory}");
        let begun = times["upload_part"].iter().filter(|time| **time < Duration::from_secs(60)).count();
        assert!(begun >= 4, "{begun}");
    }
}

#[tokio::test(start_paused = true)]
async fn parts_do_not_starve_behind_small_objects() {
    for adaptive in [true, false] {
        let (from, to) = stores();
        let small: Vec<String> = (0..900).map(|i| format!("a-{i:03}")).collect();
        let all = small.iter().map(|name| (&**name, 1000)).chain([("b-large", 8 * MIB)]);
        fill(&from, &all.collect::<Vec<_>>()).await;
        let (target, times) = slow(&to, |operation| if operation == "put" { 1000 } else { 10 });
        let _ = run(transfer(shared(&from), Arc::new(target)).concurrency(places(8)).adaptive(adaptive)).await;
        assert_same(&from, &to).await;
        let times = times.lock().unwrap();
        let (complete, last) = (times["complete"][0], times["put"].iter().max().unwrap());
        assert!(complete < Duration::from_secs(5) && *last > Duration::from_secs(60), "{complete:?}, {last:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_booked_where_it_happened() {
    let (from, to) = stores();
    fill(&from, &[("large", 3 * MIB), ("small", 10)]).await;
    let refused = |what: &'static [&'static str]| {
        let mut left: Vec<&str> = what.to_vec();
        move |operation: &str, _: &lepton_core::ObjectKey| {
            let at = left.iter().position(|one| *one == operation)?;
            left.remove(at);
            Some(Fault::Fail(ErrorKind::Throttled, RetryClass::After(Duration::from_secs(1))))
        }
    };
    let source = Faulty::new(&from, refused(&["list", "get"]));
    let target = Faulty::new(&to, refused(&["upload_part", "upload_part", "put"]));
    let (report, seen) = run(transfer(Arc::new(source), Arc::new(target))).await;
    assert_same(&from, &to).await;
    let lanes = seen.last().unwrap().lanes;
    assert_eq!(report.throttled, 5);
    assert_eq!((lanes.listing.source.throttled, lanes.listing.destination.throttled), (1, 0));
    assert_eq!((lanes.parts.destination.throttled, lanes.small.destination.throttled), (2, 1));
    assert_eq!(lanes.parts.source.throttled + lanes.small.source.throttled, 1);
}
