//! Response bodies.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use futures_core::future::BoxFuture;
use http_body::Body as _;
use hyper::body::Incoming;
use lepton_core::{Error, ErrorKind, Result, RetryClass, SharedRuntime};

use super::error::{broken, dripping, idle};

/// The body of a response. It yields every byte that was promised or ends with an error;
/// it never waits longer than the idle timeout.
pub(crate) struct ResponseBody {
    incoming: Incoming,
    /// The number of bytes still to come, if known.
    remaining: Option<u64>,
    env: SharedRuntime,
    limit: Duration,
    /// Since when the consumer has been waiting, and the timer set for it.
    waiting_since: Option<Duration>,
    alarm: Option<BoxFuture<'static, ()>>,
    ended: bool,
}

/// How long a document may take that is read whole: so many times the idle timeout, and longer for
/// each so many bytes. A server that sends a byte now and then is never idle.
const PATIENCE: u32 = 10;
const LEAST_RATE: u64 = 1024;

impl ResponseBody {
    pub(super) fn new(incoming: Incoming, env: SharedRuntime, limit: Duration) -> Self {
        let remaining = incoming.size_hint().exact();
        Self { incoming, remaining, env, limit, waiting_since: None, alarm: None, ended: false }
    }

    /// The length that the server announced.
    pub(crate) fn len(&self) -> Option<u64> {
        self.remaining
    }

    /// Reads the body to its end, which also frees the connection for others. Reading
    /// more than `limit` bytes is an error, and so is a server that drips.
    pub(crate) async fn read(mut self, limit: usize) -> Result<Bytes> {
        let begun = self.env.uptime();
        let mut first = Bytes::new();
        let mut rest = BytesMut::new();
        while let Some(piece) = std::future::poll_fn(|cx| Pin::new(&mut self).poll_next(cx)).await {
            let piece = piece?;
            if first.len() + rest.len() + piece.len() > limit {
                let message = format!("the server answered with more than {limit} bytes where that makes no sense");
                return Err(Error::new(ErrorKind::Unexpected, message));
            }
            let received = (first.len() + rest.len() + piece.len()) as u64;
            let most = self.limit.saturating_mul(PATIENCE) + Duration::from_secs(received / LEAST_RATE);
            if self.env.uptime().saturating_sub(begun) > most {
                return Err(dripping(received, most));
            }
            if first.is_empty() {
                first = piece;
            } else {
                rest.extend_from_slice(&piece);
            }
        }
        if rest.is_empty() {
            return Ok(first);
        }
        Ok([&first[..], &rest[..]].concat().into())
    }

    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        let now = self.env.uptime();
        let since = *self.waiting_since.get_or_insert(now);
        loop {
            let alarm = self.alarm.get_or_insert_with(|| self.env.sleep(self.limit));
            ready!(alarm.as_mut().poll(cx));
            let left = self.limit.saturating_sub(self.env.uptime().saturating_sub(since));
            if left.is_zero() {
                return Poll::Ready(idle(self.limit));
            }
            self.alarm = Some(self.env.sleep(left));
        }
    }

    fn end(&mut self, error: Option<Error>) -> Option<Result<Bytes>> {
        self.ended = true;
        error.map(Err)
    }

    fn take(&mut self, bytes: Bytes) -> Option<Result<Bytes>> {
        let Some(remaining) = self.remaining else { return Some(Ok(bytes)) };
        match remaining.checked_sub(bytes.len() as u64) {
            Some(left) => {
                self.remaining = Some(left);
                Some(Ok(bytes))
            }
            None => self.end(Some(Error::new(ErrorKind::Unexpected, "the server sent more bytes than it promised"))),
        }
    }
}

impl Stream for ResponseBody {
    type Item = Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        loop {
            let Poll::Ready(frame) = Pin::new(&mut this.incoming).poll_frame(cx) else {
                let error = ready!(this.poll_idle(cx));
                return Poll::Ready(this.end(Some(error)));
            };
            this.waiting_since = None;
            return Poll::Ready(match frame {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) => this.take(bytes),
                    Err(_trailers) => continue,
                },
                Some(Err(error)) => this.end(Some(broken("the connection broke while the answer was read", error))),
                None => {
                    let missing = this.remaining.filter(|bytes| *bytes > 0);
                    this.end(missing.map(|bytes| {
                        let message = format!("the connection ended {bytes} bytes before the end of the answer");
                        Error::new(ErrorKind::Network, message).with_retry(RetryClass::Now)
                    }))
                }
            });
        }
    }
}
