//! Authorises and sends requests, and distinguishes responses from refusals.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request as HttpRequest};
use lepton_core::{Capabilities, ChecksumAlgorithm, Effect, Error, Result, RetryClass, ServerCheck, SharedRuntime};
use secrecy::ExposeSecret as _;
use tokio::sync::OnceCell;

use super::auth::Auth;
use super::endpoint::Endpoint;
use super::error::Refusal;
use crate::auth::token::Token;
use crate::transport::HttpClient;
use crate::wire::attributes::{insert, text};
use crate::wire::encode::Query;
use crate::wire::payload::Payload;
use crate::wire::refusal::{Condition, read_error_body};
use crate::wire::request::{self, Reply};
use crate::wire::secrets::Secrets;

/// The version of the protocol, which is sent with every request.
pub(super) const API_VERSION: &str = "2024-11-04";

/// The most of a document that is read, in bytes: a page of a listing has up to 5,000
/// names of 1,024 characters, a list of blocks 100,000 names of 88.
const LONGEST_DOCUMENT: usize = 64 << 20;

/// Timeout of operations that the service performs alone: it makes a blob of 50,000
/// blocks, or copies a block.
pub(super) const LONG_TIMEOUT: Duration = Duration::from_secs(120);

/// The parts of a client, all validated.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) container: String,
    pub(super) endpoint: Endpoint,
    pub(super) capabilities: Capabilities,
    pub(super) env: SharedRuntime,
    pub(super) http: HttpClient,
    pub(super) auth: Auth,
    pub(super) options: RequestOptions,
    /// Whether the container has responded; if so, a missing blob does not mean a missing
    /// container.
    pub(super) seen: AtomicBool,
    /// Whether the account has a hierarchical namespace, if it reports that.
    pub(super) kind: OnceCell<bool>,
    /// When the last block was sent, in milliseconds since 1970.
    pub(super) moments: AtomicU64,
}

/// Settings that affect requests.
#[derive(Debug, Default)]
pub(super) struct RequestOptions {
    /// Headers of requests that read or write the content of a blob.
    pub(super) customer_key: HeaderMap,
    /// Headers of requests that write a blob.
    pub(super) write: HeaderMap,
    pub(super) access_tier: Option<String>,
    pub(super) upload_buffer: u64,
    /// Whether blobs are deleted with their snapshots.
    pub(super) with_snapshots: bool,
}

/// A request before it is authorised. Its target is a container, unless it is the store's
/// own.
pub(super) type Request<'a> = request::Request<'a, Payload, Option<&'a str>>;

impl Client {
    /// Sends a request. Errors name the operation and the key, and have the effect `None`
    /// if the request only reads.
    pub(super) async fn send(&self, request: Request<'_>) -> Result<Reply> {
        let mut call = request.call;
        let own = request.target.is_none_or(|container| container == self.container);
        let sent = match call.writes && call.key.is_some() {
            true => self.check_account().await,
            false => Ok(()),
        };
        let sent = match sent {
            Ok(()) => self.send_once(request).await,
            Err(error) => Err(error),
        };
        let sent = sent.map_err(|error| {
            if of_source(&error) {
                call.condition = Condition::None;
            }
            call.failed(error, self.place())
        });
        if own && sent.as_ref().is_ok_and(|reply| reply.status.is_success()) {
            self.seen.store(true, Ordering::Relaxed);
        }
        sent
    }

    /// Refuses to write to an account with a hierarchical namespace under the rules of
    /// others. The account is queried until it responds; if it refuses to report its
    /// kind, the settings apply.
    async fn check_account(&self) -> Result<()> {
        if matches!(self.capabilities.preset.as_str(), "hierarchical" | "azurite") {
            return Ok(());
        }
        let hierarchical = self.kind.get_or_try_init(|| async {
            let query = Query::new().with("restype", "account").with("comp", "properties");
            let reply = match self.send_once(Request::new("account", Method::GET, None).query(query)).await {
                Ok(reply) => reply,
                Err(error) if error.retry() == RetryClass::Never => return Ok(false),
                Err(error) => return Err(error.with_effect(Effect::None)),
            };
            let hierarchical = text(&reply.headers, "x-ms-is-hns-enabled").is_some_and(|value| value == "true");
            reply.drain().await;
            Ok(hierarchical)
        });
        if !*hierarchical.await? {
            return Ok(());
        }
        let message =
            "the account has a hierarchical namespace, where keys are paths of files; set preset=hierarchical";
        Err(Error::unsupported(message).with_effect(Effect::None))
    }

