//! Signature Version 4.
//!
//! Sources: "Authenticating Requests: Using the Authorization Header (AWS
//! Signature Version 4)", "Signature Calculations … Transferring Payload in
//! Multiple Chunks" and "… Using Query Parameters" in the Amazon S3 API
//! reference. The examples there are the tests here.

mod chunks;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::header::{AUTHORIZATION, HOST, HeaderName};
use http::{HeaderMap, HeaderValue};
use lepton_core::to_hex;
use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};

use super::credentials::Credentials;
use super::time::AmzDate;
use crate::wire::encode::{Query, encode_query};

pub(super) use chunks::ChunkSigner;

type HmacSha256 = Hmac<Sha256>;

/// The hash of no bytes.
pub(super) const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
pub(super) const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

pub(super) const X_AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
pub(super) const X_AMZ_CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const X_AMZ_SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

/// Signs requests; remembers the key of the day.
#[derive(Default)]
pub(super) struct RequestSigner {
    cached: Mutex<Option<Arc<DayKey>>>,
}

/// What a request is signed with.
pub(super) struct SigningContext<'a> {
    pub(super) credentials: &'a Arc<Credentials>,
    pub(super) region: &'a str,
    /// `s3`, or `sts`.
    pub(super) service: &'static str,
    pub(super) date: AmzDate,
}

/// What a request says, in canonical form.
pub(super) struct CanonicalRequest<'a> {
    pub(super) method: &'a str,
    /// Encoded, with its leading slash.
    pub(super) path: &'a str,
    /// Encoded and sorted, without the question mark.
    pub(super) query: &'a str,
    /// Every one of them is signed.
    pub(super) headers: &'a HeaderMap,
    pub(super) payload_hash: &'a str,
}

impl RequestSigner {
    /// Adds the date, token and `Authorization` headers. Gives the signer of
    /// the chunks that follow, which hang on the request's signature.
    pub(super) fn sign(
        &self,
        context: &SigningContext<'_>,
        method: &str,
        path: &str,
        query: &str,
        headers: &mut HeaderMap,
        payload_hash: &str,
    ) -> ChunkSigner {
        insert(headers, X_AMZ_DATE, context.date.as_str());
        insert(headers, X_AMZ_CONTENT_SHA256, payload_hash);
        if let Some(token) = &context.credentials.session_token {
            insert_secret(headers, X_AMZ_SECURITY_TOKEN, token.expose_secret());
        }
        let key = self.key(context);
        let request = CanonicalRequest { method, path, query, headers, payload_hash };
        let (signature, signed_headers) = key.sign(context, &request);
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{},SignedHeaders={signed_headers},Signature={signature}",
            context.credentials.access_key_id, key.scope,
        );
        insert_secret(headers, AUTHORIZATION, &authorization);
        ChunkSigner::new(key, context.date, signature)
    }

    /// The query of a URL that carries its own permission for `seconds`.
    pub(super) fn presign(
        &self,
        context: &SigningContext<'_>,
        method: &str,
        path: &str,
        host: &HeaderValue,
        seconds: u64,
        mut query: Query,
    ) -> String {
        let key = self.key(context);
        query.push("X-Amz-Algorithm", "AWS4-HMAC-SHA256");
        query.push("X-Amz-Credential", format!("{}/{}", context.credentials.access_key_id, key.scope));
        query.push("X-Amz-Date", context.date.as_str());
        query.push("X-Amz-Expires", seconds.to_string());
        query.push("X-Amz-SignedHeaders", "host");
        if let Some(token) = &context.credentials.session_token {
            query.push("X-Amz-Security-Token", token.expose_secret());
        }
        let query = query.canonical();
        let headers = HeaderMap::from_iter([(HOST, host.clone())]);
        let request =
            CanonicalRequest { method, path, query: &query, headers: &headers, payload_hash: UNSIGNED_PAYLOAD };
        let (signature, _) = key.sign(context, &request);
        format!("{query}&X-Amz-Signature={}", encode_query(signature.as_bytes()))
    }

    fn key(&self, context: &SigningContext<'_>) -> Arc<DayKey> {
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = cached.as_ref().filter(|key| key.fits(context)) {
            return Arc::clone(key);
        }
        let key = Arc::new(DayKey::derive(context));
        *cached = Some(Arc::clone(&key));
        key
    }
}

