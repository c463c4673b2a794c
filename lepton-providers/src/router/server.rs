//! The listening socket and the connections of users.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::{Either, select};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::forward::answer;
use super::heads::Watch;
use super::hooks::{Hook, Hooked};
use super::request::{BUFFER, Client};
use super::shared::{Phase, Shared};
use super::timing::{EnvTimer, Idle, unless, within};
use super::tls::Certificate;

/// The pause after a connection could not be accepted, such as for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// The connections of users.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) shared: Arc<Shared>,
    pub(super) certificate: Option<Arc<Certificate>>,
    /// One permit for each connection that may be open.
    pub(super) connections: Arc<Semaphore>,
}

impl Server {
    /// Accepts connections until the router stops.
    pub(super) async fn accept(self: Arc<Self>, listener: TcpListener) {
        let accepting = async {
            loop {
                // Those beyond the limit wait in the queue of the system.
                let Ok(permit) = Arc::clone(&self.connections).acquire_owned().await else { return };
                match listener.accept().await {
                    Ok((stream, client)) => {
                        let this = Arc::clone(&self);
                        self.shared.start(this.serve(stream, client, permit));
                    }
                    Err(error) => {
                        tracing::warn!("a connection was not accepted: {error}");
                        self.shared.env.sleep(PAUSE).await;
                    }
                }
            }
        };
        let _ = unless(self.shared.reached(Phase::Stopping), accepting).await;
    }

    async fn serve(self: Arc<Self>, stream: TcpStream, client: SocketAddr, permit: OwnedSemaphorePermit) {
        // Small answers are sent at once; if this cannot be set they are only later.
        let _ = stream.set_nodelay(true);
        let limits = &self.shared.config.limits;
        let stream = Hooked::new(stream, Idle::new(Arc::clone(&self.shared.env), limits.idle_time));
        let client = Client {
            address: client.ip(),
            https: self.certificate.is_some(),
            place: Arc::new(permit),
            found: Arc::default(),
        };
        let Some(certificate) = &self.certificate else { return self.http(stream, client).await };
        match within(&self.shared.env, limits.header_time, certificate.acceptor().accept(stream)).await {
            Some(Ok(stream)) => self.http(stream, client).await,
            Some(Err(error)) => tracing::debug!("the TLS handshake failed: {error}"),
            None => tracing::debug!("the TLS handshake took too long"),
        }
    }

    async fn http(&self, io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, client: Client) {
        let limits = &self.shared.config.limits;
        let (shared, found) = (Arc::clone(&self.shared), Arc::clone(&client.found));
        let service = service_fn(move |request| {
            let shared = Arc::clone(&shared);
            let client = client.clone();
            async move { Ok::<_, Infallible>(answer(&shared, client, request).await) }
        });
        let served = http1::Builder::new()
            .timer(EnvTimer(Arc::clone(&self.shared.env)))
            .header_read_timeout(limits.header_time)
            .max_header_size(limits.header_bytes)
            .max_headers(limits.headers)
            .max_buf_size(BUFFER)
            .serve_connection(TokioIo::new(Hooked::new(io, Watch::new(found))), service)
            .with_upgrades();
        let mut served = pin!(served);
        let stopping = pin!(self.shared.reached(Phase::Stopping));
        let result = match select(served.as_mut(), stopping).await {
            Either::Left((result, _)) => result,
            Either::Right(_) => {
                served.as_mut().graceful_shutdown();
                served.await
            }
        };
        if let Err(error) = result {
            tracing::debug!("a connection ended: {error}");
        }
    }
}

/// A stream fails if the other end takes nothing for too long.
impl Hook for Idle {
    fn written<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.reset();
        } else if self.poll_over(cx) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        polled
    }
}
