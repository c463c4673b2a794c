//! Caches credentials and renews them shortly before they expire.
//!
//! A separate task renews them: a caller that gives up does not cancel the renewal for
//! the others, and a caller never waits while valid credentials are cached.

use std::error::Error as StdError;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use futures_core::future::BoxFuture;
use futures_util::future::{Either, select};
use lepton_core::{Error, ErrorKind, Result, SharedRuntime};
use tokio::sync::watch;

/// How long before expiry the credentials are renewed.
pub(crate) const EXPIRY_WINDOW: Duration = Duration::from_secs(300);
/// The same for Google, whose metadata server returns the old ones until then.
pub(crate) const GOOGLE_EXPIRY_WINDOW: Duration = Duration::from_secs(225);
/// How long valid credentials stay in use after an attempt to renew them, before the next
/// attempt.
const PAUSE: Duration = Duration::from_secs(30);

/// Credentials that may expire.
pub(crate) trait Expires: Send + Sync + 'static {
    /// The time of expiry; `None` if they never expire.
    fn expires(&self) -> Option<SystemTime>;
}

type Issue<T> = Box<dyn Fn() -> BoxFuture<'static, Result<T>> + Send + Sync>;
type Issued<T> = std::result::Result<Arc<T>, Arc<Error>>;
/// Receives the result of an attempt.
type Pending<T> = watch::Receiver<Option<Issued<T>>>;

/// The credentials in use.
pub(crate) struct Cache<T> {
    issue: Issue<T>,
    expiry_window: Duration,
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    env: SharedRuntime,
    state: Mutex<State<T>>,
}

struct State<T> {
    cached: Option<Cached<T>>,
    /// The attempt in progress.
    pending: Option<Pending<T>>,
    /// When the last attempt ended.
    last_attempt: Option<Duration>,
}

struct Cached<T> {
    value: Arc<T>,
    /// How long before expiry they are renewed, but never in the first half of their
    /// lifetime.
    expiry_window: Duration,
}

impl<T: Expires> Cache<T> {
    /// Caches what `issue` returns; calls to it never overlap. `expiry_window`: how long before
    /// expiry it is called.
    pub(crate) fn new(
        issue: impl Fn() -> BoxFuture<'static, Result<T>> + Send + Sync + 'static,
        expiry_window: Duration,
        env: SharedRuntime,
    ) -> Self {
        let state = Mutex::new(State { cached: None, pending: None, last_attempt: None });
        Self { issue: Box::new(issue), expiry_window, shared: Arc::new(Shared { env, state }) }
    }

    /// Returns valid credentials. Waits only if none are cached.
    pub(crate) async fn get(&self) -> Result<Arc<T>> {
        let mut pending = match self.current() {
            (Some(good), _) => return Ok(good),
            (None, pending) => pending.ok_or_else(lost)?,
        };
        let ended = pending.wait_for(Option::is_some).await.map_err(|_| lost())?;
        match ended.as_ref() {
            Some(Ok(fresh)) => Ok(Arc::clone(fresh)),
            Some(Err(error)) => Err(again(error)),
            None => Err(lost()),
        }
    }

    /// The valid credentials and the attempt in progress. Starts an attempt if one is
    /// due.
    fn current(&self) -> (Option<Arc<T>>, Option<Pending<T>>) {
        let (now, uptime) = (self.shared.env.now(), self.shared.env.uptime());
        let (good, pending, end) = {
            let mut state = self.shared.lock();
            let good = state.cached.as_ref().filter(|cached| cached.is_good(now, Duration::ZERO));
            let rested = state.last_attempt.is_none_or(|last_attempt| uptime >= last_attempt + PAUSE);
            let due = good.is_none_or(|cached| rested && !cached.is_good(now, cached.expiry_window));
            let good = good.map(|cached| Arc::clone(&cached.value));
            if state.pending.is_some() || !due {
                return (good, state.pending.clone());
            }
            let (end, pending) = watch::channel(None);
            state.pending = Some(pending.clone());
            (good, pending, end)
        };
        let attempt = Attempt { shared: Arc::downgrade(&self.shared), expiry_window: self.expiry_window, end };
        self.shared.env.spawn(Box::pin(attempt.run((self.issue)())));
        (good, Some(pending))
    }

