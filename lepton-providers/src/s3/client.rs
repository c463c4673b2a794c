//! Signs and sends requests, and distinguishes responses from refusals.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, HOST, SERVER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request as HttpRequest};
use lepton_core::{Capabilities, Error, ErrorKind, KeyRules, Result, RetryClass, ServerCheck, SharedRuntime};
use secrecy::ExposeSecret as _;

use super::chunk_signer::ChunkSigner;
use super::config::ServerSideEncryption;
use super::endpoint::{Endpoint, Target};
use super::error::Refusal;
use super::payload::{Framed, Framings, Payload};
use super::presets;
use super::sum::Sum;
use crate::auth::aws::credentials::Credentials;
use crate::auth::aws::sign::key::SigningContext;
use crate::auth::aws::sign::request::RequestSigner;
use crate::auth::cache::Cache;
use crate::transport::HttpClient;
use crate::wire::refusal::read_error_body;
use crate::wire::request;
use crate::wire::secrets::Secrets;
use crate::wire::time::BasicDate;
use crate::wire::xml::Element;

/// The most of a document that is read, in bytes: a page of a listing has up to 1,000
/// keys of 1,024 bytes, and each byte can be escaped as 6.
const LONGEST_DOCUMENT: usize = 16 << 20;
/// How often a request may be redirected to another region.
const REDIRECTS: u32 = 2;

/// The parts of a client, all validated.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) bucket: String,
    pub(super) endpoint: Endpoint,
    pub(super) capabilities: Capabilities,
    /// The rules for keys that can be read, and for those that can be deleted.
    pub(super) reading: KeyRules,
    pub(super) deleting: KeyRules,
    pub(super) env: SharedRuntime,
    pub(super) http: HttpClient,
    /// `None` sends requests without a signature.
    pub(super) credentials: Option<Cache<Credentials>>,
    pub(super) signer: RequestSigner,
    /// Changes when the server reports another region.
    pub(super) target: RwLock<Arc<Target>>,
    pub(super) options: RequestOptions,
    /// Whether the bucket has responded; if so, a missing object does not mean a missing
    /// bucket.
    pub(super) bucket_seen: AtomicBool,
    /// What the server calls itself, since the first response that says so.
    pub(super) server: OnceLock<String>,
    /// Whether the preset was found by that name alone, so that the first write has to prove it.
    pub(super) by_name: bool,
    pub(super) proven: tokio::sync::OnceCell<()>,
}

/// Settings that affect requests.
#[derive(Debug, Default)]
pub(super) struct RequestOptions {
    /// Headers of every request.
    pub(super) headers: HeaderMap,
    /// Headers of requests that read or write an object with the customer's key.
    pub(super) customer_key: HeaderMap,
    /// The same for the source of a copy.
    pub(super) copy_source_key: HeaderMap,
    pub(super) sse: Option<(ServerSideEncryption, Option<String>)>,
    pub(super) storage_class: Option<String>,
    pub(super) upload_buffer: u64,
}

/// A request before it is signed. Its target is `None` for the store's own bucket.
pub(super) type Request<'a> = request::Request<'a, Payload, Option<Arc<Target>>>;

/// A response that is not a refusal.
pub(super) type Reply = request::Reply<ServerCheck>;

impl Client {
    /// Sets the capabilities, and what depends on them.
    pub(super) fn set_capabilities(&mut self, mut capabilities: Capabilities) {
        capabilities.tls = self.endpoint.is_tls();
        let (chunks, trailers) = (capabilities.signed_chunks.is_available(), capabilities.trailers.is_available());
        capabilities.buffers_uploads = match self.credentials {
            Some(_) => !(chunks || (capabilities.tls && trailers)),
            None => Sum::of(&capabilities).is_some() && !trailers,
        };
        self.reading = presets::reading(&capabilities.keys);
        self.deleting = presets::deleting(&capabilities.keys);
        self.capabilities = capabilities;
    }

