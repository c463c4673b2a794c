//! A replica: a small application that remembers what it was asked.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use lepton_core::data_set::Side;
use lepton_core::traffic::Backend;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};

type Body = BoxBody<Bytes, Infallible>;

/// A replica, as its test sees it. It stops when it is dropped.
#[derive(Debug)]
pub(crate) struct Application {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    task: AbortHandle,
}

#[derive(Debug)]
struct State {
    side: Side,
    seen: Mutex<Vec<String>>,
    /// Requests for `/wait` are answered as soon as this is true.
    open: watch::Sender<bool>,
    healthy: AtomicBool,
    status: AtomicU16,
    events: Mutex<Option<mpsc::Receiver<Bytes>>>,
    /// What came over WebSockets.
    messages: Mutex<Vec<u8>>,
}

impl Application {
    pub(crate) async fn start(side: Side) -> Self {
        Self::listen(side, TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(crate) fn listen(side: Side, listener: TcpListener) -> Self {
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            side,
            seen: Mutex::default(),
            open: watch::Sender::new(true),
            healthy: AtomicBool::new(true),
            status: AtomicU16::new(200),
            events: Mutex::default(),
            messages: Mutex::default(),
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&state))).abort_handle();
        Self { address, state, task }
    }

    pub(crate) fn backend(&self) -> Backend {
        Backend::new(self.address.to_string(), self.address.to_string())
    }

    /// The requests that came, as `GET /path`, without those for its health.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.state.seen.lock().unwrap().clone()
    }

    /// Whether `/wait` is answered.
    pub(crate) fn open(&self, open: bool) {
        self.state.open.send_replace(open);
    }

    pub(crate) fn healthy(&self, healthy: bool) {
        self.state.healthy.store(healthy, Ordering::SeqCst);
    }

    pub(crate) fn status(&self, status: u16) {
        self.state.status.store(status, Ordering::SeqCst);
    }

    /// What the next GET of `/events` streams.
    pub(crate) fn events(&self) -> mpsc::Sender<Bytes> {
        let (send, receive) = mpsc::channel(1);
        *self.state.events.lock().unwrap() = Some(receive);
        send
    }

    pub(crate) fn messages(&self) -> Vec<u8> {
        self.state.messages.lock().unwrap().clone()
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let state = Arc::clone(&state);
        connections.spawn(async move {
            let service = service_fn(move |request| answer(Arc::clone(&state), request));
            let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            let _ = served.with_upgrades().await;
        });
    }
}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Body>, hyper::Error> {
    let path = request.uri().path().to_owned();
    if path == "/healthz" {
        let status = if state.healthy.load(Ordering::SeqCst) { 200 } else { 500 };
        return Ok(text(status, ""));
    }
    let target = request.uri().to_string();
    state.seen.lock().unwrap().push(format!("{} {target}", request.method()));
    match path.as_str() {
        "/wait" => {
            let body = request.into_body().collect().await?.to_bytes();
            let mut open = state.open.subscribe();
            let _ = open.wait_for(|open| *open).await;
            Ok(text(200, &format!("{} {}", state.side, body.len())))
        }
        "/headers" => {
            let line = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
                format!("{name}: {}\n", value.to_str().unwrap_or("?"))
            };
            let mut answer = text(200, &request.headers().iter().map(line).collect::<String>());
            let headers = answer.headers_mut();
            headers.insert("connection", "x-hop, keep-alive".parse().unwrap());
            headers.insert("x-hop", "1".parse().unwrap());
            headers.insert("x-end", "1".parse().unwrap());
            Ok(answer)
        }
        "/echo" => Ok(Response::new(request.into_body().collect().await?.map_err(|never| never).boxed())),
        "/events" => {
            let events = state.events.lock().unwrap().take().unwrap();
            let frames = futures_util::stream::unfold(events, async |mut events| {
                Some((Ok(Frame::data(events.recv().await?)), events))
            });
            let mut answer = Response::new(StreamBody::new(frames).boxed());
            answer.headers_mut().insert("content-type", "text/event-stream".parse().unwrap());
            Ok(answer)
        }
        "/socket" => Ok(socket(state, request)),
        _ => {
            request.into_body().collect().await?;
            Ok(text(state.status.load(Ordering::SeqCst), &state.side.to_string()))
        }
    }
}

fn text(status: u16, text: &str) -> Response<Body> {
    let mut answer = Response::new(Full::new(Bytes::from(text.to_owned())).boxed());
    *answer.status_mut() = status.try_into().unwrap();
    answer
}

/// Sends back each byte that comes, and keeps it.
fn socket(state: Arc<State>, mut request: Request<Incoming>) -> Response<Body> {
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut io = TokioIo::new(upgrade.await.unwrap());
        let mut buffer = [0; 4096];
        while let Ok(count) = io.read(&mut buffer).await {
            if count == 0 {
                return;
            }
            state.messages.lock().unwrap().extend(&buffer[..count]);
            if io.write_all(&buffer[..count]).await.is_err() || io.flush().await.is_err() {
                return;
            }
            // A masked close frame that the client or the router has sent.
            if buffer[..count].windows(2).any(|bytes| bytes == [0x88, 0x82]) {
                return;
            }
        }
    });
    let mut answer = text(101, "");
    answer.headers_mut().insert("connection", "Upgrade".parse().unwrap());
    answer.headers_mut().insert("upgrade", "websocket".parse().unwrap());
    answer.headers_mut().insert("sec-websocket-accept", "abc".parse().unwrap());
    answer
}
