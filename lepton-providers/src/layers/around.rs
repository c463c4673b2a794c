//! What a layer is: the work it does around each operation of the store below.

use std::fmt::Debug;

use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use lepton_core::{ByteStream, ObjectKey, Result, Upload};

/// The work that a layer does around the operations of the store below.
pub(super) trait Around: Debug + Clone + Send + Sync + 'static {
    /// A guard that lives from the start of a get to the end of its body.
    type Held: Send + 'static;

    /// Runs a request, any number of times.
    fn call<'a, T: Send + 'a>(
        &'a self,
        operation: Operation,
        request: impl FnMut() -> BoxFuture<'a, Result<T>> + Send + 'a,
    ) -> impl Future<Output = Result<(T, Self::Held)>> + Send + 'a;

    /// Passes on the body of a get, which is part of its operation.
    fn body(&self, body: ByteStream, held: Self::Held) -> ByteStream;

    /// Runs a listing.
    fn stream<T: Send + 'static>(
        &self,
        operation: Operation,
        open: impl FnMut() -> BoxStream<'static, Result<T>> + Send + 'static,
    ) -> BoxStream<'static, Result<T>>;
}

/// One operation of a store, as the layers see it.
#[derive(Debug, Clone)]
pub(super) struct Operation {
    pub(super) name: &'static str,
    pub(super) key: Option<ObjectKey>,
    pub(super) upload: Option<Upload>,
    pub(super) part: Option<u32>,
    /// The bytes sent.
    pub(super) bytes: u64,
    /// Whether running it twice has the same result as running it once.
    pub(super) idempotent: bool,
}

impl Operation {
    /// An operation that changes nothing, or has the same result however often it runs.
    pub(super) fn idempotent(name: &'static str) -> Self {
        Self { name, key: None, upload: None, part: None, bytes: 0, idempotent: true }
    }

    pub(super) fn on(self, key: &ObjectKey) -> Self {
        Self { key: Some(key.clone()), ..self }
    }

    pub(super) fn of(self, upload: &Upload) -> Self {
        Self { upload: Some(upload.clone()), ..self.on(&upload.key) }
    }

    pub(super) fn part(self, number: u32) -> Self {
        Self { part: Some(number), ..self }
    }

    pub(super) fn bytes(self, bytes: u64) -> Self {
        Self { bytes, ..self }
    }

    pub(super) fn only_once_if(self, conditional: bool) -> Self {
        Self { idempotent: !conditional, ..self }
    }
}
