//! Signatures of the chunks of a body (`STREAMING-AWS4-HMAC-SHA256-PAYLOAD`) and of the
//! trailer after them (`STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER`).

use std::fmt;
use std::sync::Arc;

use hmac::Mac as _;
use lepton_core::{Sha256, to_hex};

use super::key::{DayKey, EMPTY_SHA256};
use crate::s3::time::AmzDate;

/// Signs the chunks of one request; each signature covers the previous one.
pub(crate) struct ChunkSigner {
    key: Arc<DayKey>,
    date: AmzDate,
    previous: String,
}

impl ChunkSigner {
    pub(super) fn new(key: Arc<DayKey>, date: AmzDate, seed: String) -> Self {
        Self { key, date, previous: seed }
    }

    /// The signature of the next chunk, given the hash of its bytes.
    pub(crate) fn sign(&mut self, chunk: Sha256) -> &str {
        let hash = chunk.to_string();
        self.next("AWS4-HMAC-SHA256-PAYLOAD", &[EMPTY_SHA256, &hash])
    }

    /// The signature of the trailer, a line `name:value` without its end. It follows the
    /// last chunk, which is empty.
    pub(crate) fn sign_trailer(&mut self, line: &str) -> &str {
        let hash = Sha256::of(format!("{line}\n").as_bytes()).to_string();
        self.next("AWS4-HMAC-SHA256-TRAILER", &[&hash])
    }

    fn next(&mut self, what: &str, hashes: &[&str]) -> &str {
        let mut mac = self.key.mac.clone();
        mac.update(what.as_bytes());
        for piece in [self.date.as_str(), &self.key.scope, &self.previous].iter().chain(hashes) {
            mac.update(b"\n");
            mac.update(piece.as_bytes());
        }
        self.previous = to_hex(&mac.finalize().into_bytes());
        &self.previous
    }
}

impl fmt::Debug for ChunkSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChunkSigner")
    }
}
