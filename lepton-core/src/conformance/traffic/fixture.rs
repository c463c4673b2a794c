//! What the cases share.

use std::fmt::Debug;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_core::future::BoxFuture;
use futures_util::future::{Either, select};

use crate::conformance::expect::{Check, Stop};
use crate::data_set::{Clearance, DataVerdict, Side, Verdict};
use crate::traffic::{Hold, HoldLimits, HoldRequest, Route, Traffic};
use crate::{ErrorKind, Result, RuntimeExt as _, SharedRuntime, Task};

/// Which cases run.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Options {
    pub(super) only: Option<String>,
}

impl Options {
    /// All cases.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only the cases whose name contains this.
    #[must_use]
    pub fn only(mut self, text: impl Into<String>) -> Self {
        self.only = Some(text.into());
        self
    }
}

/// Somebody who sends requests to the route.
#[async_trait]
pub trait User: Debug + Send + Sync {
    /// Sends a request that writes, or one that reads, and returns the side that answered it,
    /// or `None` for 503. While the request is held, the call waits.
    ///
    /// # Errors
    /// Errors of the connection.
    async fn request(&self, writes: bool) -> Result<Option<Side>>;
}

/// A route in its first state, with backends at both sides, and its user.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Subject {
    /// The route.
    pub traffic: Arc<dyn Traffic>,
    /// Its user.
    pub user: Arc<dyn User>,
    /// The clock of the suite.
    pub env: SharedRuntime,
}

impl Subject {
    /// A route and its user.
    pub fn new(traffic: Arc<dyn Traffic>, user: Arc<dyn User>, env: SharedRuntime) -> Self {
        Self { traffic, user, env }
    }

    /// A hold of this epoch with long limits.
    pub(super) async fn hold(&self, epoch: u64) -> Result<Hold> {
        self.traffic.hold(HoldRequest::new(epoch)).await
    }

    pub(super) async fn hold_for(&self, epoch: u64, change: impl FnOnce(&mut HoldLimits)) -> Result<Hold> {
        let mut limits = HoldLimits::default();
        change(&mut limits);
        self.traffic.hold(HoldRequest::new(epoch).limits(limits)).await
    }

    /// Moves the ownership, and ends the hold.
    pub(super) async fn switch(&self, to: Side, hold: &Hold) -> Result<Route> {
        self.traffic.switch(cleared(to, hold.epoch)?, &hold.id, hold.epoch).await?;
        self.traffic.release(&hold.id, hold.epoch).await
    }

    /// Sends a write, which will be held, and waits until it is.
    pub(super) async fn held_write(&self, hold: &Hold, waiting: u64) -> Check<Task<Result<Option<Side>>>> {
        let user = Arc::clone(&self.user);
        let sent = self.env.spawn_task(async move { user.request(true).await });
        for _ in 0..500 {
            if self.traffic.renew(&hold.id).await?.waiting >= waiting {
                return Ok(sent);
            }
            self.pause().await;
        }
        Err(Stop::Failed(format!("the write is not among those that wait, {waiting} were expected")))
    }

    /// The side that answered a write that was held.
    pub(super) async fn answered(&self, write: Task<Result<Option<Side>>>) -> Check<Option<Side>> {
        match select(pin!(write.join()), self.env.sleep(Duration::from_secs(5))).await {
            Either::Left((answered, _)) => Ok(answered??),
            Either::Right(_) => Err(Stop::Failed("the held write was not answered within 5 s".to_owned())),
        }
    }

    pub(super) async fn pause(&self) {
        self.env.sleep(Duration::from_millis(10)).await;
    }
}

/// The clearance of a data set that has passed.
pub(super) fn cleared(to: Side, epoch: u64) -> Result<Clearance> {
    let verdict = DataVerdict::new("objects", epoch, to.other(), Verdict::Pass);
    Clearance::new(to, epoch, &["objects".to_owned()], &[verdict])
}

/// A name and the function that checks the promise.
pub(super) type Case = (&'static str, for<'a> fn(&'a Subject) -> BoxFuture<'a, Check>);

/// Fails unless the result is an error of this kind.
pub(super) fn refused<T>(what: &str, result: Result<T>, kind: ErrorKind) -> Check {
    match result {
        Err(error) if error.kind() == kind => Ok(()),
        Err(error) => Err(Stop::Failed(format!("{what}: expected {kind}, found {error:?}"))),
        Ok(_) => Err(Stop::Failed(format!("{what}: expected {kind}, but it was accepted"))),
    }
}
