//! Sends requests and follows redirects.

use http::header::{ACCEPT_ENCODING, AUTHORIZATION, HOST, LOCATION, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request as HttpRequest, StatusCode, Uri};
use lepton_core::{Capabilities, Effect, Error, ErrorKind, KeyRules, ObjectKey, Result, RetryClass, SharedRuntime};

use super::file::ListFile;
use super::redirect::resolve;
use crate::transport::{HttpClient, RequestBody, ResponseBody};
use crate::wire::address::Address;
use crate::wire::encode::push_path;
use crate::wire::refusal::{self, ErrorResponse, by_status, retry_after};
use crate::wire::secrets::Secrets;

/// The maximum number of redirects per request.
const REDIRECTS: usize = 5;
/// The most of a page or of a refusal that is read, in bytes.
pub(super) const LONGEST_PAGE: usize = 64 << 20;

/// The source of the listing.
#[derive(Debug)]
pub(super) enum Listed {
    /// The server's index pages.
    Index,
    /// The server's listing of a bucket.
    Bucket,
    /// A file.
    File(ListFile),
}

/// The parts of a client, all validated.
pub(super) struct Client {
    /// The folder on the server; its path has no trailing slash.
    pub(super) base: Address,
    /// The query of the URL, which is sent with every request. It may grant access.
    pub(super) query: String,
    pub(super) authorization: Option<HeaderValue>,
    pub(super) capabilities: Capabilities,
    /// Which keys can be requested.
    pub(super) reading: KeyRules,
    pub(super) listed: Listed,
    pub(super) http: HttpClient,
    pub(super) env: SharedRuntime,
}

/// A response that is not a refusal.
pub(super) struct Reply {
    /// Its URL, after all redirects.
    pub(super) uri: Uri,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: ResponseBody,
    /// The secrets that were sent, including those of redirects.
    pub(super) secrets: Secrets,
}

impl Client {
    /// Requests a file. Errors name the operation and the key.
    pub(super) async fn send(
        &self,
        operation: &'static str,
        method: Method,
        key: &ObjectKey,
        headers: HeaderMap,
    ) -> Result<Reply> {
        let named = |error: Error| error.with_operation(operation).with_context("key", key);
        self.reading.check(key).map_err(named)?;
        let uri = self.uri_of(key).await.map_err(named)?;
        self.ask(method, uri, headers).await.map_err(named)
    }

    /// The URL of a file.
    async fn uri_of(&self, key: &ObjectKey) -> Result<Uri> {
        if let Listed::File(list) = &self.listed
            && list.has_urls()
        {
            let line = list.line(&self.env, key).await?;
            let gone = || Error::new(ErrorKind::NotFound, "the list has no URL of this key");
            return line.and_then(|line| line.url.clone()).ok_or_else(gone);
        }
        let mut path = "/".to_owned();
        push_path(&mut path, key.as_bytes());
        self.base.join(&path, &self.query)
    }

    /// Requests a URL and follows redirects.
    pub(super) async fn ask(&self, method: Method, mut uri: Uri, headers: HeaderMap) -> Result<Reply> {
        let mut secrets = Secrets::default().header(self.authorization.as_ref()).any_query(&self.query);
        for _ in 0..=REDIRECTS {
            secrets = secrets.any_query(uri.query().unwrap_or_default());
            secrets = secrets.header(self.http.proxy_authorization(&uri).as_ref());
            let answered = self.once(&method, &uri, &headers).await.map_err(|error| secrets.hidden(error));
            let (head, body) = answered?;
            if head.status.is_success() {
                return Ok(Reply { uri, status: head.status, headers: head.headers, body, secrets });
            }
            if !matches!(head.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Err(self.refused(head.status, &head.headers, &secrets));
            }
            let Some(to) = head.headers.get(LOCATION).and_then(|to| resolve(&uri, to.as_bytes())) else {
                return Err(
                    Error::new(ErrorKind::Unexpected, "a redirect leads nowhere").with_status(head.status.as_u16())
                );
            };
            if uri.scheme_str() == Some("https") && to.scheme_str() != Some("https") {
                let message = "a redirect leads away from TLS, which is not followed";
                let host = secrets.printable(to.host().unwrap_or_default());
                return Err(Error::new(ErrorKind::Tls, message).with_context("host", host));
            }
            uri = to;
        }
        Err(Error::new(ErrorKind::Unexpected, format!("more than {REDIRECTS} redirects, one to another")))
    }

    async fn once(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<(http::response::Parts, ResponseBody)> {
        let mut request = HttpRequest::new(RequestBody::bytes(bytes::Bytes::new()));
        *request.method_mut() = method.clone();
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = headers.clone();
        let headers = request.headers_mut();
        // Credentials are sent only to the host that they were given for.
        let own = uri.scheme() == Some(&self.base.scheme) && uri.authority() == Some(&self.base.authority);
        if let Some(authorization) = self.authorization.as_ref().filter(|_| own) {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        let host = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
        let host = HeaderValue::from_str(host).map_err(|_| Error::invalid_input("a redirect has no valid host"))?;
        headers.insert(HOST, host);
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("lepton/", env!("CARGO_PKG_VERSION"))));
        let sent = self.http.send(request).await.map_err(|error| error.with_effect(Effect::None))?;
        Ok(sent.into_parts())
    }

    fn refused(&self, status: StatusCode, headers: &HeaderMap, secrets: &Secrets) -> Error {
        let (kind, retry) = match status {
            StatusCode::GONE => (ErrorKind::NotFound, RetryClass::Never),
            status => by_status(status.as_u16()),
        };
        let delay = headers.get(RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?, self.env.now()));
        let retry = match (retry, delay) {
            (RetryClass::Now | RetryClass::After(_), Some(delay)) => RetryClass::After(delay),
            (retry, _) => retry,
        };
        refusal::error(
            kind,
            retry,
            ErrorResponse { status: status.as_u16(), ..ErrorResponse::default() },
            false,
            secrets,
        )
    }
}