    /// Sends a request and reads the document in the response. The document may quote the
    /// secrets of the request, which are returned as the third element.
    pub(super) async fn send_for_document(&self, request: Request<'_>) -> Result<(HeaderMap, Bytes, Secrets)> {
        let call = request.call;
        let document = self.send(request).await?.document(LONGEST_DOCUMENT).await;
        let document = document.map_err(|error| call.named(error.with_effect(call.unread()), self.place()));
        let (headers, document, secrets) = document?;
        // Documents of the service begin with a byte order mark.
        let mark = if document.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        Ok((headers, document.slice(mark..), secrets))
    }

    /// The container, as errors name it.
    fn place(&self) -> (&'static str, &str) {
        ("container", &self.container)
    }

    async fn send_once(&self, request: Request<'_>) -> Result<Reply> {
        let (writes, timeout) = (request.call.writes, request.response_timeout);
        let path = match (request.target, request.call.key) {
            (Some(container), Some(key)) => self.endpoint.path_in(container, key),
            (_, key) => self.endpoint.path(key),
        };
        let (http, token) = self.authorised(request, &path).await?;
        let secrets = self.secrets(&http);
        let sent = self.http.send_within(http, timeout).await.map_err(|error| secrets.hidden(error));
        let (head, body) = sent?.into_parts();
        if head.status.is_success() {
            return Ok(Reply { status: head.status, headers: head.headers, body, check: (), secrets });
        }
        let document = read_error_body(head.status, body).await?;
        let refusal = Refusal::new(head.status, &head.headers, &document, self.env.now());
        let error = refusal.into_error(writes, token.is_some(), &secrets);
        if let (RetryClass::RefreshCredentials, Some(used)) = (error.retry(), token) {
            self.auth.invalidate(&used).await;
        }
        Err(error)
    }

    /// The secrets that a request is sent with: those in its headers and its query, those
    /// that signed it, and those for a proxy.
    fn secrets(&self, request: &HttpRequest<crate::transport::RequestBody>) -> Secrets {
        let secrets = Secrets::default().headers(request.headers()).query(request.uri().query().unwrap_or_default());
        let secrets = secrets.header(self.http.proxy_authorization(request.uri()).as_ref());
        match &self.auth {
            Auth::Key(key) => secrets.text(&key.text()),
            _ => secrets,
        }
    }

    /// The authorised request, and the token that it is sent with.
    async fn authorised(
        &self,
        request: Request<'_>,
        path: &str,
    ) -> Result<(HttpRequest<crate::transport::RequestBody>, Option<Arc<Token>>)> {
        let Request { method, mut query, mut headers, payload, .. } = request;
        let date = httpdate::fmt_http_date(self.env.now());
        insert(&mut headers, "x-ms-date", &date)?;
        headers.insert("x-ms-version", HeaderValue::from_static(API_VERSION));
        if method == Method::PUT || method == Method::POST {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(payload.len));
        }
        let token = match &self.auth {
            Auth::Anonymous => None,
            Auth::Key(key) => {
                let account = &self.endpoint.account;
                let value = key.authorization(account, method.as_str(), path, &query, &headers)?;
                headers.insert(AUTHORIZATION, value);
                None
            }
            Auth::Sas(sas) => {
                query.append_encoded(sas.expose_secret());
                None
            }
            Auth::Token(cache) => {
                let token = cache.get().await?;
                headers.insert(AUTHORIZATION, token.header()?);
                Some(token)
            }
        };
        headers.insert(HOST, self.endpoint.host.clone());
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("lepton/", env!("CARGO_PKG_VERSION"))));
        let mut http = HttpRequest::new(payload.into_body());
        *http.method_mut() = method;
        *http.uri_mut() = self.endpoint.uri(path, &query.canonical())?;
        *http.headers_mut() = headers;
        Ok((http, token))
    }

    /// Adds a checksum that the service verifies.
    pub(super) fn checked(&self, headers: &mut HeaderMap, payload: &Payload, crc64: u64) -> Result<ServerCheck> {
        let verified = &self.capabilities.verified_checksums;
        if verified.contains(&ChecksumAlgorithm::Crc64Nvme) {
            // Little-endian, unlike everywhere else.
            insert(headers, "x-ms-content-crc64", &BASE64_STANDARD.encode(crc64.to_le_bytes()))?;
            return Ok(ServerCheck::Checksum(ChecksumAlgorithm::Crc64Nvme));
        }
        if verified.contains(&ChecksumAlgorithm::Md5) {
            insert(headers, "content-md5", &BASE64_STANDARD.encode(payload.md5()))?;
            return Ok(ServerCheck::Checksum(ChecksumAlgorithm::Md5));
        }
        Ok(ServerCheck::None)
    }
}

/// Whether the error concerns the source of a copy, not the object that is written.
fn of_source(error: &Error) -> bool {
    matches!(error.code(), Some("SourceConditionNotMet" | "CannotVerifyCopySource"))
}
