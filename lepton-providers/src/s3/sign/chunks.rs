//! Signatures of the chunks of a body (`STREAMING-AWS4-HMAC-SHA256-PAYLOAD`).

use std::fmt;
use std::sync::Arc;

use hmac::Mac as _;
use lepton_core::{Sha256, to_hex};

use super::{AmzDate, DayKey, EMPTY_SHA256};

/// Signs the chunks of one request, each over the signature before it.
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
        let mut mac = self.key.mac.clone();
        let pieces = ["AWS4-HMAC-SHA256-PAYLOAD\n", self.date.as_str(), "\n", &self.key.scope, "\n", &self.previous];
        for piece in pieces.into_iter().chain(["\n", EMPTY_SHA256, "\n", &hash]) {
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
