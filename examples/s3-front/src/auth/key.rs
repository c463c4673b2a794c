//! The key of a signature.

use lepton_core::{Sha256, to_hex};
use ring::hmac;

/// The key for one secret, day, region and service, with the time of the request.
#[derive(Debug)]
pub(super) struct Key {
    key: hmac::Key,
    date: String,
    scope: String,
}

impl Key {
    pub(super) fn derive(secret: &str, scope: &str, date: &str) -> Self {
        let start = hmac::Key::new(hmac::HMAC_SHA256, ["AWS4", secret].concat().as_bytes());
        let key = scope
            .split('/')
            .fold(start, |key, piece| hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, piece.as_bytes()).as_ref()));
        Self { key, date: date.to_owned(), scope: scope.to_owned() }
    }

    /// Whether this is the signature of the request whose canonical form has this digest.
    pub(super) fn signed_request(&self, canonical: Sha256, signature: &[u8]) -> bool {
        self.signed("AWS4-HMAC-SHA256", &canonical.to_string(), signature)
    }

    /// Compares in constant time.
    fn signed(&self, what: &str, content: &str, signature: &[u8]) -> bool {
        let text = format!("{what}\n{}\n{}\n{content}", self.date, self.scope);
        hmac::verify(&self.key, text.as_bytes(), signature).is_ok()
    }
}

/// Checks the signatures of the chunks of one body, and of the trailer after them.
#[derive(Debug)]
pub(crate) struct ChunkSigner {
    key: Key,
    previous: String,
}

impl ChunkSigner {
    pub(super) fn new(key: Key, signature: &[u8]) -> Self {
        Self { key, previous: to_hex(signature) }
    }

    /// Whether this is the signature of the next chunk, which has this digest.
    pub(crate) fn signed_chunk(&mut self, chunk: Sha256, signature: &[u8]) -> bool {
        let content = format!("{}\n{}\n{chunk}", self.previous, Sha256::of(b""));
        self.next("AWS4-HMAC-SHA256-PAYLOAD", &content, signature)
    }

    /// Whether this is the signature of the trailer, lines `name:value`.
    pub(crate) fn signed_trailer(&mut self, lines: &str, signature: &[u8]) -> bool {
        let content = format!("{}\n{}", self.previous, Sha256::of(lines.as_bytes()));
        self.next("AWS4-HMAC-SHA256-TRAILER", &content, signature)
    }

    fn next(&mut self, what: &str, content: &str, signature: &[u8]) -> bool {
        self.previous = to_hex(signature);
        self.key.signed(what, content, signature)
    }
}
