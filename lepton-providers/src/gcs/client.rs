//! Authorises and sends requests, and distinguishes responses from refusals.

use std::sync::Arc;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, HOST, HeaderName, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request as HttpRequest, StatusCode};
use lepton_core::{
    Body, Capabilities, Crc, ETag, Effect, Error, ErrorKind, ObjectKey, Precondition, Result, Retry, SharedEnv,
};
use serde::de::DeserializeOwned;

use super::auth::Auth;
use super::error::Refusal;
use super::headers::insert;
use crate::auth::token::Token;
use crate::transport::{HttpClient, RequestBody, ResponseBody};
use crate::wire::address::Address;
use crate::wire::encode::{Query, encode_query, push_path};
use crate::wire::payload::Payload;
use crate::wire::refusal::{Condition, for_condition, why};
use crate::wire::secrets::Secrets;
use crate::wire::xml::Element;

/// The most of a document that is read, in bytes.
const LONGEST_DOCUMENT: usize = 16 << 20;

/// Timeout of operations that the service performs alone: completing an upload "can take
/// several minutes", according to its documentation.
const PATIENCE: Duration = Duration::from_secs(600);

/// The parts of a client, all validated.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) bucket: String,
    pub(super) address: Address,
    pub(super) capabilities: Capabilities,
    pub(super) env: SharedEnv,
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
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) operation: &'static str,
    pub(super) method: Method,
    /// Encoded.
    pub(super) path: String,
    /// For messages.
    pub(super) key: Option<&'a ObjectKey>,
    pub(super) query: Query,
    pub(super) headers: HeaderMap,
    pub(super) payload: Payload,
    pub(super) condition: Condition,
    /// Whether the response holds the bytes of an object.
    media: bool,
    /// How long the service may process it without sending anything.
    patience: Duration,
}

impl<'a> Request<'a> {
    pub(super) fn new(operation: &'static str, method: Method, path: String, key: Option<&'a ObjectKey>) -> Self {
        Self {
            operation,
            method,
            path,
            key,
            query: Query::new(),
            headers: HeaderMap::new(),
            payload: Payload::default(),
            condition: Condition::None,
            media: false,
            patience: Duration::ZERO,
        }
    }

    /// Allows for a service that does all the work before it responds.
    pub(super) fn patient(mut self) -> Self {
        self.patience = PATIENCE;
        self
    }

    /// Requests the bytes of an object, as they are stored.
    pub(super) fn media(mut self) -> Self {
        self.media = true;
        self
    }

    pub(super) fn query(mut self, query: Query) -> Self {
        self.query = query;
        self
    }

    pub(super) fn headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        self
    }

    pub(super) fn payload(mut self, payload: Payload) -> Self {
        self.payload = payload;
        self
    }

    pub(super) fn condition(mut self, condition: Condition) -> Self {
        self.condition = condition;
        self
    }

    fn writes(&self) -> bool {
        self.method != Method::GET && self.method != Method::HEAD
    }

    /// The effect of the request if the response makes no sense.
    fn effect(&self) -> Effect {
        if self.writes() { Effect::Unknown } else { Effect::None }
    }
}

