//! Tests each layer on a store that fails on demand.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use futures_util::{FutureExt as _, StreamExt as _, TryFutureExt as _, TryStreamExt as _, stream};
use lepton_core::{
    Body, BodySource, ByteStream, CompleteOptions, CreateUploadOptions, Effect, Error, ErrorKind, GetOptions, Hashing,
    HeadOptions, LeafStream, Leaves, ListRequest, MemoryStorage, ObjectKey, PartSpec, Precondition, PutOptions, Result,
    RetryClass, Runtime, SharedStorage, StorageExt as _, SystemRuntime,
};
use tracing_subscriber::fmt::format::FmtSpan;

use super::*;
use lepton_core::layer::{Layer, Operation, layered};

/// Fails the first `times` requests in this way; they never reach the store.
#[derive(Debug, Clone)]
struct Flaky {
    left: Arc<AtomicU32>,
    retry: RetryClass,
    effect: Effect,
}

impl Flaky {
    fn fails(&self) -> Result<()> {
        let failing = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        let error = || Error::new(ErrorKind::Unavailable, "injected").with_retry(self.retry).with_effect(self.effect);
        failing.map_or(Ok(()), |_| Err(error()))
    }
}

impl Layer for Flaky {
    type Held = ();

    async fn call<'a, T: Send + 'a>(
        &'a self,
        _: Operation,
        mut request: impl FnMut() -> BoxFuture<'a, Result<T>> + Send + 'a,
    ) -> Result<(T, ())> {
        self.fails()?;
        Ok((request().await?, ()))
    }

    fn body(&self, body: ByteStream, (): ()) -> ByteStream {
        let then = self.fails().err().map(Err);
        body.chain(stream::iter(then)).boxed()
    }

    fn stream<T: Send + 'static>(
        &self,
        _: Operation,
        mut open: impl FnMut() -> BoxStream<'static, Result<T>> + Send + 'static,
    ) -> BoxStream<'static, Result<T>> {
        match self.fails() {
            Ok(()) => open(),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }
}

/// A clock that stands still and records the waits.
#[derive(Debug, Default)]
struct Waits(Mutex<Vec<Duration>>);

impl Runtime for Waits {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        tokio::spawn(task);
    }
    fn spawn_cpu(&self, work: Box<dyn FnOnce() + Send>) {
        work();
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.0.lock().unwrap().push(duration);
        std::future::ready(()).boxed()
    }
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }
    fn uptime(&self) -> Duration {
        Duration::ZERO
    }
    fn random(&self) -> u64 {
        u64::MAX / 7
    }
}

struct Bench {
    memory: MemoryStorage,
    left: Arc<AtomicU32>,
    waits: Arc<Waits>,
    store: SharedStorage,
}

/// A retrying store over one that fails `times` times.
fn bench(times: u32, retry_class: RetryClass, effect: Effect) -> Bench {
    let memory = MemoryStorage::new();
    let (left, waits) = (Arc::new(AtomicU32::new(times)), Arc::new(Waits::default()));
    let flaky = Flaky { left: Arc::clone(&left), retry: retry_class, effect };
    let flaky = layered(Arc::new(memory.clone()), flaky);
    let env: lepton_core::SharedRuntime = waits.clone();
    let store = retry(flaky, RetryConfig::default(), env).unwrap();
    Bench { memory, left, waits, store }
}

fn key() -> ObjectKey {
    ObjectKey::try_from("a").unwrap()
}

async fn write(store: &SharedStorage, precondition: Precondition) -> Result<()> {
    store.put(&key(), "hello".into(), PutOptions::new().precondition(precondition)).await.map(|_| ())
}