    /// Sends a request. Errors name the operation and the key, and have the effect `None`
    /// if the request only reads.
    pub(super) async fn send(&self, request: Request<'_>) -> Result<Reply> {
        let call = request.call;
        self.send_to_region(request).await.map_err(|error| call.failed(error, self.place()))
    }

    /// Sends a request and reads the document in the response. The document may quote the
    /// secrets of the request, which are returned as the third element.
    pub(super) async fn send_for_document(&self, request: Request<'_>) -> Result<(HeaderMap, bytes::Bytes, Secrets)> {
        let call = request.call;
        let document = self.send(request).await?.document(LONGEST_DOCUMENT).await;
        document.map_err(|error| call.named(error.with_effect(call.unread()), self.place()))
    }

    /// The bucket, as errors name it.
    fn place(&self) -> (&'static str, &str) {
        ("bucket", &self.bucket)
    }

    async fn send_to_region(&self, mut request: Request<'_>) -> Result<Reply> {
        let query = std::mem::take(&mut request.query).canonical();
        for attempt in 0.. {
            let target = request.target.clone().unwrap_or_else(|| self.target());
            let (credentials, sent) = self.send_once(&request, &query, &target).await?;
            let (refusal, secrets) = match sent {
                Sent::Accepted(reply) => {
                    self.bucket_seen.store(true, Ordering::Relaxed);
                    return Ok(*reply);
                }
                Sent::Refused(refusal, secrets) => (refusal, secrets),
            };
            if let Some(region) = other_region(&refusal, &target).filter(|region| !secrets.are_in(region))
                && attempt < REDIRECTS
                && request.target.is_none()
            {
                self.set_region(region)?;
                continue;
            }
            if (301..400).contains(&refusal.status) {
                return Err(unhelpful_redirect(*refusal, &target, &secrets));
            }
            let error = refusal.into_error(request.call.writes, &secrets);
            if let (RetryClass::RefreshCredentials, Some(cache), Some(used)) =
                (error.retry(), &self.credentials, credentials)
            {
                cache.invalidate(&used).await;
            }
            return Err(error);
        }
        Err(Error::new(ErrorKind::Unexpected, "the request was sent from region to region"))
    }

