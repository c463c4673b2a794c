//! The listening socket, its connections and their shutdown.

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::service::{Connection, Service};
use crate::stats::Stats;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Running,
    Stopping,
    Killed,
}

/// A running server. Dropping it has the effect of [`kill`](Self::kill), without waiting.
pub struct Server {
    address: SocketAddr,
    scheme: &'static str,
    service: Arc<Service>,
    phase: watch::Sender<Phase>,
    accepting: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) async fn start(service: Arc<Service>, address: &str, tls: Option<TlsAcceptor>) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let phase = watch::Sender::new(Phase::Running);
        let accepting = accept(listener, tls, Arc::clone(&service), phase.subscribe());
        let accepting = Some(tokio::spawn(accepting));
        Ok(Self { address, scheme, service, phase, accepting })
    }

    /// The address on which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of the server, as clients need it: `http://127.0.0.1:41234`.
    pub fn endpoint(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// The counters since the server was started.
    pub fn stats(&self) -> Stats {
        self.service.recorder.snapshot()
    }

    /// Accepts no more connections, lets running requests finish and returns when the last
    /// connection is closed. Requests that a hook stalled are abandoned.
    pub async fn stop(self) {
        self.end(Phase::Stopping).await;
    }

    /// Resets all connections at whatever point they are, as if the server's process were
    /// killed.
    pub async fn kill(self) {
        self.end(Phase::Killed).await;
    }

    async fn end(mut self, phase: Phase) {
        self.phase.send_replace(phase);
        if let Some(accepting) = self.accepting.take() {
            // This fails only when the runtime shuts down, which ends the task too.
            let _ = accepting.await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.accepting.is_some() {
            self.phase.send_replace(Phase::Killed);
        }
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Server({})", self.endpoint())
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, service: Arc<Service>, phase: watch::Receiver<Phase>) {
    let mut connections = JoinSet::new();
    let mut ending = phase.clone();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connect(stream, tls.clone(), Arc::clone(&service), phase.clone()));
                }
                Err(error) => tracing::warn!("a connection was not accepted: {error}"),
            },
            Some(_) = connections.join_next() => {}
            () = reached(&mut ending, Phase::Stopping) => break,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Waits until the server is in this phase or a later one.
async fn reached(phase: &mut watch::Receiver<Phase>, wanted: Phase) {
    // The sender is dropped only together with the server.
    let _ = phase.wait_for(|phase| *phase >= wanted).await;
}

async fn connect(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    service: Arc<Service>,
    mut phase: watch::Receiver<Phase>,
) {
    let connection = Arc::new(Connection::default());
    // Small replies are sent immediately; if this cannot be set they are only later.
    let _ = stream.set_nodelay(true);
    let socket = Socket { stream, connection: Arc::clone(&connection) };
    let mut killed = phase.clone();
    let served = async {
        match tls {
            None => serve(socket, &connection, &service, &mut phase).await,
            Some(tls) => match tls.accept(socket).await {
                Ok(stream) => serve(stream, &connection, &service, &mut phase).await,
                Err(error) => tracing::debug!("the TLS handshake failed: {error}"),
            },
        }
    };
    // The flag is set before the socket is dropped with `served`.
    let reset = async {
        reached(&mut killed, Phase::Killed).await;
        connection.reset.store(true, Ordering::Relaxed);
    };
    tokio::select! {
        () = served => {}
        () = reset => {}
    }
}

async fn serve(
    io: impl AsyncRead + AsyncWrite + Unpin,
    connection: &Connection,
    service: &Service,
    phase: &mut watch::Receiver<Phase>,
) {
    let answer = service_fn(|request| service.answer(connection, request));
    let served = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(io), answer);
    let mut served = pin!(served);
    let stopping = reached(phase, Phase::Stopping);
    let result = tokio::select! {
        result = served.as_mut() => result,
        () = stopping => {
            if connection.stalled.load(Ordering::Relaxed) {
                return;
            }
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = result {
        tracing::debug!("a connection ended: {error}");
    }
}

/// A TCP stream that can be closed with a reset.
struct Socket {
    stream: TcpStream,
    connection: Arc<Connection>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.connection.reset.load(Ordering::Relaxed) {
            // If the linger time cannot be set, the socket is merely closed.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