#[tokio::test]
async fn retry_waits_longer_each_time_and_gives_up() {
    let b = bench(4, RetryClass::Now, Effect::None);
    write(&b.store, Precondition::None).await.unwrap();
    let waits = b.waits.0.lock().unwrap().clone();
    assert_eq!(waits.len(), 4);
    for (attempt, wait) in (0..).zip(&waits) {
        assert!(*wait <= Duration::from_millis(100 << attempt), "{waits:?}");
    }
    b.left.store(5, Ordering::SeqCst);
    let error = write(&b.store, Precondition::None).await.unwrap_err();
    assert_eq!((error.kind(), error.context("attempts")), (ErrorKind::Unavailable, Some("5")));
}

#[tokio::test]
async fn retry_waits_as_long_as_the_store_asks() {
    let b = bench(1, RetryClass::After(Duration::from_secs(33)), Effect::None);
    b.store.list(ListRequest::new()).try_collect::<Vec<_>>().await.unwrap();
    assert_eq!(*b.waits.0.lock().unwrap(), [Duration::from_secs(33)]);
}

#[tokio::test]
async fn permanent_errors_are_not_retried() {
    let b = bench(1, RetryClass::Never, Effect::None);
    write(&b.store, Precondition::None).await.unwrap_err();
    assert_eq!(b.left.load(Ordering::SeqCst), 0);
    assert!(b.waits.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn retry_does_nothing_twice_that_may_have_happened() {
    let b = bench(0, RetryClass::Now, Effect::Unknown);
    let multipart = b.store.multipart().unwrap();
    let upload = multipart.create(&key(), CreateUploadOptions::new()).await.unwrap();
    let part = multipart.upload_part(&upload, PartSpec::new(1, 0..5), "hello".into()).await.unwrap();
    let lost = |result: Result<()>| {
        let error = result.unwrap_err();
        assert_eq!((error.effect(), b.left.load(Ordering::SeqCst)), (Effect::Unknown, 0));
        b.left.store(1, Ordering::SeqCst);
    };
    b.left.store(1, Ordering::SeqCst);
    lost(write(&b.store, Precondition::IfAbsent).await);
    lost(multipart.create(&key(), CreateUploadOptions::new()).await.map(|_| ()));
    lost(multipart.complete(&upload, vec![part], CompleteOptions::new()).await.map(|_| ()));
    // Writing the same object again is harmless when the outcome is unknown.
    write(&b.store, Precondition::None).await.unwrap();
    assert_eq!(b.memory.read(&key(), 10).await.unwrap(), "hello");
}

#[tokio::test]
async fn retry_does_not_mend_a_body_that_has_begun() {
    let b = bench(0, RetryClass::Now, Effect::None);
    write(&b.store, Precondition::None).await.unwrap();
    let memory: SharedStorage = Arc::new(b.memory.clone());
    let breaks = Flaky { left: Arc::default(), retry: RetryClass::Now, effect: Effect::None };
    let left = Arc::clone(&breaks.left);
    let store = retry(layered(memory, breaks), RetryConfig::default(), SystemRuntime::shared()).unwrap();
    left.store(1, Ordering::SeqCst);
    let reply = store.get(&key(), GetOptions::new()).await.unwrap();
    assert_eq!(left.load(Ordering::SeqCst), 0, "the get itself was tried again");
    assert_eq!(reply.body.try_collect::<Vec<_>>().await.unwrap().concat(), b"hello");
}

#[tokio::test]
async fn retry_is_declared_and_does_not_stack() {
    let memory: SharedStorage = Arc::new(MemoryStorage::new());
    let once = retry(memory, RetryConfig::default(), SystemRuntime::shared()).unwrap();
    assert!(once.capabilities().retries);
    let through = limit(trace(once), NonZeroUsize::MIN);
    assert!(through.capabilities().retries);
    let error = retry(through, RetryConfig::default(), SystemRuntime::shared()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let memory: SharedStorage = Arc::new(MemoryStorage::new());
    assert!(retry(memory, RetryConfig::default().attempts(0), SystemRuntime::shared()).is_err());
}

#[tokio::test]
async fn limit_counts_what_waits_for_the_store() {
    let slow = layered(Arc::new(MemoryStorage::new()), Slow);
    let store = limit(Arc::clone(&slow), NonZeroUsize::MIN);
    write(&slow, Precondition::None).await.unwrap();
    let (name, again) = (key(), Arc::clone(&store));
    let (mut first, mut second) = (store.head(&name, HeadOptions::new()), again.head(&name, HeadOptions::new()));
    assert!(first.as_mut().now_or_never().is_none(), "it is slow");
    let mut pages = store.list(ListRequest::new());
    for _ in 0..3 {
        assert!(second.as_mut().now_or_never().is_none(), "a second request went through");
        assert!(pages.next().now_or_never().is_none(), "a page was fetched during the request");
    }
    drop(first);
    second.await.unwrap();
    pages.try_next().await.unwrap().unwrap();
    // A body that nobody reads and a list whose pages nobody wants do not count.
    let _body = store.get(&name, GetOptions::new()).await.unwrap();
    store.head(&name, HeadOptions::new()).await.unwrap();
}

/// Takes some time for each request.
#[derive(Debug, Clone)]
struct Slow;

impl Layer for Slow {
    type Held = ();

    async fn call<'a, T: Send + 'a>(
        &'a self,
        _: Operation,
        mut request: impl FnMut() -> BoxFuture<'a, Result<T>> + Send + 'a,
    ) -> Result<(T, ())> {
        tokio::task::yield_now().await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        Ok((request().await?, ()))
    }
}

/// A transfer from one folder to another of the same store, which reads and writes through the
/// same limit.
#[tokio::test]
async fn limit_lets_a_put_read_its_body_through_itself() {
    let store = limit(Arc::new(MemoryStorage::new()), NonZeroUsize::MIN);
    write(&store, Precondition::None).await.unwrap();
    let copies = (0..8).map(|number| {
        let store = Arc::clone(&store);
        async move {
            let body = Body::from_source(5, Arc::new(Through(Arc::clone(&store))));
            let name = ObjectKey::try_from(&*format!("copy/{number}")).unwrap();
            store.put(&name, body, PutOptions::new()).await.map(drop)
        }
    });
    futures_util::future::try_join_all(copies).await.unwrap();
}

/// The object, as a body.
struct Through(SharedStorage);

impl BodySource for Through {
    fn open(&self) -> LeafStream {
        let store = Arc::clone(&self.0);
        let bytes = async move { Ok::<_, Error>(store.get(&key(), GetOptions::new()).await?.body) };
        Box::pin(Leaves::new(bytes.try_flatten_stream().boxed(), Hashing::Lazy))
    }
}

/// The output of `tracing`, with the fields of each span when it closes.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn trace_names_operations_errors_and_bytes() {
    let written = Written::default();
    let writer = written.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_span_events(FmtSpan::CLOSE)
        .with_ansi(false)
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(move || writer.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let store = trace(Arc::new(MemoryStorage::builder().name("traced").build()));
    write(&store, Precondition::None).await.unwrap();
    assert_eq!(store.read(&key(), 10).await.unwrap(), "hello");
    store.list(ListRequest::new()).try_collect::<Vec<_>>().await.unwrap();
    write(&store, Precondition::IfAbsent).await.unwrap_err();
    drop(guard);
    let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
    let closed: Vec<&str> = text.lines().filter(|line| line.contains("close")).collect();
    let expected: [&[&str]; 4] = [
        &["otel.name=\"put\"", "lepton.key=a", "lepton.bytes=5", "lepton.store=\"memory:traced\""],
        &["otel.name=\"get\"", "lepton.bytes=5", "otel.kind=\"client\""],
        &["otel.name=\"list\"", "lepton.pages=1"],
        &["otel.name=\"put\"", "otel.status_code=\"ERROR\"", "error.type=\"already_exists\""],
    ];
    assert_eq!(closed.len(), expected.len(), "{text}");
    for (line, fields) in closed.iter().zip(expected) {
        assert!(fields.iter().all(|field| line.contains(field)), "{line} lacks one of {fields:?}");
    }
}
