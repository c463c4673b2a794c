//! The bodies of requests and replies, and the faults that a reply can carry.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep};

use crate::hooks::Action;
use crate::protocol::{Body, BoxError};
use crate::request::RequestInfo;
use crate::stats::Recorder;

/// A request's body, counted when it ends or is dropped.
pub(crate) struct Request {
    inner: Incoming,
    info: Arc<RequestInfo>,
    recorder: Recorder,
    uncounted: u64,
    passed: u64,
    /// The offset of the byte to corrupt.
    flip: Option<u64>,
}

impl Request {
    pub(crate) fn new(inner: Incoming, info: Arc<RequestInfo>, recorder: Recorder, action: &Action) -> Self {
        let flip = if let Action::FlipRequest(at) = *action { Some(at) } else { None };
        Self { inner, info, recorder, uncounted: 0, passed: 0, flip }
    }

    fn count(&mut self) {
        let bytes = std::mem::take(&mut self.uncounted);
        if bytes > 0 {
            self.recorder.bytes_in(&self.info, bytes);
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.count();
    }
}

impl http_body::Body for Request {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        let Some(Ok(frame)) = frame else {
            self.count();
            return Poll::Ready(frame);
        };
        let (passed, flip) = (self.passed, self.flip);
        let len = frame.data_ref().map_or(0, |data| data.len() as u64);
        self.uncounted += len;
        self.passed += len;
        Poll::Ready(Some(Ok(frame.map_data(|data| flipped(data, flip.and_then(|at| at.checked_sub(passed)))))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A reply's body, counted as it is sent, with its fault.
pub(crate) struct Reply {
    inner: Body,
    operation: &'static str,
    recorder: Recorder,
    sent: u64,
    fault: Option<Fault>,
}

enum Fault {
    End { after: u64, then: Ending },
    Flip { at: u64 },
    Trickle { piece: usize, pause: Duration, timer: Option<Pin<Box<Sleep>>>, rest: Bytes },
}

enum Ending {
    /// The connection breaks, after a short delay so that the sent bytes arrive.
    Break(Option<Pin<Box<Sleep>>>),
    Stall,
    /// As if the body were complete.
    Whole,
}

const FLUSH: Duration = Duration::from_millis(20);

impl Reply {
    pub(crate) fn new(inner: Body, operation: &'static str, recorder: Recorder, action: &Action) -> Self {
        let fault = match *action {
            Action::Truncate(after) => Some(Fault::End { after, then: Ending::Break(None) }),
            Action::StallAfter(after) => Some(Fault::End { after, then: Ending::Stall }),
            Action::Shorten(after) => Some(Fault::End { after, then: Ending::Whole }),
            Action::Flip(at) => Some(Fault::Flip { at }),
            Action::Trickle(piece, pause) => {
                let piece = usize::try_from(piece).unwrap_or(usize::MAX).max(1);
                Some(Fault::Trickle { piece, pause, timer: None, rest: Bytes::new() })
            }
            _ => None,
        };
        Self { inner, operation, recorder, sent: 0, fault }
    }

    /// The next bytes without the fault.
    fn poll_inner(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        loop {
            let Some(frame) = ready!(Pin::new(&mut self.inner).poll_frame(cx)?) else { return Poll::Ready(None) };
            if let Ok(data) = frame.into_data() {
                return Poll::Ready(Some(Ok(data)));
            }
        }
    }

    /// The next bytes as the client sees them.
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        let sent = self.sent;
        match &mut self.fault {
            Some(Fault::End { after, then }) if sent >= *after => {
                let timer = match then {
                    Ending::Break(timer) => timer,
                    Ending::Stall => return Poll::Pending,
                    Ending::Whole => return Poll::Ready(None),
                };
                ready!(timer.get_or_insert_with(|| Box::pin(sleep(FLUSH))).as_mut().poll(cx));
                return Poll::Ready(Some(Err("a hook ended the reply early".into())));
            }
            Some(Fault::Trickle { piece, pause, timer, rest }) if !rest.is_empty() => {
                ready!(timer.get_or_insert_with(|| Box::pin(sleep(*pause))).as_mut().poll(cx));
                *timer = None;
                let next = rest.split_to(rest.len().min(*piece));
                return Poll::Ready(Some(Ok(next)));
            }
            _ => {}
        }
        let Some(bytes) = ready!(self.poll_inner(cx)?) else { return Poll::Ready(None) };
        match &mut self.fault {
            None => Poll::Ready(Some(Ok(bytes))),
            Some(Fault::End { after, .. }) => {
                let left = usize::try_from(*after - sent).unwrap_or(usize::MAX);
                Poll::Ready(Some(Ok(bytes.slice(..bytes.len().min(left)))))
            }
            Some(Fault::Flip { at }) => Poll::Ready(Some(Ok(flipped(bytes, at.checked_sub(sent))))),
            Some(Fault::Trickle { rest, .. }) => {
                *rest = bytes;
                self.poll_bytes(cx)
            }
        }
    }
}

fn flipped(bytes: Bytes, at: Option<u64>) -> Bytes {
    match at.and_then(|at| usize::try_from(at).ok()) {
        Some(at) if at < bytes.len() => {
            let mut changed = bytes.to_vec();
            changed[at] ^= 1;
            changed.into()
        }
        _ => bytes,
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.recorder.bytes_out(self.operation, self.sent);
    }
}

impl http_body::Body for Reply {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let bytes = ready!(self.poll_bytes(cx)?);
        if let Some(bytes) = &bytes {
            self.sent += bytes.len() as u64;
        }
        Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.fault.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let whole = self.inner.size_hint();
        match (&self.fault, whole.exact()) {
            (Some(Fault::End { after, then: Ending::Whole }), Some(len)) => SizeHint::with_exact(len.min(*after)),
            _ => whole,
        }
    }
}
