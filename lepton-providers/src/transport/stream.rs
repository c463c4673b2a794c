//! A connection that can still read a response after a write failed.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};

/// How often a failed write is deferred once the reader has found something.
const LAST_LOOKS: u8 = 16;

/// A server that refuses an upload may respond and close while the body is still being
/// sent. The write then fails although the response is ready to be read, so a failed
/// write is reported only after the reader has been polled a few times.
pub(super) struct Wire<T> {
    inner: T,
    proxied: bool,
    put_off: u8,
    /// Whether the reader is waiting. If so, it is woken by the response or the end of
    /// the stream, one of which comes soon on a broken connection.
    reader_waits: bool,
}

impl<T> Wire<T> {
    /// `proxied`: the other end is a proxy that expects absolute URIs.
    pub(super) fn new(inner: T, proxied: bool) -> Self {
        Self { inner, proxied, put_off: 0, reader_waits: false }
    }

    fn written(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let Poll::Ready(Err(error)) = &result else { return result };
        let closed = matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset);
        if !closed || self.put_off == LAST_LOOKS {
            return result;
        }
        if !self.reader_waits {
            self.put_off += 1;
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl<T: Read + Unpin> Read for Wire<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.inner).poll_read(cx, buf);
        self.reader_waits = result.is_pending();
        result
    }
}

impl<T: Write + Unpin> Write for Wire<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.written(cx, result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.written(cx, result)
    }
}

impl<T: Connection> Connection for Wire<T> {
    fn connected(&self) -> Connected {
        self.inner.connected().proxy(self.proxied)
    }
}
