//! A web server in this process. It is a fake: it shows manners that nginx has not, such as
//! lengths that are not said, conditions that are not heard and redirects to elsewhere.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use lepton_core::{RuntimeExt as _, SystemRuntime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: Method,
    /// Path and query.
    pub target: String,
    pub headers: HeaderMap,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// What to answer.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
    /// Whether the length is left unsaid.
    pub chunked: bool,
}

impl Answer {
    pub fn new(status: u16, body: impl Into<Bytes>) -> Self {
        Self { status, body: body.into(), ..Self::default() }
    }

    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    #[must_use]
    pub fn chunked(mut self, chunked: bool) -> Self {
        self.chunked = chunked;
        self
    }

    pub fn redirect(to: impl Into<String>) -> Self {
        Self::new(302, "").header("location", to)
    }
}

type Answers = Arc<dyn Fn(&Seen) -> Answer + Send + Sync>;

/// What a fake does, and what it has seen.
#[derive(Clone)]
pub struct Script {
    answers: Answers,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Script {
    pub fn new(answers: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        Self { answers: Arc::new(answers), seen: Arc::default() }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<BoxBody<Bytes, Infallible>> {
        let target = request.uri().path_and_query().unwrap().to_string();
        let seen = Seen { method: request.method().clone(), target, headers: request.headers().clone() };
        self.seen.lock().unwrap().push(seen.clone());
        let Answer { status, headers, body, chunked } = (self.answers)(&seen);
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(name, value);
        }
        let body = if chunked {
            let pieces: Vec<_> =
                body.chunks(64 << 10).map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece)))).collect();
            StreamBody::new(stream::iter(pieces)).boxed()
        } else {
            response = response.header("content-length", body.len());
            Full::from(body).boxed()
        };
        response.body(body).unwrap()
    }

    /// Serves one connection.
    pub async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let serve = service_fn(move |request| {
            let answer = self.answer(&request);
            async move { Ok::<_, Infallible>(answer) }
        });
        // A client may leave in the middle.
        let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), serve).await;
    }

    /// Begins to serve on a port of this machine; gives the address.
    pub async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (script, env) = (self.clone(), SystemRuntime::shared());
        drop(env.clone().spawn_task(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                drop(env.spawn_task(script.clone().serve(stream)));
            }
        }));
        format!("http://{address}")
    }
}

/// What a server of files leaves out of what it should do.
#[derive(Debug, Clone, Copy, Default)]
pub struct Manners {
    /// It says no length.
    pub chunked: bool,
    /// It knows no ranges.
    pub no_ranges: bool,
    /// It does not say the size of the whole with a range.
    pub no_size: bool,
    /// It does not hear conditions.
    pub no_conditions: bool,
    /// It gives no tags.
    pub no_tags: bool,
    /// It refuses HEAD with this.
    pub no_head: Option<u16>,
}

/// A server of these files, with index pages.
pub fn files(files: &[(&str, Bytes)], manners: Manners) -> Script {
    let files: BTreeMap<String, Bytes> =
        files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.clone())).collect();
    Script::new(move |seen| {
        let path = percent_encoding::percent_decode_str(seen.target.trim_start_matches('/')).decode_utf8().unwrap();
        match files.get(&*path) {
            _ if seen.method == Method::HEAD && manners.no_head.is_some() => {
                Answer::new(manners.no_head.unwrap_or_default(), "")
            }
            Some(bytes) => file(bytes, manners, seen),
            None if path.is_empty() || files.keys().any(|name| path.ends_with('/') && name.starts_with(&*path)) => {
                Answer::new(200, index(&files, &path)).chunked(manners.chunked)
            }
            None => Answer::new(404, "there is none"),
        }
    })
}

fn index(files: &BTreeMap<String, Bytes>, folder: &str) -> String {
    let below = files.keys().filter_map(|name| name.strip_prefix(folder));
    let names = below.map(|name| name.split_inclusive('/').next().unwrap());
    names.fold("<a href=\"../\">../</a>".to_owned(), |page, name| page + &format!("<a href=\"{name}\">{name}</a>"))
}

fn file(bytes: &Bytes, manners: Manners, seen: &Seen) -> Answer {
    let tag = format!("\"{:x}\"", lepton_core::crc(lepton_core::Crc::Crc64Nvme, bytes));
    if seen.header("if-match").is_some_and(|wanted| wanted != tag) && !manners.no_conditions {
        return Answer::new(412, "");
    }
    let tagged = |answer: Answer| {
        let answer = answer.chunked(manners.chunked);
        if manners.no_tags { answer } else { answer.header("etag", tag.clone()) }
    };
    let Some(range) = seen.header("range").filter(|_| !manners.no_ranges) else {
        return tagged(Answer::new(200, bytes.clone()));
    };
    let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
    let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
    let end = bytes.len().min(last + 1);
    if first >= end {
        return Answer::new(416, "");
    }
    let size = if manners.no_size { "*".to_owned() } else { bytes.len().to_string() };
    let header = format!("bytes {first}-{}/{size}", end - 1);
    tagged(Answer::new(206, bytes.slice(first..end)).header("content-range", header))
}