    /// The server reported these as expired: the next caller gets new ones.
    #[allow(clippy::unused_async, reason = "nothing of it should depend on how the lock is made")]
    pub(crate) async fn invalidate(&self, refused: &Arc<T>) {
        let mut state = self.shared.lock();
        if state.cached.as_ref().is_some_and(|cached| Arc::ptr_eq(&cached.value, refused)) {
            state.cached = None;
        }
    }
}

impl<T: Expires> Cached<T> {
    fn is_good(&self, now: SystemTime, for_another: Duration) -> bool {
        self.value.expires().is_none_or(|end| now + for_another < end)
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request to the issuer. However it ends, another may follow.
struct Attempt<T> {
    shared: Weak<Shared<T>>,
    expiry_window: Duration,
    end: watch::Sender<Option<Issued<T>>>,
}

impl<T: Expires> Attempt<T> {
    async fn run(self, issue: BoxFuture<'static, Result<T>>) {
        // Once the store is dropped, the result is of no use.
        let gone = Box::pin(self.end.closed());
        let Either::Left((issued, _)) = select(issue, gone).await else { return };
        let issued = issued.map(Arc::new).map_err(Arc::new);
        let Some(shared) = self.shared.upgrade() else { return };
        let now = shared.env.now();
        {
            let mut state = shared.lock();
            match &issued {
                Ok(fresh) => {
                    let life = fresh.expires().and_then(|end| end.duration_since(now).ok()).unwrap_or_default();
                    state.cached =
                        Some(Cached { value: Arc::clone(fresh), expiry_window: self.expiry_window.min(life / 2) });
                }
                Err(error) if state.cached.as_ref().is_some_and(|cached| cached.is_good(now, Duration::ZERO)) => {
                    tracing::warn!(error = %error.full_message(), "credentials were not renewed; the old ones are good still");
                }
                Err(_) => {}
            }
            state.end(shared.env.uptime());
        }
        self.end.send_replace(Some(issued));
    }
}

impl<T> State<T> {
    fn end(&mut self, uptime: Duration) {
        (self.pending, self.last_attempt) = (None, Some(uptime));
    }
}

impl<T> Drop for Attempt<T> {
    fn drop(&mut self) {
        if self.end.borrow().is_some() {
            return;
        }
        // The issuer panicked, or the runtime is shutting down: the waiters must be
        // notified.
        if let Some(shared) = self.shared.upgrade() {
            let uptime = shared.env.uptime();
            shared.lock().end(uptime);
        }
    }
}

fn lost() -> Error {
    Error::new(
        ErrorKind::Unexpected,
        "credentials were not issued: the task that requested them panicked or was stopped",
    )
}

/// A copy of the error for each of the callers that waited for the same attempt.
fn again(error: &Arc<Error>) -> Error {
    let mut copy = Error::new(error.kind(), error.message().to_owned())
        .with_retry(error.retry())
        .with_effect(error.effect())
        .with_operation(error.operation().unwrap_or("credentials"));
    for name in ["issuer", "host", "role", "profile", "file", "stderr"] {
        if let Some(value) = error.context(name) {
            copy = copy.with_context(name, value);
        }
    }
    if let Some(code) = error.code() {
        copy = copy.with_code(code);
    }
    if let Some(status) = error.status() {
        copy = copy.with_status(status);
    }
    if error.source().is_some() { copy.with_source(Cause(Arc::clone(error))) } else { copy }
}

/// The source of an error that several callers share.
struct Cause(Arc<Error>);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.source().map_or(Ok(()), |source| fmt::Display::fmt(source, f))
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.source().map_or(Ok(()), |source| fmt::Debug::fmt(source, f))
    }
}

impl StdError for Cause {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source().and_then(StdError::source)
    }
}

impl<T> fmt::Debug for Cache<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cache(…)")
    }
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
