//! What a layer implements.

use std::fmt::Debug;

use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt as _, stream};

use crate::{ByteStream, ObjectKey, Result, Upload};

/// What a layer does to each operation of the store that it wraps: [`layered`](super::layered)
/// wraps a store with it.
///
/// Only [`call`](Self::call) has to be written. A layer must not run a request again after it
/// succeeded, and again after an error only as [`decide`](crate::decide) allows for
/// [`Operation::idempotent`].
pub trait Layer: Debug + Clone + Send + Sync + 'static {
    /// What is held from the start of a get to the end of its body, such as a permit; `()` for
    /// most layers.
    type Held: Send + 'static;

    /// Runs a request: once, again, or not at all.
    ///
    /// # Errors
    /// Those of the request, or the layer's own.
    fn call<'a, T: Send + 'a>(
        &'a self,
        operation: Operation,
        request: impl FnMut() -> BoxFuture<'a, Result<T>> + Send + 'a,
    ) -> impl Future<Output = Result<(T, Self::Held)>> + Send + 'a;

    /// Passes on the body of a get, which is part of its operation. By default it is passed on as
    /// it is, and `held` is dropped when it has ended, failed or was dropped.
    fn body(&self, body: ByteStream, held: Self::Held) -> ByteStream {
        if !std::mem::needs_drop::<Self::Held>() {
            return body;
        }
        let passed = stream::unfold(Some((body, held)), |state| async {
            let (mut body, held) = state?;
            match body.next().await? {
                Ok(bytes) => Some((Ok(bytes), Some((body, held)))),
                Err(error) => Some((Err(error), None)),
            }
        });
        passed.boxed()
    }

    /// Whether the bytes of objects pass unchanged, so that a store may copy them from the store
    /// below by itself. The default, `false`, is safe: copies then pass through this layer.
    fn keeps_bytes(&self) -> bool {
        false
    }

    /// Runs a listing; `open` starts it from its beginning. By default it is passed on as it is.
    fn stream<T: Send + 'static>(
        &self,
        operation: Operation,
        mut open: impl FnMut() -> BoxStream<'static, Result<T>> + Send + 'static,
    ) -> BoxStream<'static, Result<T>> {
        let _ = operation;
        open()
    }
}

/// One operation of a store, as layers see it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Operation {
    /// Its name: `get`, `put`, `upload_part` and so on.
    pub name: &'static str,
    /// The key that it is about, if it is about one.
    pub key: Option<ObjectKey>,
    /// The upload that it is about.
    pub upload: Option<Upload>,
    /// The number of the part that it is about.
    pub part: Option<u32>,
    /// The bytes that are sent.
    pub bytes: u64,
    /// Whether it has the same effect when it is done twice as when it is done once.
    pub idempotent: bool,
}

impl Operation {
    pub(super) fn new(name: &'static str) -> Self {
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

    /// An operation that is not idempotent if it is `conditional`.
    pub(super) fn once_if(self, conditional: bool) -> Self {
        Self { idempotent: !conditional, ..self }
    }
}
