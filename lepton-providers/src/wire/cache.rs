//! Keeps credentials, and has them renewed shortly before they expire.
//!
//! New ones are asked for by a task of its own: a caller that gives up loses nothing for
//! the others, and who has good ones in hand never waits for better.

use std::error::Error as StdError;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use futures_core::future::BoxFuture;
use futures_util::future::{Either, select};
use lepton_core::{Error, ErrorKind, Result, SharedEnv};
use tokio::sync::watch;

/// How long before they expire new ones are asked for.
pub(crate) const EARLY: Duration = Duration::from_secs(300);
/// The same for Google, whose metadata server gives the old ones again before that.
pub(crate) const EARLY_AT_GOOGLE: Duration = Duration::from_secs(225);
/// How long good ones are used after an attempt to renew them, before the next.
const PAUSE: Duration = Duration::from_secs(30);

/// Credentials that may be good for a time only.
pub(crate) trait Expires: Send + Sync + 'static {
    /// Until when; `None` for good.
    fn expires(&self) -> Option<SystemTime>;
}

type Issue<T> = Box<dyn Fn() -> BoxFuture<'static, Result<T>> + Send + Sync>;
type Issued<T> = std::result::Result<Arc<T>, Arc<Error>>;
/// Hears how an attempt ends.
type Asking<T> = watch::Receiver<Option<Issued<T>>>;

/// The credentials in use.
pub(crate) struct Cache<T> {
    issue: Issue<T>,
    early: Duration,
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    env: SharedEnv,
    state: Mutex<State<T>>,
}

struct State<T> {
    held: Option<Held<T>>,
    /// The attempt that is under way.
    asking: Option<Asking<T>>,
    /// When the last attempt ended.
    asked: Option<Duration>,
}

struct Held<T> {
    value: Arc<T>,
    /// How long before their end they are renewed: never in the first half of their life.
    early: Duration,
}

impl<T: Expires> Cache<T> {
    /// Those that `issue` gives, which is never called twice at a time; `early`: how long
    /// before they expire.
    pub(crate) fn new(
        issue: impl Fn() -> BoxFuture<'static, Result<T>> + Send + Sync + 'static,
        early: Duration,
        env: SharedEnv,
    ) -> Self {
        let state = Mutex::new(State { held: None, asking: None, asked: None });
        Self { issue: Box::new(issue), early, shared: Arc::new(Shared { env, state }) }
    }

    /// Credentials that are good still. Only where none are held does anybody wait.
    pub(crate) async fn get(&self) -> Result<Arc<T>> {
        let mut asking = match self.look() {
            (Some(good), _) => return Ok(good),
            (None, asking) => asking.ok_or_else(lost)?,
        };
        let ended = asking.wait_for(Option::is_some).await.map_err(|_| lost())?;
        match ended.as_ref() {
            Some(Ok(fresh)) => Ok(Arc::clone(fresh)),
            Some(Err(error)) => Err(again(error)),
            None => Err(lost()),
        }
    }

    /// What is good, and what is under way. Starts an attempt where one is due.
    fn look(&self) -> (Option<Arc<T>>, Option<Asking<T>>) {
        let (now, uptime) = (self.shared.env.now(), self.shared.env.uptime());
        let (good, asking, end) = {
            let mut state = self.shared.lock();
            let good = state.held.as_ref().filter(|held| held.is_good(now, Duration::ZERO));
            let rested = state.asked.is_none_or(|asked| uptime >= asked + PAUSE);
            let due = good.is_none_or(|held| rested && !held.is_good(now, held.early));
            let good = good.map(|held| Arc::clone(&held.value));
            if state.asking.is_some() || !due {
                return (good, state.asking.clone());
            }
            let (end, asking) = watch::channel(None);
            state.asking = Some(asking.clone());
            (good, asking, end)
        };
        let attempt = Attempt { shared: Arc::downgrade(&self.shared), early: self.early, end };
        self.shared.env.spawn(Box::pin(attempt.run((self.issue)())));
        (good, Some(asking))
    }

    /// The server calls these expired: the next caller gets new ones.
    #[allow(clippy::unused_async, reason = "nothing of it should depend on how the lock is made")]
    pub(crate) async fn expired(&self, refused: &Arc<T>) {
        let mut state = self.shared.lock();
        if state.held.as_ref().is_some_and(|held| Arc::ptr_eq(&held.value, refused)) {
            state.held = None;
        }
    }
}

impl<T: Expires> Held<T> {
    fn is_good(&self, now: SystemTime, for_another: Duration) -> bool {
        self.value.expires().is_none_or(|end| now + for_another < end)
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One question to the issuer. However it ends, the next one may be asked.
struct Attempt<T> {
    shared: Weak<Shared<T>>,
    early: Duration,
    end: watch::Sender<Option<Issued<T>>>,
}

impl<T: Expires> Attempt<T> {
    async fn run(self, issue: BoxFuture<'static, Result<T>>) {
        // Nobody is left to hear of it once the store is gone.
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
                    state.held = Some(Held { value: Arc::clone(fresh), early: self.early.min(life / 2) });
                }
                Err(error) if state.held.as_ref().is_some_and(|held| held.is_good(now, Duration::ZERO)) => {
                    tracing::warn!(error = %error.report(), "credentials were not renewed; the old ones are good still");
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
        (self.asking, self.asked) = (None, Some(uptime));
    }
}

impl<T> Drop for Attempt<T> {
    fn drop(&mut self) {
        if self.end.borrow().is_some() {
            return;
        }
        // The issuer panicked, or the runtime stops: those who wait must hear of it.
        if let Some(shared) = self.shared.upgrade() {
            let uptime = shared.env.uptime();
            shared.lock().end(uptime);
        }
    }
}

fn lost() -> Error {
    Error::new(ErrorKind::Unexpected, "credentials were not issued: whoever asked for them panicked or was stopped")
}

/// What one error says to one of the many who waited for the same.
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

/// The cause of an error that several have.
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
