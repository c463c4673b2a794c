//! Request bodies.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use lepton_core::{ByteStream, Error, ErrorKind, SharedRuntime};

/// The body of a request. Its length is known, and it is handed to the connection in
/// pieces, without a copy.
pub(crate) struct RequestBody {
    content: Content,
    remaining: u64,
    watch: Option<Watch>,
}

enum Content {
    Bytes(Bytes),
    Stream(ByteStream),
}

impl RequestBody {
    pub(crate) fn bytes(bytes: Bytes) -> Self {
        Self { remaining: bytes.len() as u64, content: Content::Bytes(bytes), watch: None }
    }

    /// A body of exactly `len` bytes. If the stream yields more or fewer, or ends with an
    /// error, the request fails with that error.
    pub(crate) fn stream(len: u64, stream: ByteStream) -> Self {
        Self { content: Content::Stream(stream), remaining: len, watch: None }
    }

    pub(super) fn watched(mut self, env: SharedRuntime) -> (Self, Arc<Progress>) {
        let progress = Arc::new(Progress::new(env.uptime(), self.remaining == 0));
        self.watch = Some(Watch { progress: Arc::clone(&progress), env });
        (self, progress)
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        match &mut self.content {
            Content::Bytes(bytes) => Poll::Ready(Some(std::mem::take(bytes)).filter(|b| !b.is_empty()).map(Ok)),
            Content::Stream(stream) => stream.as_mut().poll_next(cx),
        }
    }

    fn count(&mut self, piece: Option<Result<Bytes, Error>>) -> Option<Result<Bytes, Error>> {
        let wrong = |what: &str, bytes: u64| {
            Error::new(ErrorKind::Unexpected, format!("the body gave {bytes} bytes {what} than it announced"))
        };
        match piece {
            None if self.remaining > 0 => Some(Err(wrong("fewer", self.remaining))),
            Some(Ok(bytes)) => match self.remaining.checked_sub(bytes.len() as u64) {
                Some(remaining) => {
                    self.remaining = remaining;
                    Some(Ok(bytes))
                }
                None => Some(Err(wrong("more", bytes.len() as u64 - self.remaining))),
            },
            other => other,
        }
    }
}

/// The connection abandons the body; [`Progress::failure`] has the reason.
#[derive(Debug)]
pub(crate) struct Stopped;

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the body was stopped")
    }
}

impl std::error::Error for Stopped {}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = Stopped;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Stopped>>> {
        let this = self.get_mut();
        if this.watch.as_ref().is_some_and(|watch| watch.progress.stopped.load(Ordering::Relaxed)) {
            return Poll::Ready(Some(Err(Stopped)));
        }
        let polled = this.poll_piece(cx);
        if let Some(watch) = &this.watch {
            watch.progress.source_pending.store(polled.is_pending(), Ordering::Relaxed);
            watch.progress.touch(watch.env.uptime());
        }
        let counted = this.count(ready!(polled));
        let Some(watch) = &this.watch else {
            return Poll::Ready(counted.map(|r| r.map(Frame::data).map_err(|_| Stopped)));
        };
        Poll::Ready(match counted {
            Some(Ok(bytes)) => {
                watch.progress.done.store(this.remaining == 0, Ordering::Relaxed);
                Some(Ok(Frame::data(bytes)))
            }
            Some(Err(error)) => {
                watch.progress.fail(error);
                Some(Err(Stopped))
            }
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}

struct Watch {
    progress: Arc<Progress>,
    env: SharedRuntime,
}

/// The progress of a request, shared between its body, which the connection polls, and
/// the caller, who waits for the response.
#[derive(Debug)]
pub(super) struct Progress {
    last: AtomicU64,
    source_pending: AtomicBool,
    done: AtomicBool,
    stopped: AtomicBool,
    failure: Mutex<Option<Error>>,
}

impl Progress {
    fn new(now: Duration, done: bool) -> Self {
        Self {
            last: AtomicU64::new(millis(now)),
            source_pending: AtomicBool::new(false),
            done: AtomicBool::new(done),
            stopped: AtomicBool::new(false),
            failure: Mutex::new(None),
        }
    }

    fn touch(&self, now: Duration) {
        self.last.store(millis(now), Ordering::Relaxed);
    }

    /// The time left of `limit` since the connection last took a piece; `None` if it has
    /// passed. The clock is stopped while the request waits for the source of the body,
    /// which has a timeout of its own.
    pub(super) fn idle_left(&self, now: Duration, limit: Duration) -> Option<Duration> {
        if self.source_pending.load(Ordering::Relaxed) {
            return Some(limit);
        }
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        limit.checked_sub(now.saturating_sub(last)).filter(|left| !left.is_zero())
    }

    /// Whether the connection has taken the whole body.
    pub(super) fn is_done(&self) -> bool {
        self.done.load(Ordering::Relaxed)
    }

    /// Makes the connection abandon a body that is no longer wanted.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    fn fail(&self, error: Error) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    /// The error that the body ended with, if any.
    pub(super) fn failure(&self) -> Option<Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
