//! One request from its first line to its reply: counted, passed to the hooks, and served by
//! the S3 protocol or by the upstream server.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, EXPECT, HeaderValue, TRANSFER_ENCODING};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use crate::forward::Upstream;
use crate::hooks::{Action, Failure, Hooks, Moment};
use crate::protocol::Body;
use crate::request::RequestInfo;
use crate::s3::S3;
use crate::stats::Recorder;
use crate::wire::{Reply, Request};

/// The handler of requests that no hook answers.
#[derive(Clone)]
pub(crate) enum Backing {
    Storage(Arc<S3>),
    Server(Box<Upstream>),
}

impl Backing {
    /// The domain below which hosts are named after buckets.
    fn domain(&self) -> Option<&str> {
        match self {
            Self::Storage(s3) => s3.domain.as_deref(),
            Self::Server(_) => None,
        }
    }
}

/// The state shared by all connections of a server.
pub(crate) struct Service {
    pub(crate) backing: Backing,
    pub(crate) hooks: Option<Arc<dyn Hooks>>,
    pub(crate) recorder: Recorder,
    pub(crate) request_ids: AtomicU64,
}

/// What a request can demand of its connection.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    /// The socket is reset when it is dropped, instead of being closed.
    pub(crate) reset: AtomicBool,
    /// A request on it will never end.
    pub(crate) stalled: AtomicBool,
}

/// Makes hyper drop the connection.
#[derive(Debug)]
pub(crate) struct Dropped;

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is dropped")
    }
}

impl std::error::Error for Dropped {}

impl Service {
    pub(crate) async fn answer(
        &self,
        connection: &Connection,
        request: http::Request<Incoming>,
    ) -> Result<Response<Reply>, Dropped> {
        let mut info = RequestInfo::parse(request.method(), request.uri(), request.headers(), self.backing.domain());
        info.id = format!("{:016X}", self.request_ids.fetch_add(1, Ordering::Relaxed));
        self.recorder.arrived(&mut info);
        let action = self.hooks.as_ref().map_or(Action::Pass, |hooks| hooks.on_request(&info));
        let info = Arc::new(info);
        let unasked = expects_nothing(request.headers());
        let request = request.map(|body| Request::new(body, Arc::clone(&info), self.recorder.clone(), &action));
        let reset = || {
            connection.reset.store(true, Ordering::Relaxed);
            Err(Dropped)
        };
        let response = match &action {
            Action::Reset(Moment::BeforeReading) => return reset(),
            Action::Reset(Moment::BeforeEffect) => {
                drain(request.into_body()).await;
                return reset();
            }
            Action::Reset(Moment::AfterEffect) => {
                self.serve(&info, request).await?;
                return reset();
            }
            Action::Stall => {
                connection.stalled.store(true, Ordering::Relaxed);
                std::future::pending().await
            }
            Action::Fail(failure) => {
                drain(request.into_body()).await;
                failed(failure)
            }
            Action::FailInside(code) => {
                drain(request.into_body()).await;
                failed(&Failure::new(200, *code))
            }
            Action::Delay(time) => {
                tokio::time::sleep(*time).await;
                self.serve(&info, request).await?
            }
            Action::Hold(gate) => {
                gate.passed().await;
                self.serve(&info, request).await?
            }
            Action::HoldReply(gate) => {
                let served = self.serve(&info, request).await?;
                gate.passed().await;
                served
            }
            Action::StallAfter(_) => {
                connection.stalled.store(true, Ordering::Relaxed);
                self.serve(&info, request).await?
            }
            Action::Twice => self.twice(&info, request).await?,
            _ => self.serve(&info, request).await?,
        };
        let mut response = altered(marked(response, &info), &action).await?;
        if unasked {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response.map(|body| Reply::new(body, info.operation, self.recorder.clone(), &action)))
    }

    async fn serve(&self, info: &RequestInfo, request: http::Request<Request>) -> Result<Response<Body>, Dropped> {
        self.call(info, request.map(Body::new)).await
    }

    async fn twice(&self, info: &RequestInfo, request: http::Request<Request>) -> Result<Response<Body>, Dropped> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| Dropped)?.to_bytes();
        let again = || http::Request::from_parts(head.clone(), Body::from(body.clone()));
        let first = self.call(info, again()).await?;
        drop(first.into_body().collect().await);
        self.call(info, again()).await
    }

    async fn call(&self, info: &RequestInfo, request: http::Request<Body>) -> Result<Response<Body>, Dropped> {
        let response = match &self.backing {
            Backing::Storage(s3) => s3.answer(info, request).await,
            Backing::Server(server) => server.call(request).await.map_err(|source| {
                tracing::warn!(operation = info.operation, "the request was not answered: {source}");
                Dropped
            })?,
        };
        if response.status().is_success() {
            self.recorder.succeeded(info);
        }
        Ok(response)
    }
}

/// Adds the id that clients report to a response, unless it has one.
fn marked(mut response: Response<Body>, info: &RequestInfo) -> Response<Body> {
    if let Ok(id) = HeaderValue::try_from(&info.id) {
        response.headers_mut().entry("x-amz-request-id").or_insert(id);
    }
    response
}

/// Whether the client waits for a `100 Continue` although it has no body to send. Botocore does
/// this, and misreads the next reply on the same connection, so the connection must not be
/// reused.
fn expects_nothing(headers: &HeaderMap) -> bool {
    headers.contains_key(EXPECT) && headers.get(CONTENT_LENGTH).is_some_and(|len| len == "0")
}

/// Applies an action to the head of a reply, and to its body as a whole.
async fn altered(mut response: Response<Body>, action: &Action) -> Result<Response<Body>, Dropped> {
    match *action {
        Action::Shorten(most) => {
            let len = response.headers().get(CONTENT_LENGTH).and_then(|len| len.to_str().ok()?.parse::<u64>().ok());
            if let Some(len) = len {
                response.headers_mut().insert(CONTENT_LENGTH, len.min(most).into());
            }
        }
        Action::Shift(by) => {
            if let Some(range) = response.headers().get(CONTENT_RANGE).and_then(|range| shifted(range, by)) {
                response.headers_mut().insert(CONTENT_RANGE, range);
            }
        }
        Action::Rewrite(rewrite) => {
            let (mut head, body) = response.into_parts();
            let body = body.collect().await.map_err(|_| Dropped)?.to_bytes();
            let body = rewrite(&String::from_utf8_lossy(&body));
            head.headers.insert(CONTENT_LENGTH, body.len().into());
            head.headers.remove(TRANSFER_ENCODING);
            response = Response::from_parts(head, Body::from(body));
        }
        _ => {}
    }
    Ok(response)
}

/// Rewrites `bytes 5-9/20` to `bytes 6-10/20`.
fn shifted(range: &HeaderValue, by: u64) -> Option<HeaderValue> {
    let (range, size) = range.to_str().ok()?.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last) = (first.parse::<u64>().ok()?, last.parse::<u64>().ok()?);
    HeaderValue::try_from(format!("bytes {}-{}/{size}", first + by, last + by)).ok()
}

async fn drain(mut body: Request) {
    while let Some(Ok(_)) = body.frame().await {}
}

fn failed(failure: &Failure) -> Response<Body> {
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{}</Code><Message>A hook says so</Message></Error>",
        failure.code
    );
    let body = if failure.status == StatusCode::NOT_MODIFIED { String::new() } else { xml };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = failure.status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    for (name, value) in &failure.headers {
        if let (Ok(name), Ok(value)) = (http::HeaderName::try_from(*name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
