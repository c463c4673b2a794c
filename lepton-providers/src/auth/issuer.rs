//! A client for services that issue credentials. Requests and responses are small, and no
//! secret of either appears in an error.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, HOST, HeaderValue};
use http::{Method, Request};
use http_body::Body as _;
use lepton_core::{Effect, Error, ErrorKind, Result, RetryClass, SharedRuntime};

use crate::transport::{HttpClient, RequestBody};
#[cfg(test)]
use crate::transport::{HttpOptions, proxies};
use crate::wire::refusal::by_status;
use crate::wire::secrets::Secrets;

/// The most of a response that is read, in bytes.
const LONGEST: usize = 64 << 10;

/// The client.
#[derive(Debug, Clone)]
pub(crate) struct Issuer {
    http: Arc<HttpClient>,
    pub(crate) env: SharedRuntime,
}

/// Makes a client for a service that issues credentials; `true` if it is reached through
/// the proxies.
pub(crate) type Issuers<'a> = &'a dyn Fn(bool) -> Result<Issuer>;

/// The response of the service.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
    /// The secrets that the request was sent with.
    pub(crate) secrets: Secrets,
}

impl Answer {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// A refusal, in the service's own words except for secrets.
    pub(crate) fn refusal(&self, why: &str) -> Error {
        let (kind, retry) = match by_status(self.status) {
            (kind, retry) if retry != RetryClass::Never => (kind, retry),
            _ => (ErrorKind::Unauthenticated, RetryClass::Never),
        };
        let why = self.secrets.printable(why);
        Error::new(kind, format!("no credentials were issued: {why}")).with_retry(retry).with_status(self.status)
    }

    /// The same error with the service's own code.
    pub(crate) fn coded(&self, error: Error, code: &str) -> Error {
        if code.is_empty() { error } else { error.with_code(self.secrets.printable(code)) }
    }
}

/// A request without a body.
pub(crate) fn get(uri: http::Uri) -> Request<RequestBody> {
    let mut request = Request::new(RequestBody::bytes(Bytes::new()));
    *request.uri_mut() = uri;
    request
}

/// A request with a body.
pub(crate) fn post(uri: http::Uri, body: impl Into<Bytes>) -> Request<RequestBody> {
    let mut request = Request::new(RequestBody::bytes(body.into()));
    (*request.method_mut(), *request.uri_mut()) = (Method::POST, uri);
    request
}

impl Issuer {
    pub(crate) fn new(http: HttpClient, env: SharedRuntime) -> Self {
        Self { http: Arc::new(http), env }
    }

    /// A client without proxies and TLS, for tests.
    #[cfg(test)]
    pub(crate) fn plain(env: &SharedRuntime) -> Self {
        let limit = Duration::from_secs(10);
        let options = HttpOptions {
            tls: false,
            ca_file: None,
            proxy: Arc::new(proxies(Some(&"none".into())).unwrap()),
            connect_timeout: limit,
            idle_timeout: limit,
            max_idle_connections: None,
        };
        Self::new(HttpClient::new(options, env.clone()).unwrap(), env.clone())
    }

    /// Sends a request. A refusal is a response too. `secrets` are those in its body;
    /// those in its headers are marked as sensitive.
    ///
    /// # Errors
    /// The errors of the network.
    pub(crate) async fn send(&self, mut request: Request<RequestBody>, secrets: Secrets) -> Result<Answer> {
        let secrets = secrets.headers(request.headers()).query(request.uri().query().unwrap_or_default());
        let secrets = secrets.header(self.http.proxy_authorization(request.uri()).as_ref());
        let host = request.uri().authority().map(|authority| authority.as_str().to_owned()).unwrap_or_default();
        let len = request.body().size_hint().exact().unwrap_or_default();
        let has_body = request.method() != Method::GET;
        let headers = request.headers_mut();
        if let Ok(host) = HeaderValue::from_str(&host) {
            headers.insert(HOST, host);
        }
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if has_body {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(len));
        }
        let named = |error: Error| {
            let error = secrets.hidden(error).with_effect(Effect::None);
            error.with_operation("credentials").with_context("issuer", &host)
        };
        let (head, body) = self.http.send(request).await.map_err(named)?.into_parts();
        let body = body.read(LONGEST).await.map_err(named)?;
        Ok(Answer { status: head.status.as_u16(), body, secrets })
    }

    /// Sends a request to a service that responds quickly or not at all; `message` says
    /// what to do then.
    ///
    /// # Errors
    /// `timeout`; the errors of the network.
    pub(crate) async fn send_within(
        &self,
        request: Request<RequestBody>,
        secrets: Secrets,
        timeout: Duration,
        message: &'static str,
    ) -> Result<Answer> {
        let exchange = Box::pin(self.send(request, secrets));
        match select(exchange, self.env.sleep(timeout)).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => Err(Error::new(ErrorKind::Timeout, message).with_retry(RetryClass::Now)),
        }
    }
}
