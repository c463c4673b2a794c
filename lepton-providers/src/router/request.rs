//! Incoming requests: checks one, and decides how it is handled.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{self, HeaderValue};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, StatusCode, Uri, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use secrecy::ExposeSecret as _;
use tokio::sync::OwnedSemaphorePermit;

use super::classify::{Class, classify};
use super::config::{RouterConfig, TestRoute};
use super::headers;
use super::heads::Found;

/// Bytes of a body that the server reads before they are polled: its buffer, and one piece that
/// was taken from it.
pub(super) const READ_AHEAD: u64 = 2 * BUFFER as u64;

/// The buffer of a connection.
pub(super) const BUFFER: usize = 64 << 10;

/// Where a request came from.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) address: IpAddr,
    pub(super) https: bool,
    pub(super) place: Place,
    /// What was found in the bytes of the connection.
    pub(super) found: Arc<Found>,
}

/// A place among the connections that may be open.
pub(super) type Place = Arc<OwnedSemaphorePermit>;

/// What was found about a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way {
    pub(super) class: Class,
    /// It goes to the side that is not in the route.
    pub(super) test: bool,
    pub(super) websocket: bool,
    /// The most of its body that can have been read already.
    pub(super) bytes: u64,
}

/// A refusal: the status, and why.
pub(super) type Refused = (StatusCode, &'static str);

/// Checks a request, and changes its head to that which is sent on.
pub(super) fn prepare(config: &RouterConfig, client: &Client, request: &mut Request<Incoming>) -> Result<Way, Refused> {
    if client.found.both() {
        return Err((StatusCode::BAD_REQUEST, "Content-Length and Transfer-Encoding exclude each other"));
    }
    check(request)?;
    let expects = request.headers_mut().remove(header::EXPECT).is_some();
    let test = config.test.as_ref().is_some_and(|test| takes_test_route(test, request));
    let websocket = request.method() == Method::GET && headers::wants_websocket(request.headers());
    let class = classify(&config.routes, request.method(), request.uri().path(), request.headers(), websocket);
    let bytes = match request.body().size_hint().exact() {
        // The client waits for 100 Continue and has sent nothing.
        _ if expects => 0,
        Some(length) => length.min(READ_AHEAD),
        None => READ_AHEAD,
    };
    origin_form(request)?;
    let headers = request.headers_mut();
    headers::strip(headers);
    headers.remove(headers::SHADOW);
    headers::forwarded(headers, client.address, client.https, config.trust_forwarded);
    if websocket {
        headers::upgrade(headers);
    }
    // HTTP/1.0 has requests without it.
    headers.entry(header::HOST).or_insert(HeaderValue::from_static(""));
    *request.version_mut() = Version::HTTP_11;
    Ok(Way { class, test, websocket, bytes })
}

fn check(request: &Request<Incoming>) -> Result<(), Refused> {
    let headers = request.headers();
    if request.method() == Method::CONNECT {
        return Err((StatusCode::METHOD_NOT_ALLOWED, "CONNECT is not served"));
    }
    let hosts = headers.get_all(header::HOST).iter().count();
    if hosts > 1 || (hosts == 0 && request.version() == Version::HTTP_11) {
        return Err((StatusCode::BAD_REQUEST, "a request has exactly one Host"));
    }
    if headers.contains_key(header::TRANSFER_ENCODING) {
        let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
        let only = codings.next().is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
        if !only || codings.next().is_some() {
            return Err((StatusCode::NOT_IMPLEMENTED, "chunked is the only Transfer-Encoding that is served"));
        }
    }
    match headers.get(header::EXPECT) {
        Some(expect) if !expect.as_bytes().eq_ignore_ascii_case(b"100-continue") => {
            Err((StatusCode::EXPECTATION_FAILED, "100-continue is the only expectation that is met"))
        }
        _ => Ok(()),
    }
}

/// Whether a request has the token of the test route, which is removed.
fn takes_test_route(test: &TestRoute, request: &mut Request<Incoming>) -> bool {
    let token = test.token.expose_secret().as_bytes();
    let sent = request.headers_mut().remove(test.header.as_str());
    if sent.is_some_and(|sent| same(sent.as_bytes(), token)) {
        return true;
    }
    let Some(prefix) = &test.prefix else { return false };
    let target = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
    let below = target.strip_prefix(prefix.as_str()).and_then(|rest| rest.strip_prefix('/'));
    let Some(below) = below.filter(|below| below.len() >= token.len()) else { return false };
    let (sent, rest) = below.as_bytes().split_at(token.len());
    if !same(sent, token) || !matches!(rest.first(), None | Some(b'/' | b'?')) {
        return false;
    }
    let rest = if rest.first() == Some(&b'/') { rest.to_vec() } else { [b"/", rest].concat() };
    let Ok(uri) = Uri::try_from(rest) else { return false };
    *request.uri_mut() = uri;
    true
}

/// Compares in a time that does not depend on where the two differ.
fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |found, (one, other)| found | (one ^ other)) == 0
}

/// The target as a server expects it. The host of a target in absolute form replaces `Host`.
fn origin_form(request: &mut Request<Incoming>) -> Result<(), Refused> {
    let wrong = (StatusCode::BAD_REQUEST, "the target of the request is wrong");
    if let Some(authority) = request.uri().authority() {
        let host = authority.as_str().rsplit('@').next().unwrap_or_default();
        let host = HeaderValue::from_str(host).map_err(|_| wrong)?;
        let headers: &mut HeaderMap = request.headers_mut();
        headers.insert(header::HOST, host);
    }
    let target = request.uri().path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from(target);
    Ok(())
}
