//! Connections to one replica.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use lepton_core::{Error, ErrorKind, Result, RetryClass, SharedRuntime};
use tokio::net::TcpStream;

use super::bodies::Upload;
use super::timing::within;

/// Idle connections that are kept for one replica.
const IDLE: usize = 64;

/// Connections to one replica that wait for their next request.
#[derive(Debug, Default)]
pub(super) struct Pool(Mutex<Vec<(SendRequest<Upload>, Duration)>>);

impl Pool {
    /// A connection that was used before.
    pub(super) fn take(&self, now: Duration, keep_alive: Duration) -> Option<SendRequest<Upload>> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((connection, since)) = idle.pop() {
            if now.saturating_sub(since) >= keep_alive {
                // Those below it are older.
                idle.clear();
                return None;
            }
            if connection.is_ready() {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection for the next request.
    pub(super) fn put(&self, connection: SendRequest<Upload>, now: Duration) {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE {
            idle.push((connection, now));
        }
    }
}

/// Opens a connection.
///
/// # Errors
/// Nothing of a request has been sent.
pub(super) async fn connect(env: &SharedRuntime, address: &str, limit: Duration) -> Result<SendRequest<Upload>> {
    let failed = |error: std::io::Error| {
        let message = format!("no connection to {address}");
        Error::new(ErrorKind::Network, message).with_retry(RetryClass::Now).with_source(error)
    };
    let stream = within(env, limit, TcpStream::connect(address)).await;
    let stream = stream.unwrap_or_else(|| Err(std::io::ErrorKind::TimedOut.into())).map_err(failed)?;
    // Small requests are sent at once; if this cannot be set they are only later.
    let _ = stream.set_nodelay(true);
    let (sender, connection) = http1::Builder::new()
        .handshake::<_, Upload>(TokioIo::new(stream))
        .await
        .map_err(|error| Error::new(ErrorKind::Network, "no HTTP connection").with_source(error))?;
    env.spawn(Box::pin(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!("a connection to a replica ended: {error}");
        }
    }));
    Ok(sender)
}

/// Why a request has no answer.
#[derive(Debug)]
pub(super) struct Unanswered {
    pub(super) error: Error,
    /// The request, if nothing of it was sent.
    pub(super) unsent: Option<Box<Request<Upload>>>,
}

/// Sends a request, and returns the head of its answer.
pub(super) async fn send(
    connection: &mut SendRequest<Upload>,
    request: Request<Upload>,
) -> Result<Response<Incoming>, Unanswered> {
    connection.try_send_request(request).await.map_err(|mut failed| {
        let unsent = failed.take_message().map(Box::new);
        let error = Error::new(ErrorKind::Network, "the replica has not answered").with_source(failed.into_error());
        Unanswered { error, unsent }
    })
}