    async fn send_once(
        &self,
        request: &Request<'_>,
        query: &str,
        target: &Target,
    ) -> Result<(Option<Arc<Credentials>>, Sent)> {
        let framed = Framed::new(&request.payload, self.framings()).await?;
        let path = target.path(request.call.key);
        let mut headers = request.headers.clone();
        let encoding = headers.remove(ACCEPT_ENCODING).unwrap_or(HeaderValue::from_static("identity"));
        headers.extend(self.options.headers.clone());
        framed.insert_headers(&mut headers);
        headers.insert(HOST, target.host.clone());
        if request.method == Method::PUT || request.method == Method::POST {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(framed.len()));
        }
        let (credentials, chunk_signer) = match &self.credentials {
            None => (None, None),
            Some(cache) => {
                let credentials = cache.get().await?;
                let context = self.context(&credentials, target);
                let method = request.method.as_str();
                let signature = self.signer.sign(&context, method, &path, query, &mut headers, framed.hash());
                (Some(credentials), Some(ChunkSigner::new(signature)))
            }
        };
        // Not signed: a proxy may change these.
        headers.insert(ACCEPT_ENCODING, encoding);
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("lepton/", env!("CARGO_PKG_VERSION"))));
        let (check, chunked) = (framed.check(), matches!(framed, Framed::SignedChunks { .. }));
        let uri = target.uri(&path, query)?;
        let secrets = self.secrets(&headers, credentials.as_deref(), &uri);
        let mut http = HttpRequest::new(framed.into_body(chunk_signer));
        *http.method_mut() = request.method.clone();
        *http.uri_mut() = uri;
        *http.headers_mut() = headers;
        let (head, body) = self.http.send(http).await.map_err(|error| secrets.hidden(error))?.into_parts();
        if let Some(Ok(server)) = head.headers.get(SERVER).map(HeaderValue::to_str) {
            self.server.get_or_init(|| server.to_owned());
        }
        if head.status.is_success() {
            let reply = Reply { status: head.status, headers: head.headers, body, check, secrets };
            return Ok((credentials, Sent::Accepted(Box::new(reply))));
        }
        let document = read_error_body(head.status, body).await?;
        let mut refusal = Refusal::new(head.status, &head.headers, &document, self.env.now());
        if chunked && self.bucket_seen.load(Ordering::Relaxed) {
            refusal.blame_the_chunks();
        }
        Ok((credentials, Sent::Refused(Box::new(refusal), secrets)))
    }

    /// The secrets that a request is sent with: those in its headers, those that signed
    /// it, and those for a proxy.
    fn secrets(&self, headers: &HeaderMap, credentials: Option<&Credentials>, uri: &http::Uri) -> Secrets {
        let secrets = Secrets::default().headers(headers).header(self.http.proxy_authorization(uri).as_ref());
        match credentials {
            Some(credentials) => secrets.text(credentials.secret_access_key.expose_secret()),
            None => secrets,
        }
    }

    pub(super) fn context<'a>(&self, credentials: &'a Arc<Credentials>, target: &'a Target) -> SigningContext<'a> {
        SigningContext { credentials, region: &target.region, service: "s3", date: BasicDate::new(self.env.now()) }
    }

    pub(super) fn target(&self) -> Arc<Target> {
        Arc::clone(&self.target.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set_region(&self, region: &str) -> Result<()> {
        tracing::debug!(bucket = self.bucket, region, "the bucket is in another region");
        let target = Arc::new(self.endpoint.target(region)?);
        *self.target.write().unwrap_or_else(PoisonError::into_inner) = target;
        Ok(())
    }

    /// The framings that bodies may use.
    pub(super) fn framings(&self) -> Framings<'_> {
        Framings {
            anonymous: self.credentials.is_none(),
            tls: self.endpoint.is_tls(),
            trailers: self.capabilities.trailers.is_available(),
            sum: Sum::of(&self.capabilities),
            signed_chunks: self.capabilities.signed_chunks.is_available(),
            verified: &self.capabilities.verified_checksums,
            buffer: self.options.upload_buffer,
        }
    }
}

enum Sent {
    Accepted(Box<Reply>),
    Refused(Box<Refusal>, Secrets),
}

/// The region that a refusal names, if the wrong region was the reason.
fn other_region<'a>(refusal: &'a Refusal, target: &Target) -> Option<&'a str> {
    let about_region = matches!(refusal.status, 301 | 307)
        || (refusal.status == 400
            && refusal.code.as_deref().is_none_or(|code| {
                matches!(
                    code,
                    "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" | "PermanentRedirect"
                )
            }));
    let region = refusal.region.as_deref().filter(|region| about_region && *region != target.region)?;
    // It becomes part of a host name that receives credentials.
    let valid = region.len() <= 64 && region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    valid.then_some(region)
}

fn unhelpful_redirect(refusal: Refusal, target: &Target, secrets: &Secrets) -> Error {
    let message = format!(
        "the store points to another place, which is not followed with credentials; set region (now {:?}) or endpoint \
         to where the bucket is",
        target.region
    );
    let status = refusal.status;
    let error = Error::invalid_input(message).with_status(status);
    match refusal.code {
        Some(code) => error.with_code(secrets.printable(&code)),
        None => error,
    }
}

/// Fails if the document is an error, which some requests return with status 200.
pub(super) fn expect_success(root: &Element<'_>, secrets: &Secrets) -> Result<()> {
    if root.name() == b"Error" {
        return Err(Refusal::inside(root).into_error(true, secrets));
    }
    Ok(())
}
