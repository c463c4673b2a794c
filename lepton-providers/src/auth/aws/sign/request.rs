//! Signs requests, in their headers or in a URL.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use http::header::{AUTHORIZATION, HOST, HeaderName};
use http::{HeaderMap, HeaderValue};
use secrecy::ExposeSecret as _;

use super::key::{CanonicalRequest, SigningContext, SigningKey, UNSIGNED_PAYLOAD};
use crate::wire::encode::{Query, encode_query};
use crate::wire::time::BasicDate;

const X_AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
pub(crate) const X_AMZ_CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const X_AMZ_SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

/// The signature of a request, with what made it: the signatures of the chunks of its body
/// follow from these.
pub(crate) struct Signature {
    pub(crate) key: Arc<SigningKey>,
    pub(crate) date: BasicDate,
    pub(crate) text: String,
}

/// Signs requests and caches the key of the day.
#[derive(Default)]
pub(crate) struct RequestSigner {
    cached: Mutex<Option<Arc<SigningKey>>>,
}

impl RequestSigner {
    /// Adds the date, token and `Authorization` headers.
    pub(crate) fn sign(
        &self,
        context: &SigningContext<'_>,
        method: &str,
        path: &str,
        query: &str,
        headers: &mut HeaderMap,
        payload_hash: &str,
    ) -> Signature {
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
        Signature { key, date: context.date, text: signature }
    }

    /// The query of a presigned URL that is valid for `seconds`.
    pub(crate) fn presign(
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

    pub(super) fn key(&self, context: &SigningContext<'_>) -> Arc<SigningKey> {
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = cached.as_ref().filter(|key| key.fits(context)) {
            return Arc::clone(key);
        }
        let key = Arc::new(SigningKey::derive(context));
        *cached = Some(Arc::clone(&key));
        key
    }
}

impl fmt::Debug for RequestSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestSigner")
    }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    // Dates and hashes are ASCII; the server would refuse anything else.
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