impl fmt::Debug for RequestSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestSigner")
    }
}

/// The key for one credential, region, service and day.
pub(super) struct DayKey {
    mac: HmacSha256,
    credentials: Arc<Credentials>,
    scope: String,
}

impl DayKey {
    fn derive(context: &SigningContext<'_>) -> Self {
        let secret = context.credentials.secret_access_key.expose_secret();
        let start = ["AWS4", secret].concat();
        let steps = [context.date.day(), context.region, context.service, "aws4_request"];
        let key = steps.iter().fold(start.into_bytes(), |key, step| {
            let mut mac = mac(&key);
            mac.update(step.as_bytes());
            mac.finalize().into_bytes().to_vec()
        });
        Self {
            mac: mac(&key),
            credentials: Arc::clone(context.credentials),
            scope: format!("{}/{}/{}/aws4_request", context.date.day(), context.region, context.service),
        }
    }

    fn fits(&self, context: &SigningContext<'_>) -> bool {
        let mut scope = self.scope.split('/');
        scope.next() == Some(context.date.day())
            && scope.next() == Some(context.region)
            && scope.next() == Some(context.service)
            && Arc::ptr_eq(&self.credentials, context.credentials)
    }

    /// The signature of a request and the names of the headers it covers.
    fn sign(&self, context: &SigningContext<'_>, request: &CanonicalRequest<'_>) -> (String, String) {
        let (hash, signed_headers) = request.hash();
        let mut mac = self.mac.clone();
        for piece in ["AWS4-HMAC-SHA256\n", context.date.as_str(), "\n", &self.scope, "\n", &hash] {
            mac.update(piece.as_bytes());
        }
        (to_hex(&mac.finalize().into_bytes()), signed_headers)
    }
}

impl CanonicalRequest<'_> {
    fn hash(&self) -> (String, String) {
        let mut names: Vec<&HeaderName> = self.headers.keys().collect();
        names.sort_by_key(|name| name.as_str());
        let signed_headers = names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(";");
        let mut text = Vec::with_capacity(512);
        for piece in [self.method, "\n", self.path, "\n", self.query, "\n"] {
            text.extend_from_slice(piece.as_bytes());
        }
        for name in names {
            text.extend_from_slice(name.as_str().as_bytes());
            let mut separator = b':';
            for value in self.headers.get_all(name) {
                text.push(separator);
                push_canonical(&mut text, value.as_bytes());
                separator = b',';
            }
            text.push(b'\n');
        }
        for piece in ["\n", &signed_headers, "\n", self.payload_hash] {
            text.extend_from_slice(piece.as_bytes());
        }
        (to_hex(&Sha256::digest(&text)), signed_headers)
    }
}

/// A header's value without spaces around it and with single ones inside.
fn push_canonical(text: &mut Vec<u8>, value: &[u8]) {
    let mut words = value.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    text.extend_from_slice(words.next().unwrap_or_default());
    for word in words {
        text.push(b' ');
        text.extend_from_slice(word);
    }
}

#[allow(clippy::expect_used, reason = "HMAC takes keys of every length")]
fn mac(key: &[u8]) -> HmacSha256 {
    HmacSha256::new_from_slice(key).expect("HMAC takes keys of every length")
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    // Dates and hashes are ASCII; what is not would be refused by the server.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn insert_secret(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(mut value) = HeaderValue::from_str(value) {
        value.set_sensitive(true);
        headers.insert(name, value);
    }
}
