//! How a side is made to refuse its application's writes, and how that is proven.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures_core::future::BoxFuture;
use lepton_core::data_set::{Quiesced, Side};
use lepton_core::{
    Body, ETag, Error, ErrorKind, Location, ObjectKey, Precondition, PutOptions, Result, RetryClass, StorageExt as _,
};

/// How a side is made to refuse the writes of its application, while Lepton's own credentials
/// still write.
#[async_trait]
pub trait Quiesce: fmt::Debug + Send + Sync {
    /// Makes `side` refuse its application's writes, or accept them again, and proves it. It is
    /// idempotent.
    ///
    /// # Errors
    /// `precondition_failed` if the side still accepts writes afterwards; errors of the side.
    async fn quiesce(&self, side: Side, deny: bool, epoch: u64) -> Result<Quiesced>;
}

#[async_trait]
impl<Q: Quiesce + ?Sized> Quiesce for Arc<Q> {
    async fn quiesce(&self, side: Side, deny: bool, epoch: u64) -> Result<Quiesced> {
        (**self).quiesce(side, deny, epoch).await
    }
}

/// Only the router sends writes. That is an assumption, which nothing proves: a job that writes
/// to the old side by itself is not stopped.
#[derive(Debug, Clone, Copy, Default)]
pub struct AssumeRouterOnly;

#[async_trait]
impl Quiesce for AssumeRouterOnly {
    async fn quiesce(&self, _: Side, deny: bool, _: u64) -> Result<Quiesced> {
        Ok(if deny { Quiesced::Assumed } else { Quiesced::Lifted })
    }
}

/// The name of the object that a probe tries to write: always the same one, so that probes whose
/// driver died do not add up.
const PROBE: &[u8] = b".lepton-probe";

type Switch = Arc<dyn Fn(Side, bool, u64) -> BoxFuture<'static, Result<()>> + Send + Sync>;

/// A policy of the store, or a key of the application, that is switched by a function of the
/// user; the proof is a write with the application's credentials.
#[derive(Clone)]
pub struct StoreQuiesce {
    switch: Switch,
    a: Location,
    b: Location,
}

impl StoreQuiesce {
    /// `switch` makes a side refuse writes (`true`) or accept them, in the fence of this epoch. `a`
    /// and `b` are the data set at both sides, opened with the application's credentials.
    pub fn new<F, S>(switch: F, a: impl Into<Location>, b: impl Into<Location>) -> Self
    where
        F: Fn(Side, bool, u64) -> S + Send + Sync + 'static,
        S: Future<Output = Result<()>> + Send + 'static,
    {
        Self {
            switch: Arc::new(move |side, deny, epoch| Box::pin(switch(side, deny, epoch))),
            a: a.into(),
            b: b.into(),
        }
    }

    /// Tries a write; returns how the side refused it, or `None` if it would have accepted it.
    /// Where the store has conditional writes, the write has a condition that does not hold, so
    /// that nothing is written in either case: stores check the permission first.
    async fn probe(&self, side: Side) -> Result<Option<String>> {
        let place = match side {
            Side::A => &self.a,
            Side::B => &self.b,
        };
        let storage = place.storage();
        let key = ObjectKey::new([place.folder().as_bytes(), PROBE].concat())?;
        let body = Body::from(b"a write that must be refused".to_vec());
        let mut options = PutOptions::new();
        if storage.capabilities().put_if_match.is_available() {
            options = options.precondition(Precondition::IfMatch(ETag::new("\"00000000000000000000000000000000\"")));
        }
        match storage.put(&key, body, options).await {
            Ok(_) => {
                storage.remove(&key).await?;
                Ok(None)
            }
            Err(error) => match error.kind() {
                ErrorKind::PermissionDenied | ErrorKind::ReadOnly => Ok(Some(error.to_string())),
                ErrorKind::PreconditionFailed | ErrorKind::NotFound => Ok(None),
                _ => Err(error),
            },
        }
    }
}

impl fmt::Debug for StoreQuiesce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreQuiesce").field("a", &self.a).field("b", &self.b).finish_non_exhaustive()
    }
}

#[async_trait]
impl Quiesce for StoreQuiesce {
    async fn quiesce(&self, side: Side, deny: bool, epoch: u64) -> Result<Quiesced> {
        (self.switch)(side, deny, epoch).await?;
        let refused = self.probe(side).await?;
        let wrong =
            |message: String| Err(Error::new(ErrorKind::PreconditionFailed, message).with_retry(RetryClass::Never));
        match (refused, deny) {
            (Some(how), true) => Ok(Quiesced::Proven(how)),
            (None, false) => Ok(Quiesced::Lifted),
            (None, true) => wrong(format!("side {side} accepts writes although it was made to refuse them")),
            (Some(how), false) => {
                wrong(format!("side {side} refuses writes although it was made to accept them: {how}"))
            }
        }
    }
}
