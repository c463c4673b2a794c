//! What a run did.

use std::path::PathBuf;
use std::time::Duration;

use lepton_core::{Error, ObjectKey};
use serde::{Deserialize, Serialize};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Status {
    /// Every object is at the destination or was skipped as asked.
    Complete,
    /// Some objects failed; the report names them. The same transfer on the same
    /// journal tries them again.
    Incomplete,
    /// The run came to its limit of bytes or of time. The same transfer on the same
    /// journal goes on.
    Limited,
    /// The run was cancelled. The same transfer on the same journal goes on.
    Cancelled,
}

/// An object that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Failure {
    /// Its key at the source.
    pub key: ObjectKey,
    /// The stable code of the error's kind.
    pub kind: String,
    /// The error with its causes, for people.
    pub error: String,
}

impl Failure {
    pub(crate) fn new(key: ObjectKey, error: &Error) -> Self {
        Self { key, kind: error.kind().code().to_owned(), error: error.report() }
    }
}

/// What a run did, those before it on the same journal included.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// How it ended.
    pub status: Status,
    /// Objects at the destination by this transfer.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Of these objects, those that an earlier run had finished.
    pub resumed_objects: u64,
    /// Bytes that earlier runs had brought, parts of unfinished objects included.
    pub resumed_bytes: u64,
    /// Objects that were left as they are, as asked.
    pub skipped: u64,
    /// Objects that the destination copied by itself; the manifest says by what they
    /// are known to be right.
    pub server_copies: u64,
    /// Why it did not copy an object by itself though it could reach the source: the
    /// first cause. Such objects were read and sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_copy_refused: Option<String>,
    /// Objects that were found to be the same on both sides.
    pub unchanged: u64,
    /// Objects that only the destination has, if they were to be deleted.
    pub extras: u64,
    /// Of these, those that were deleted. None are unless every object came to a
    /// good end.
    pub deleted: u64,
    /// The objects that failed, by key.
    pub failures: Vec<Failure>,
    /// Bytes that this run read from the source: more than `bytes` if something
    /// had to be sent again.
    pub bytes_read: u64,
    /// Parts and whole objects that this run sent.
    pub parts: u64,
    /// Requests that were tried again.
    pub retries: u64,
    /// Of these and of listings, those that a store refused because they were too much:
    /// 503, 429 and the like.
    pub throttled: u64,
    /// Objects whose metadata could not be kept whole; the manifest says what
    /// was lost.
    pub metadata_lost: u64,
    /// Objects that were copied in the version that was listed, while another
    /// version took its place at the source. The manifest names them; a further
    /// run on a new journal copies what is there now.
    pub superseded: u64,
    /// Uploads of our keys that somebody else has begun: `key (upload id)`. They
    /// were left alone.
    pub foreign_uploads: Vec<String>,
    /// How long this run took; JSON has it as `elapsed_seconds`.
    #[serde(rename = "elapsed_seconds", with = "crate::seconds")]
    pub elapsed: Duration,
    /// Where the manifest is.
    pub manifest: Option<PathBuf>,
}
