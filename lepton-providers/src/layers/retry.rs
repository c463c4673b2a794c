//! Retries requests, for callers that do not do so themselves.

use std::time::Duration;

use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt as _, stream};
use lepton_core::layer::{Layer, Operation, layered_as};
use lepton_core::{Decision, Error, Result, SharedRuntime, SharedStorage, decide};

/// How often to try, and how long to wait in between.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RetryConfig {
    /// The maximum number of attempts per operation. Default: 5.
    pub attempts: u32,
    /// The longest wait before the second attempt; it doubles with each further attempt.
    /// Default: 100 ms.
    pub first_wait: Duration,
    /// The upper bound of every wait, unless the store asks for a longer one. Default: 10
    /// s.
    pub longest_wait: Duration,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self { attempts: 5, first_wait: Duration::from_millis(100), longest_wait: Duration::from_secs(10) }
    }
}

impl RetryConfig {
    /// Sets the maximum number of attempts.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Sets the first wait; waits double from there up to `longest`.
    #[must_use]
    pub fn waits(mut self, first: Duration, longest: Duration) -> Self {
        (self.first_wait, self.longest_wait) = (first, longest);
        self
    }
}

/// The same store, retrying where [`decide`] reports that a retry helps and is safe. Each
/// retry follows a random wait (exponential with full jitter), and never comes sooner
/// than the store asks for.
///
/// These are not retried:
/// - a body that fails after a get was answered, or a listing that fails after its first
///   page: read the rest as a range, or list from the last key seen;
/// - a conditional write, or the creation or completion of an upload, whose outcome is
///   unknown: the error reports this, and the caller has to check what is stored;
/// - single keys of a delete whose request as a whole succeeded.
///
/// The engine does its own retries. It refuses a store that retries, which it recognizes
/// by [`Capabilities::retries`](lepton_core::Capabilities::retries).
///
/// # Errors
/// `invalid_input` if a layer below retries already, or if the number of attempts is
/// zero.
pub fn retry(storage: SharedStorage, options: RetryConfig, env: SharedRuntime) -> Result<SharedStorage> {
    let mut capabilities = storage.capabilities().clone();
    if capabilities.retries {
        return Err(Error::invalid_input("a layer below retries already; retries multiply").with_operation("retry"));
    }
    if options.attempts == 0 {
        return Err(Error::invalid_input("attempts is 0; at least 1 is needed").with_operation("retry"));
    }
    capabilities.retries = true;
    Ok(layered_as(storage, Again { options, env }, capabilities))
}

#[derive(Debug, Clone)]
struct Again {
    options: RetryConfig,
    env: SharedRuntime,
}

/// Sends a request that changes nothing as [`retry`] does.
#[cfg(feature = "s3")]
pub(crate) async fn retried<T, F: Future<Output = Result<T>>>(
    options: RetryConfig,
    env: &SharedRuntime,
    operation: &'static str,
    request: impl FnMut() -> F,
) -> Result<T> {
    Again { options, env: env.clone() }.repeat((operation, true), request).await
}

impl Again {
    /// Sends a request of this name until it succeeds; the second value is whether it is
    /// idempotent.
    async fn repeat<T, F: Future<Output = Result<T>>>(
        &self,
        operation: (&'static str, bool),
        mut request: impl FnMut() -> F,
    ) -> Result<T> {
        let mut attempt = 1;
        loop {
            match request().await {
                Ok(reply) => return Ok(reply),
                Err(error) => self.wait(operation, attempt, error).await?,
            }
            attempt += 1;
        }
    }

    /// Waits before the next attempt, or returns the error if there is none.
    async fn wait(&self, (operation, idempotent): (&'static str, bool), attempt: u32, error: Error) -> Result<()> {
        let least = match decide(&error, idempotent) {
            Decision::Again(least) => least,
            Decision::Refresh => Duration::ZERO,
            _ => return Err(error),
        };
        if attempt >= self.options.attempts {
            return Err(error.with_context("attempts", attempt));
        }
        let wait = self.jitter(attempt).max(least);
        tracing::debug!(operation, attempt, ?wait, error = %error.full_message(), "trying again");
        self.env.sleep(wait).await;
        Ok(())
    }

    /// A random wait up to the ceiling of this attempt ("Exponential Backoff And Jitter",
    /// AWS Architecture Blog: full jitter).
    fn jitter(&self, attempt: u32) -> Duration {
        let doubled = self.options.first_wait.saturating_mul(1 << (attempt - 1).min(30));
        let ceiling = u64::try_from(doubled.min(self.options.longest_wait).as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.env.random() % ceiling.saturating_add(1).max(1))
    }
}

impl Layer for Again {
    type Held = ();

    fn keeps_bytes(&self) -> bool {
        true
    }

    async fn call<'a, T: Send + 'a>(
        &'a self,
        operation: Operation,
        request: impl FnMut() -> BoxFuture<'a, Result<T>> + Send + 'a,
    ) -> Result<(T, ())> {
        Ok((self.repeat((operation.name, operation.idempotent), request).await?, ()))
    }

    fn stream<T: Send + 'static>(
        &self,
        operation: Operation,
        mut open: impl FnMut() -> BoxStream<'static, Result<T>> + Send + 'static,
    ) -> BoxStream<'static, Result<T>> {
        let this = self.clone();
        let first = async move {
            let mut attempt = 1;
            loop {
                let mut pages = open();
                match pages.next().await {
                    Some(Ok(page)) => return stream::iter([Ok(page)]).chain(pages).boxed(),
                    None => return stream::empty().boxed(),
                    Some(Err(error)) => {
                        if let Err(error) = this.wait((operation.name, operation.idempotent), attempt, error).await {
                            return stream::iter([Err(error)]).boxed();
                        }
                    }
                }
                attempt += 1;
            }
        };
        stream::once(first).flatten().boxed()
    }
}
