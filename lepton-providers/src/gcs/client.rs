//! Authorises and sends requests, and distinguishes responses from refusals.

use std::sync::Arc;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request as HttpRequest, StatusCode};
use lepton_core::{
    Capabilities, Crc, ETag, Error, ErrorKind, ObjectKey, Precondition, Result, RetryClass, SharedRuntime,
};
use serde::de::DeserializeOwned;

use super::auth::Auth;
use super::error::Refusal;
use crate::auth::token::Token;
use crate::transport::{HttpClient, RequestBody};
use crate::wire::address::Address;
use crate::wire::attributes::insert;
use crate::wire::encode::{Query, encode_query, push_path};
use crate::wire::payload::Payload;
use crate::wire::refusal::{Condition, read_error_body};
use crate::wire::request::{self, Reply, malformed};
use crate::wire::secrets::Secrets;
use crate::wire::xml::Element;

/// The most of a document that is read, in bytes.
const LONGEST_DOCUMENT: usize = 16 << 20;

/// Timeout of operations that the service performs alone: completing an upload "can take
/// several minutes", according to its documentation.
pub(super) const LONG_TIMEOUT: Duration = Duration::from_secs(600);

/// The parts of a client, all validated.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) bucket: String,
    pub(super) address: Address,
    pub(super) capabilities: Capabilities,
    pub(super) env: SharedRuntime,
    pub(super) http: HttpClient,
    pub(super) auth: Auth,
    pub(super) options: RequestOptions,
}

/// Settings that affect requests.
#[derive(Debug, Default)]
pub(super) struct RequestOptions {
    /// The project that pays for requests.
    pub(super) user_project: Option<String>,
    pub(super) project: Option<String>,
    pub(super) kms_key_name: Option<String>,
    pub(super) storage_class: Option<String>,
    pub(super) upload_buffer: u64,
    /// The largest object that the service can copy.
    pub(super) largest_copy: u64,
}

/// A request before it is authorised.
pub(super) type Request<'a> = request::Request<'a, Payload, Target>;

/// Where a request goes.
#[derive(Debug, Default)]
pub(super) struct Target {
    /// Encoded.
    path: String,
    /// Whether the response holds the bytes of an object.
    media: bool,
}

impl Target {
    pub(super) fn path(path: String) -> Self {
        Self { path, media: false }
    }

    /// The bytes of an object, as they are stored.
    pub(super) fn media(path: String) -> Self {
        Self { path, media: true }
    }
}

impl Client {
    /// The path of the bucket's objects in the JSON protocol.
    pub(super) fn objects(&self) -> String {
        format!("/storage/v1/b/{}/o", encode_query(self.bucket.as_bytes()))
    }

    /// The path of an object in the JSON protocol.
    pub(super) fn object(&self, key: &ObjectKey) -> String {
        format!("{}/{}", self.objects(), encode_query(key.as_bytes()))
    }

    /// The path of an object, or of the bucket, in the XML protocol.
    pub(super) fn plain(&self, key: Option<&ObjectKey>) -> String {
        let Some(key) = key else { return format!("/{}", self.bucket) };
        // A proxy could resolve such segments.
        let dots = key.as_bytes().split(|byte| *byte == b'/').any(|segment| matches!(segment, b"." | b".."));
        match dots {
            true => format!("/{}/{}", self.bucket, encode_query(key.as_bytes())),
            false => self.readable(key),
        }
    }

    /// The same with unescaped slashes, as used in presigned URLs.
    pub(super) fn readable(&self, key: &ObjectKey) -> String {
        let mut path = format!("/{}/", self.bucket);
        push_path(&mut path, key.as_bytes());
        path
    }

    /// Sends a request. Errors name the operation and the key, and have the effect `None`
    /// if the request only reads.
    pub(super) async fn send(&self, request: Request<'_>) -> Result<Reply> {
        let call = request.call;
        self.send_once(request).await.map_err(|error| call.failed(error, self.place()))
    }

    /// Sends a request and reads the document in the response. The document may quote the
    /// secrets of the request, which are returned as the third element.
    async fn send_for_document(&self, request: Request<'_>) -> Result<(HeaderMap, Bytes, Secrets)> {
        let call = request.call;
        let document = self.send(request).await?.document(LONGEST_DOCUMENT).await;
        document.map_err(|error| call.named(error.with_effect(call.unread()), self.place()))
    }

    /// Sends a request and parses the JSON in the response.
    pub(super) async fn send_for_json<T: DeserializeOwned>(&self, request: Request<'_>) -> Result<T> {
        let call = request.call;
        let (_, document, secrets) = self.send_for_document(request).await?;
        serde_json::from_slice(&document).map_err(|source| {
            let error = malformed("the answer is not the JSON it should be").with_source(source);
            call.named(secrets.hidden(error.with_effect(call.unread())), self.place())
        })
    }

