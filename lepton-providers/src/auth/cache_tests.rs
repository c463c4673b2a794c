use std::future::pending;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Waker};
use std::time::UNIX_EPOCH;

use futures_util::future::join_all;
use lepton_core::{RetryClass, Runtime, SystemRuntime};
use tokio::task::yield_now;

use super::*;

/// The system's environment with a manual clock.
#[derive(Debug)]
struct Clock(SharedRuntime, AtomicU64);

impl Clock {
    fn pass(&self, seconds: u64) {
        self.1.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Runtime for Clock {
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
        UNIX_EPOCH + Duration::from_secs(1_000_000) + self.uptime()
    }
    fn uptime(&self) -> Duration {
        Duration::from_secs(self.1.load(Ordering::Relaxed))
    }
    fn random(&self) -> u64 {
        4
    }
}

/// A numbered key.
struct Key(u32, Option<SystemTime>);

impl Expires for Key {
    fn expires(&self) -> Option<SystemTime> {
        self.1
    }
}

/// How the issuer behaves from now on.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mood {
    /// Issues keys that are valid for this number of seconds.
    Gives(u64),
    Refuses,
    Hangs,
    Panics,
}

/// An issuer with its cache.
struct Bench {
    cache: Arc<Cache<Key>>,
    clock: Arc<Clock>,
    mood: Arc<Mutex<Mood>>,
    calls: Arc<AtomicU32>,
}

impl Bench {
    fn new(mood: Mood) -> Self {
        let clock = Arc::new(Clock(SystemRuntime::shared(), AtomicU64::new(0)));
        let (mood, calls) = (Arc::new(Mutex::new(mood)), Arc::new(AtomicU32::new(0)));
        let (state, counted, time) = (Arc::clone(&mood), Arc::clone(&calls), Arc::clone(&clock));
        let issue = move || -> BoxFuture<'static, Result<Key>> {
            let (call, mood, time) = (counted.fetch_add(1, Ordering::Relaxed), *state.lock().unwrap(), time.clone());
            Box::pin(async move {
                yield_now().await;
                match mood {
                    Mood::Gives(life) => Ok(Key(call, Some(time.now() + Duration::from_secs(life)))),
                    Mood::Refuses => Err(Error::new(ErrorKind::Throttled, "not now")
                        .with_retry(RetryClass::After(Duration::from_secs(7)))
                        .with_code("SlowDown")
                        .with_context("role", "r")
                        .with_source(Error::new(ErrorKind::Io, "the cause"))),
                    Mood::Hangs => pending().await,
                    Mood::Panics => panic!("the issuer panics"),
                }
            })
        };
        let cache = Arc::new(Cache::new(issue, EXPIRY_WINDOW, clock.clone()));
        Self { cache, clock, mood, calls }
    }

    fn will(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn calls(&self) -> u32 {
        self.calls.load(Ordering::Relaxed)
    }

    async fn number(&self) -> u32 {
        self.cache.get().await.unwrap().0
    }

    /// Waits until the attempt in progress has ended.
    async fn settled(&self) {
        while self.cache.shared.lock().pending.is_some() {
            yield_now().await;
        }
    }
}

