//! The application: keeps items as objects, and answers with what it reads.
//!
//! `GET`, `PUT` and `DELETE /items/NAME`; `POST /items/NAME` makes a new object, whose name begins
//! with this one; `GET /socket`, a WebSocket whose messages are writes; `GET /ready`. A write is
//! answered when the store has it.

use std::convert::Infallible;
use std::hash::{BuildHasher as _, RandomState};
use std::pin::pin;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use lepton::core::{ErrorKind, PutOptions};
use lepton::{Error, Location, ObjectKey, Result, StorageExt as _};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Message, Role};

use crate::say::say;

/// The largest item.
const LARGEST: usize = 64 << 20;

/// Serves until the process gets SIGTERM; requests in flight end first.
pub(crate) async fn run() -> Result<()> {
    let variable = |name: &str| {
        std::env::var(name).map_err(|_| Error::invalid_input(format!("the application needs the variable {name}")))
    };
    let store = lepton::open(&variable("STORE")?).await?;
    let listen = format!("127.0.0.1:{}", variable("PORT")?);
    let failed = |error| Error::io(format!("cannot listen on {listen}"), error);
    let listener = TcpListener::bind(&listen).await.map_err(failed)?;
    say!("serving {} on {listen}", store.storage().url());
    let (ends, mut connections) = (watch::Sender::new(()), JoinSet::new());
    let mut end = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .map_err(|error| Error::io("cannot listen to signals", error))?;
    loop {
        let (stream, _) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(_) => continue,
            },
            _ = end.recv() => break,
        };
        while connections.try_join_next().is_some() {}
        let store = store.clone();
        let answer = service_fn(move |request| {
            let store = store.clone();
            async move { Ok::<_, Infallible>(answer(&store, request).await) }
        });
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).with_upgrades();
        let mut ends = ends.subscribe();
        connections.spawn(async move {
            let mut connection = pin!(connection);
            tokio::select! {
                _ = &mut connection => {}
                _ = ends.changed() => {
                    connection.as_mut().graceful_shutdown();
                    // The client may have left.
                    let _ = connection.await;
                }
            }
        });
    }
    drop(listener);
    ends.send_replace(());
    connections.join_all().await;
    Ok(())
}

async fn answer(store: &Location, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let outcome = match request.uri().path() {
        "/socket" => socket(store, request),
        _ => item(store, request).await,
    };
    match outcome {
        Ok(response) => response,
        Err(error) => {
            let status = match error.kind() {
                ErrorKind::NotFound => StatusCode::NOT_FOUND,
                ErrorKind::InvalidInput | ErrorKind::InvalidKey => StatusCode::BAD_REQUEST,
                ErrorKind::PermissionDenied => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::BAD_GATEWAY,
            };
            if status != StatusCode::NOT_FOUND {
                say!("{error}");
            }
            reply(status, error.to_string())
        }
    }
}

async fn item(store: &Location, request: Request<Incoming>) -> Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    if path == "/ready" {
        return Ok(reply(StatusCode::OK, "ready"));
    }
    let Some(name) = path.strip_prefix("/items/").filter(|name| !name.is_empty()) else {
        return Ok(reply(StatusCode::NOT_FOUND, "there are only items"));
    };
    let name = match head.method {
        Method::POST => format!("{name}_{:016x}", RandomState::new().hash_one(name)),
        _ => name.to_owned(),
    };
    let key = ObjectKey::new([store.folder().as_bytes(), name.as_bytes()].concat())?;
    let storage = store.storage();
    match head.method {
        Method::GET => Ok(reply(StatusCode::OK, storage.read(&key, LARGEST as u64).await?)),
        Method::PUT | Method::POST => {
            let body = Limited::new(body, LARGEST).collect().await;
            let body = body.map_err(|error| Error::invalid_input(format!("the upload broke off: {error}")))?;
            storage.put(&key, body.to_bytes().into(), PutOptions::new()).await?;
            Ok(reply(StatusCode::OK, "stored"))
        }
        Method::DELETE => {
            storage.remove(&key).await?;
            Ok(reply(StatusCode::OK, "deleted"))
        }
        _ => Ok(reply(StatusCode::METHOD_NOT_ALLOWED, "GET, PUT, POST or DELETE")),
    }
}

/// Accepts a WebSocket. Each message has the name of an item in its first line and the value behind
/// it; the answer is `stored`. A write that fails ends the WebSocket without an answer.
fn socket(store: &Location, mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>> {
    let key = request.headers().get(SEC_WEBSOCKET_KEY);
    let key = key.ok_or_else(|| Error::invalid_input("this is no request for a WebSocket"))?;
    let accept = HeaderValue::try_from(derive_accept_key(key.as_bytes()));
    let accept =
        accept.map_err(|error| Error::invalid_input("the key of the WebSocket is wrong").with_source(error))?;
    let upgrade = hyper::upgrade::on(&mut request);
    let store = store.clone();
    tokio::spawn(async move {
        if let Ok(stream) = upgrade.await {
            let socket = WebSocketStream::from_raw_socket(TokioIo::new(stream), Role::Server, None).await;
            if let Err(error) = messages(&store, socket).await {
                say!("{error}");
            }
        }
    });
    let mut response = reply(StatusCode::SWITCHING_PROTOCOLS, "");
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    Ok(response)
}

async fn messages(store: &Location, mut socket: WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>) -> Result<()> {
    while let Some(Ok(message)) = socket.next().await {
        let Message::Binary(message) = message else { continue };
        let end = message.iter().position(|byte| *byte == b'\n');
        let end = end.ok_or_else(|| Error::invalid_input("a message has no name"))?;
        let key = ObjectKey::new([store.folder().as_bytes(), &message[..end]].concat())?;
        store.storage().put(&key, message.slice(end + 1..).into(), PutOptions::new()).await?;
        if socket.send(Message::text("stored")).await.is_err() {
            break;
        }
    }
    Ok(())
}

fn reply(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response
}
