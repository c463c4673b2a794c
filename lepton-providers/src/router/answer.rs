//! The body of an answer, on its way from a replica to the client.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::future::BoxFuture;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use lepton_core::SharedRuntime;

use super::bodies::Upload;
use super::flight::Flight;
use super::sides::Lease;
use super::timing::unless;

/// A body for the client: a text of the router, or what a replica sends.
#[derive(Debug)]
pub(super) enum AnswerBody {
    Text(Option<Bytes>),
    Stream(Box<Streamed>),
}

/// What a replica sends. The request is in flight until the end of it.
pub(super) struct Streamed {
    open: Option<Open>,
    env: SharedRuntime,
}

struct Open {
    body: Incoming,
    flight: Flight,
    cut: BoxFuture<'static, ()>,
    lease: Lease,
    connection: SendRequest<Upload>,
}

impl AnswerBody {
    pub(super) fn text(text: impl Into<Bytes>) -> Self {
        Self::Text(Some(text.into()))
    }

    pub(super) fn stream(
        body: Incoming,
        flight: Flight,
        lease: Lease,
        connection: SendRequest<Upload>,
        env: &SharedRuntime,
    ) -> Self {
        let cut = flight.cut();
        let open = Some(Open { body, flight, cut, lease, connection });
        let mut streamed = Streamed { open, env: Arc::clone(env) };
        streamed.end_if_over();
        Self::Stream(Box::new(streamed))
    }
}

impl Streamed {
    /// Ends the request if the body has ended. The server may not poll it again after the last
    /// byte, so this is checked after each frame.
    fn end_if_over(&mut self) {
        if self.open.as_ref().is_some_and(|open| open.body.is_end_stream()) {
            self.end();
        }
    }

    fn end(&mut self) {
        if let Some(mut open) = self.open.take() {
            open.flight.answered();
            Arc::clone(&open.lease.0).give_back(open.connection, &self.env);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Some(open) = &mut self.open else { return Poll::Ready(None) };
        if open.cut.as_mut().poll(cx).is_ready() {
            self.open = None;
            return Poll::Ready(Some(Err(io::Error::other("cut off by a drain"))));
        }
        match Pin::new(&mut open.body).poll_frame(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => {
                self.end();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Ok(frame))) => {
                self.end_if_over();
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                self.open = None;
                Poll::Ready(Some(Err(io::Error::other(error))))
            }
        }
    }
}

impl Drop for Streamed {
    /// The client has disconnected. A read is cancelled; the answer to a write is read to its end,
    /// because the replica may work on it until then.
    fn drop(&mut self) {
        self.end_if_over();
        if let Some(open) = self.open.take().filter(|open| open.flight.may_write()) {
            self.env.spawn(Box::pin(read_out(open)));
        }
    }
}

async fn read_out(open: Open) {
    let Open { mut body, mut flight, cut, lease: _lease, connection: _connection } = open;
    let end = async {
        while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            if frame.is_err() {
                return false;
            }
        }
        true
    };
    if unless(cut, end).await == Some(true) {
        flight.answered();
    }
}

impl std::fmt::Debug for Streamed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Streamed")
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut *self {
            Self::Text(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Self::Stream(streamed) => streamed.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Text(text) => text.as_ref().is_none_or(Bytes::is_empty),
            Self::Stream(streamed) => streamed.open.as_ref().is_none_or(|open| open.body.is_end_stream()),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
            Self::Stream(streamed) => {
                streamed.open.as_ref().map_or_else(|| SizeHint::with_exact(0), |open| open.body.size_hint())
            }
        }
    }
}