/// Polls once and returns whether the future is pending.
fn waits(future: &mut (impl Future + Unpin)) -> bool {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

#[tokio::test]
async fn issued_once_while_valid_and_again_after_a_refusal() {
    let bench = Bench::new(Mood::Gives(3600));
    let first = bench.cache.get().await.unwrap();
    assert!(Arc::ptr_eq(&first, &bench.cache.get().await.unwrap()));
    bench.cache.invalidate(&first).await;
    let second = bench.cache.get().await.unwrap();
    assert_eq!(second.0, 1);
    bench.cache.invalidate(&first).await;
    assert!(Arc::ptr_eq(&second, &bench.cache.get().await.unwrap()));
    assert_eq!(bench.calls(), 2);
}

#[tokio::test]
async fn valid_credentials_are_returned_at_once_and_renewed_by_one_task() {
    let bench = Bench::new(Mood::Gives(3600));
    assert_eq!(bench.number().await, 0);
    bench.clock.pass(3299);
    assert_eq!((bench.number().await, bench.calls()), (0, 1), "it is not early yet");
    bench.clock.pass(2);
    let numbers = join_all((0..64).map(|_| bench.number())).await;
    assert!(numbers.iter().all(|number| *number == 0), "{numbers:?}");
    assert_eq!(bench.calls(), 2, "one of them started an attempt");
    bench.settled().await;
    assert_eq!((bench.number().await, bench.calls()), (1, 2));
}

#[tokio::test]
async fn a_hung_renewal_does_not_delay_callers_with_valid_credentials() {
    let bench = Bench::new(Mood::Gives(3600));
    bench.number().await;
    bench.will(Mood::Hangs);
    for _ in 0..29 {
        bench.clock.pass(if bench.calls() == 1 { 3301 } else { 10 });
        assert_eq!((bench.number().await, bench.calls()), (0, 2));
    }
    let mut waiting = Box::pin(async {
        bench.clock.pass(20);
        bench.number().await
    });
    assert!(waits(&mut waiting), "what has expired is not given");
}

#[tokio::test]
async fn after_an_attempt_there_is_a_pause() {
    for mood in [Mood::Refuses, Mood::Panics, Mood::Gives(290)] {
        let bench = Bench::new(Mood::Gives(3600));
        bench.number().await;
        bench.will(mood);
        bench.clock.pass(3350);
        bench.number().await;
        bench.settled().await;
        let good = u32::from(mood == Mood::Gives(290));
        assert_eq!(bench.calls(), 2);
        bench.clock.pass(29);
        assert_eq!((bench.number().await, bench.calls()), (good, 2), "{mood:?}");
        bench.clock.pass(if good == 1 { 131 } else { 1 });
        assert_eq!((bench.number().await, bench.calls()), (good, 3), "{mood:?}");
        bench.settled().await;
    }
}

#[tokio::test]
async fn a_short_life_is_not_spent_with_renewals() {
    let bench = Bench::new(Mood::Gives(60));
    let mut numbers = Vec::new();
    for _ in 0..120 {
        numbers.push(bench.number().await);
        bench.settled().await;
        bench.clock.pass(1);
    }
    assert_eq!(bench.calls(), 4, "{numbers:?}");
    let once = Bench::new(Mood::Gives(20));
    for _ in 0..20 {
        assert_eq!(once.number().await, 0);
        once.settled().await;
        once.clock.pass(1);
    }
    assert_eq!(once.number().await, 1);
}

#[tokio::test]
async fn many_with_nothing_good_ask_once() {
    let bench = Bench::new(Mood::Gives(3600));
    let numbers = join_all((0..64).map(|_| bench.number())).await;
    assert!(numbers.iter().all(|number| *number == 0), "{numbers:?}");
    bench.clock.pass(3600);
    let numbers = join_all((0..64).map(|_| bench.number())).await;
    assert!(numbers.iter().all(|number| *number == 1), "{numbers:?}");
    assert_eq!(bench.calls(), 2);
}

#[tokio::test]
async fn a_refusal_is_returned_to_all_callers_once_nothing_valid_is_cached() {
    let bench = Bench::new(Mood::Gives(3600));
    bench.number().await;
    bench.will(Mood::Refuses);
    bench.clock.pass(3599);
    assert_eq!(bench.number().await, 0);
    bench.settled().await;
    bench.clock.pass(1);
    let errors = join_all((0..64).map(|_| bench.cache.get())).await;
    assert_eq!(bench.calls(), 3);
    for error in errors.into_iter().map(|end| end.err().unwrap()) {
        assert_eq!(
            (error.kind(), error.retry(), error.effect()),
            (ErrorKind::Throttled, RetryClass::After(Duration::from_secs(7)), lepton_core::Effect::None)
        );
        assert_eq!((error.code(), error.context("role")), (Some("SlowDown"), Some("r")));
        assert!(error.full_message().ends_with(": the cause"), "{}", error.full_message());
    }
    bench.will(Mood::Gives(10));
    assert_eq!(bench.number().await, 3, "the next caller asks at once");
}

#[tokio::test]
async fn a_caller_that_gives_up_does_not_cancel_the_renewal() {
    let bench = Bench::new(Mood::Gives(3600));
    let mut first = Box::pin(bench.cache.get());
    assert!(waits(&mut first));
    let second = bench.cache.get();
    drop(first);
    assert_eq!(second.await.unwrap().0, 0);
    let fresh = Bench::new(Mood::Gives(3600));
    let mut alone = Box::pin(fresh.cache.get());
    assert!(waits(&mut alone));
    drop(alone);
    fresh.settled().await;
    assert_eq!((fresh.number().await, fresh.calls()), (0, 1));
}

#[tokio::test]
async fn an_issuer_that_panics_is_an_error_and_is_called_again() {
    let bench = Bench::new(Mood::Panics);
    assert_eq!(bench.cache.get().await.err().unwrap().kind(), ErrorKind::Unexpected);
    bench.will(Mood::Gives(10));
    assert_eq!(bench.number().await, 1);
}

#[tokio::test]
async fn dropping_the_cache_cancels_the_attempt() {
    struct CountsDrop(Arc<AtomicU32>);
    impl Drop for CountsDrop {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let ended = Arc::new(AtomicU32::new(0));
    let dropped = Arc::clone(&ended);
    let issue = move || -> BoxFuture<'static, Result<Key>> {
        let guard = CountsDrop(Arc::clone(&dropped));
        Box::pin(async move {
            let _guard = guard;
            pending().await
        })
    };
    let cache = Cache::new(issue, EXPIRY_WINDOW, SystemRuntime::shared());
    let mut waiting = Box::pin(cache.get());
    assert!(waits(&mut waiting));
    yield_now().await;
    drop(waiting);
    drop(cache);
    while ended.load(Ordering::Relaxed) == 0 {
        yield_now().await;
    }
}