/// A response that is not a refusal.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: ResponseBody,
    /// The secrets that the request was sent with.
    pub(super) secrets: Secrets,
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
        let (named, writes, condition) = (self.named(&request), request.writes(), request.condition);
        self.send_once(request).await.map_err(|error| {
            let error = if writes { error } else { error.with_effect(Effect::None) };
            named(for_condition(error, condition))
        })
    }

    /// Sends a request and reads the document in the response. The document may quote the
    /// secrets of the request, which are returned as the third element.
    async fn send_for_document(&self, request: Request<'_>) -> Result<(HeaderMap, Bytes, Secrets)> {
        let (named, effect) = (self.named(&request), request.effect());
        let reply = self.send(request).await?;
        let document = reply.body.read(LONGEST_DOCUMENT).await;
        let document = document.map_err(|error| named(error.with_effect(effect)))?;
        Ok((reply.headers, document, reply.secrets))
    }

    /// Sends a request and parses the JSON in the response.
    pub(super) async fn send_for_json<T: DeserializeOwned>(&self, request: Request<'_>) -> Result<T> {
        let (named, effect) = (self.named(&request), request.effect());
        let (_, document, secrets) = self.send_for_document(request).await?;
        serde_json::from_slice(&document).map_err(|source| {
            let error = wrong("the answer is not the JSON it should be").with_effect(effect).with_source(source);
            named(secrets.hidden(error))
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
        let (named, effect, writes) = (self.named(&request), request.effect(), request.writes());
        let (headers, document, secrets) = self.send_for_document(request).await?;
        let named = |error: Error| named(secrets.hidden(error).with_effect(effect));
        let element = Element::parse(&document).map_err(named)?;
        if element.name() == root.as_bytes() {
            return read(&headers, &element).map_err(named);
        }
        if element.name() == b"Error" {
            let refusal = Refusal::new(StatusCode::OK, &headers, &document, self.env.now());
            return Err(named(refusal.into_error(writes, self.auth.renews(), &secrets)));
        }
        Err(named(wrong("the answer is another document than it should be")))
    }

    /// Adds operation, bucket and key to an error.
    fn named(&self, request: &Request<'_>) -> impl Fn(Error) -> Error + use<> {
        let (operation, bucket, key) = (request.operation, self.bucket.clone(), request.key.cloned());
        move |error| {
            let error = error.with_operation(operation).with_context("bucket", &bucket);
            match &key {
                Some(key) => error.with_context("key", key),
                None => error,
            }
        }
    }

    async fn send_once(&self, request: Request<'_>) -> Result<Reply> {
        let writes = request.writes();
        let of_bucket = request.path.ends_with(&self.objects());
        let patience = request.patience;
        let (http, token) = self.authorised(request).await?;
        let proxy = self.http.proxy_authorization(http.uri());
        let secrets = Secrets::default().headers(http.headers()).header(proxy.as_ref());
        let sent = self.http.send_within(http, patience).await.map_err(|error| secrets.hidden(error));
        let (head, body) = sent?.into_parts();
        if head.status.is_success() {
            return Ok(Reply { status: head.status, headers: head.headers, body, secrets });
        }
        let document = why(head.status, body).await?;
        let refusal = Refusal::new(head.status, &head.headers, &document, self.env.now());
        let error = refusal.of_bucket(of_bucket).into_error(writes, self.auth.renews(), &secrets);
        if let (Retry::RefreshCredentials, Some(used)) = (error.retry(), token) {
            self.auth.expired(&used).await;
        }
        Err(error)
    }

    /// The authorised request, and the token that it is sent with.
    async fn authorised(&self, request: Request<'_>) -> Result<(HttpRequest<RequestBody>, Option<Arc<Token>>)> {
        let Request { method, path, query, mut headers, payload, media, .. } = request;
        if let Some(project) = &self.options.user_project {
            insert(&mut headers, HeaderName::from_static("x-goog-user-project"), project)?;
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

    /// Buffers a body that is to be sent.
    pub(super) async fn held(&self, body: &Body) -> Result<Payload> {
        Payload::hold(body, self.options.upload_buffer).await
    }

    /// Refuses a key that the service would not hold exactly.
    pub(super) fn check_key(&self, key: &ObjectKey, operation: &'static str) -> Result<()> {
        self.capabilities.keys.check(key).map_err(|error| error.with_operation(operation))
    }

    /// Reads the rest of a response, so that its connection can be reused.
    pub(super) async fn drain(&self, reply: Reply) {
        // The request has succeeded; only the connection could suffer.
        let _ = reply.body.read(64 << 10).await;
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

pub(super) fn wrong(why: &'static str) -> Error {
    Error::new(ErrorKind::Unexpected, format!("the service's answer makes no sense: {why}"))
}
