//! The state that earlier runs left of an object, and the outcome of the object.

use lepton_core::{ETag, Error, ErrorKind};

use crate::ledger::manifest::ManifestEntry;
use crate::ledger::resumed::OpenUpload;
use crate::telemetry::observer::ObjectEnd;

/// The state that an earlier run left of an object.
#[derive(Debug, Default)]
pub(crate) struct Earlier {
    pub(crate) upload: Option<OpenUpload>,
    /// That run may have written the object.
    pub(crate) maybe_written: bool,
    /// That run backed up the object to be replaced, which had this tag.
    pub(crate) kept: Option<Option<ETag>>,
    /// How many versions of the key that run finished.
    pub(crate) recorded: u64,
    /// The proof that run has of the object.
    pub(crate) proof: Option<Box<ManifestEntry>>,
    /// The object failed and is retried by its key alone, so it may be gone from the source.
    /// An object that a list of keys names must exist.
    pub(crate) may_be_gone: bool,
}

/// How an object ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    Done(Box<ManifestEntry>),
    /// The destination has the key's history; this run moved `bytes` of it.
    History {
        bytes: u64,
    },
    /// The destination already had the same object.
    Unchanged(Box<ManifestEntry>),
    /// Source and destination are as an earlier run proved them.
    Proven(Box<ManifestEntry>),
    Skipped,
    /// The filters exclude it, by the metadata that the source returned; or it failed
    /// before and is gone.
    LeftOut,
    Failed(Error),
}

impl Outcome {
    /// The event for an observer, if there is one. A cancelled object has not ended.
    pub(crate) fn end(&self) -> Option<ObjectEnd> {
        match self {
            Self::Done(_) | Self::History { .. } => Some(ObjectEnd::Copied),
            Self::Unchanged(_) | Self::Proven(_) => Some(ObjectEnd::Unchanged),
            Self::Skipped | Self::LeftOut => Some(ObjectEnd::Skipped),
            Self::Failed(error) if error.kind() == ErrorKind::Cancelled => None,
            Self::Failed(error) => Some(ObjectEnd::Failed(error.full_message())),
        }
    }

    /// The name in metrics, if they count it.
    pub(crate) fn name(&self) -> Option<&'static str> {
        match self {
            Self::Done(_) => Some("copied"),
            Self::Unchanged(_) | Self::Proven(_) => Some("unchanged"),
            Self::Skipped => Some("skipped"),
            Self::Failed(error) if error.kind() == ErrorKind::Cancelled => None,
            Self::Failed(_) => Some("failed"),
            Self::History { .. } | Self::LeftOut => None,
        }
    }
}
