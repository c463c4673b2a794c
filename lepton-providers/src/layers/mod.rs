//! Layers: stores around stores.
//!
//! - [`limit`]: at most so many requests at a time
//! - [`trace`](fn@trace): a `tracing` span for each operation
//! - [`retry`]: tries again, for callers that do not do so themselves
//!
//! A layer has a facet if and only if the store below has it. What the layers
//! share, the way through every operation, stands in `layered`; a layer is what
//! it does around one (`Around`).
//!
//! ```
//! # use std::{num::NonZeroUsize, sync::Arc};
//! # use lepton_core::{MemoryStorage, SharedStorage, SystemEnv};
//! use lepton_providers::layers;
//! let store: SharedStorage = Arc::new(MemoryStorage::new());
//! let store = layers::trace(store);
//! let store = layers::limit(store, NonZeroUsize::new(64).unwrap());
//! let store = layers::retry(store, layers::RetryOptions::default(), SystemEnv::shared())?;
//! # Ok::<(), lepton_core::Error>(())
//! ```

mod layered;
mod limit;
mod retry;
#[cfg(test)]
mod tests;
mod trace;

use std::fmt::Debug;

use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use lepton_core::{ByteStream, ObjectKey, Result, Upload};

pub use limit::limit;
pub use retry::{RetryOptions, retry};
pub use trace::trace;

/// What a layer does around the operations of the store below.
trait Around: Debug + Clone + Send + Sync + 'static {
    /// What is held from the start of a get to the end of its body.
    type Held: Send + 'static;

    /// Runs a request, as often as it likes.
    fn call<'a, T: Send + 'a>(
        &'a self,
        operation: Operation,
        request: impl FnMut() -> BoxFuture<'a, Result<T>> + Send + 'a,
    ) -> impl Future<Output = Result<(T, Self::Held)>> + Send + 'a;

    /// Passes the body of a get on, which is part of its operation.
    fn body(&self, body: ByteStream, held: Self::Held) -> ByteStream;

    /// Runs a listing.
    fn stream<T: Send + 'static>(
        &self,
        operation: Operation,
        open: impl FnMut() -> BoxStream<'static, Result<T>> + Send + 'static,
    ) -> BoxStream<'static, Result<T>>;
}

/// One operation of a store, as layers see it.
#[derive(Debug, Clone)]
struct Operation {
    name: &'static str,
    key: Option<ObjectKey>,
    upload: Option<Upload>,
    part: Option<u32>,
    /// What is sent, in bytes.
    bytes: u64,
    /// Whether doing it twice is the same as doing it once.
    idempotent: bool,
}

impl Operation {
    /// An operation that changes nothing, or the same however often it is done.
    fn idempotent(name: &'static str) -> Self {
        Self { name, key: None, upload: None, part: None, bytes: 0, idempotent: true }
    }

    fn on(self, key: &ObjectKey) -> Self {
        Self { key: Some(key.clone()), ..self }
    }

    fn of(self, upload: &Upload) -> Self {
        Self { upload: Some(upload.clone()), ..self.on(&upload.key) }
    }

    fn part(self, number: u32) -> Self {
        Self { part: Some(number), ..self }
    }

    fn bytes(self, bytes: u64) -> Self {
        Self { bytes, ..self }
    }

    fn only_once_if(self, conditional: bool) -> Self {
        Self { idempotent: !conditional, ..self }
    }
}
