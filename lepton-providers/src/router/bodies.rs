//! The body of a request, on its way from the client to a replica.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use lepton_core::SharedRuntime;

use super::timing::Idle;

/// A body that is read from the client only as fast as the replica takes it.
pub(super) struct Upload {
    inner: Option<Incoming>,
    idle: Option<Idle>,
    progress: Arc<Progress>,
}

/// How far a body is.
#[derive(Debug, Default)]
pub(super) struct Progress {
    broken: AtomicBool,
    frames: AtomicU64,
}

impl Progress {
    /// Whether it was the client that failed.
    pub(super) fn broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// Counts what has been read from the client.
    pub(super) fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }
}

impl Upload {
    pub(super) fn new(inner: Incoming, env: &SharedRuntime, limit: Duration) -> Self {
        let idle = Some(Idle::new(Arc::clone(env), limit));
        Self { inner: Some(inner), idle, progress: Arc::default() }
    }

    pub(super) fn empty() -> Self {
        Self { inner: None, idle: None, progress: Arc::default() }
    }

    pub(super) fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    fn fail<T>(&mut self, error: io::Error) -> Poll<Option<io::Result<T>>> {
        self.progress.broken.store(true, Ordering::Relaxed);
        self.inner = None;
        Poll::Ready(Some(Err(error)))
    }
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Upload")
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Self { inner: Some(inner), idle, .. } = &mut *self else { return Poll::Ready(None) };
        let polled = Pin::new(inner).poll_frame(cx);
        if polled.is_pending() {
            if idle.as_mut().is_some_and(|idle| idle.poll_over(cx)) {
                return self.fail(io::ErrorKind::TimedOut.into());
            }
            return Poll::Pending;
        }
        if let Some(idle) = idle {
            idle.reset();
        }
        match ready!(polled) {
            Some(Err(error)) => self.fail(io::Error::other(error)),
            Some(Ok(frame)) => {
                self.progress.frames.fetch_add(1, Ordering::Relaxed);
                Poll::Ready(Some(Ok(frame)))
            }
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
