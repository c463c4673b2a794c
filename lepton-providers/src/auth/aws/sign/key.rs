//! The signing key of a day, and the canonical form of a request that it signs.

use std::sync::Arc;

use http::HeaderMap;
use http::header::HeaderName;
use lepton_core::{HmacSha256, Sha256, to_hex};
use secrecy::ExposeSecret as _;
use secrecy::zeroize::Zeroizing;

use crate::auth::aws::credentials::Credentials;
use crate::wire::time::BasicDate;

/// The hash of no bytes.
pub(crate) const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
pub(crate) const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// The parameters of a signature.
pub(crate) struct SigningContext<'a> {
    pub(crate) credentials: &'a Arc<Credentials>,
    pub(crate) region: &'a str,
    /// `s3`, or `sts`.
    pub(crate) service: &'static str,
    pub(crate) date: BasicDate,
}

/// A request in canonical form.
pub(crate) struct CanonicalRequest<'a> {
    pub(crate) method: &'a str,
    /// Encoded, with its leading slash.
    pub(crate) path: &'a str,
    /// Encoded and sorted, without the question mark.
    pub(crate) query: &'a str,
    /// All of them are signed.
    pub(crate) headers: &'a HeaderMap,
    pub(crate) payload_hash: &'a str,
}

/// The key for one credential, region, service and day.
pub(crate) struct SigningKey {
    pub(crate) mac: HmacSha256,
    credentials: Arc<Credentials>,
    pub(crate) scope: String,
}

impl SigningKey {
    pub(crate) fn derive(context: &SigningContext<'_>) -> Self {
        let secret = context.credentials.secret_access_key.expose_secret();
        let start = HmacSha256::new(Zeroizing::new(["AWS4", secret].concat()).as_bytes());
        let steps = [context.date.day(), context.region, context.service, "aws4_request"];
        let mac = steps.iter().fold(start, |mut mac, step| {
            mac.update(step.as_bytes());
            HmacSha256::new(&Zeroizing::new(mac.finish())[..])
        });
        Self {
            mac,
            credentials: Arc::clone(context.credentials),
            scope: format!("{}/{}/{}/aws4_request", context.date.day(), context.region, context.service),
        }
    }

    pub(super) fn fits(&self, context: &SigningContext<'_>) -> bool {
        let mut scope = self.scope.split('/');
        scope.next() == Some(context.date.day())
            && scope.next() == Some(context.region)
            && scope.next() == Some(context.service)
            && Arc::ptr_eq(&self.credentials, context.credentials)
    }

    /// The signature of a request and the names of the headers it covers.
    pub(crate) fn sign(&self, context: &SigningContext<'_>, request: &CanonicalRequest<'_>) -> (String, String) {
        let (hash, signed_headers) = request.hash();
        let mut mac = self.mac.clone();
        for piece in ["AWS4-HMAC-SHA256\n", context.date.as_str(), "\n", &self.scope, "\n", &hash] {
            mac.update(piece.as_bytes());
        }
        (to_hex(&mac.finish()), signed_headers)
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
        (Sha256::of(&text).to_string(), signed_headers)
    }
}

/// A header's value without spaces around it and with single ones inside.
pub(super) fn push_canonical(text: &mut Vec<u8>, value: &[u8]) {
    let mut words = value.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    text.extend_from_slice(words.next().unwrap_or_default());
    for word in words {
        text.push(b' ');
        text.extend_from_slice(word);
    }
}