    /// Sends a request and parses the XML in the response; `read` gets its root, which
    /// has this name. A refusal may have the status of a success.
    pub(super) async fn send_for_xml<T>(
        &self,
        request: Request<'_>,
        root: &str,
        read: impl FnOnce(&HeaderMap, &Element<'_>) -> Result<T>,
    ) -> Result<T> {
        let call = request.call;
        let (headers, document, secrets) = self.send_for_document(request).await?;
        let named = |error: Error| call.named(secrets.hidden(error).with_effect(call.unread()), self.place());
        let element = Element::parse(&document).map_err(named)?;
        if element.name() == root.as_bytes() {
            return read(&headers, &element).map_err(named);
        }
        if element.name() == b"Error" {
            let refusal = Refusal::new(StatusCode::OK, &headers, &document, self.env.now());
            return Err(named(refusal.into_error(call.writes, self.auth.renews(), &secrets)));
        }
        Err(named(malformed("the answer is another document than it should be")))
    }

    /// The bucket, as errors name it.
    fn place(&self) -> (&'static str, &str) {
        ("bucket", &self.bucket)
    }

    async fn send_once(&self, request: Request<'_>) -> Result<Reply> {
        let (writes, timeout) = (request.call.writes, request.response_timeout);
        let of_bucket = request.target.path.ends_with(&self.objects());
        let (http, token) = self.authorised(request).await?;
        let proxy = self.http.proxy_authorization(http.uri());
        let secrets = Secrets::default().headers(http.headers()).header(proxy.as_ref());
        let sent = self.http.send_within(http, timeout).await.map_err(|error| secrets.hidden(error));
        let (head, body) = sent?.into_parts();
        if head.status.is_success() {
            return Ok(Reply { status: head.status, headers: head.headers, body, check: (), secrets });
        }
        let document = read_error_body(head.status, body).await?;
        let refusal = Refusal::new(head.status, &head.headers, &document, self.env.now());
        let error = refusal.of_bucket(of_bucket).into_error(writes, self.auth.renews(), &secrets);
        if let (RetryClass::RefreshCredentials, Some(used)) = (error.retry(), token) {
            self.auth.invalidate(&used).await;
        }
        Err(error)
    }

    /// The authorised request, and the token that it is sent with.
    async fn authorised(&self, request: Request<'_>) -> Result<(HttpRequest<RequestBody>, Option<Arc<Token>>)> {
        let Request { method, target: Target { path, media }, query, mut headers, payload, .. } = request;
        if let Some(project) = &self.options.user_project {
            insert(&mut headers, "x-goog-user-project", project)?;
        }
        if method == Method::PUT || method == Method::POST {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(payload.len));
        }
        let token = self.auth.token().await?;
        if let Some(token) = &token {
            headers.insert(AUTHORIZATION, token.header()?);
        } else if method == Method::GET {
            // A publicly readable object may come from a cache, and be stale.
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        }
        let host = HeaderValue::from_str(self.address.authority.as_str());
        headers.insert(HOST, host.map_err(|_| Error::invalid_input("the endpoint has no valid host"))?);
        // An object stored as gzip is read as stored: otherwise the service would
        // decompress it.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(if media { "gzip" } else { "identity" }));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("lepton/", env!("CARGO_PKG_VERSION"))));
        let mut http = HttpRequest::new(payload.into_body());
        *http.method_mut() = method;
        *http.uri_mut() = self.address.join(&path, &query.canonical())?;
        *http.headers_mut() = headers;
        Ok((http, token))
    }
}

/// The CRC-32C of a payload, in Base64.
pub(super) fn crc32c(payload: &Payload) -> String {
    BASE64_STANDARD.encode(&payload.crc(Crc::Crc32c).to_be_bytes()[4..])
}

/// Adds the condition of a write, as a generation.
pub(super) fn push_precondition(query: &mut Query, condition: &Precondition) -> Result<Condition> {
    match condition {
        Precondition::None => Ok(Condition::None),
        Precondition::IfAbsent => {
            query.push("ifGenerationMatch", "0");
            Ok(Condition::IfAbsent)
        }
        Precondition::IfMatch(etag) => {
            query.push("ifGenerationMatch", generation(etag)?);
            Ok(Condition::IfMatch)
        }
        other => Err(Error::unsupported(format!("the condition {other:?} is not known here"))),
    }
}

/// The generation that a tag stands for.
///
/// # Errors
/// `precondition_failed` if it is not a generation: no object here ever had this tag.
pub(super) fn generation(etag: &ETag) -> Result<&str> {
    let digits = etag.unquoted();
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(digits);
    }
    Err(Error::new(ErrorKind::PreconditionFailed, "the object is not the one that was expected"))
}
