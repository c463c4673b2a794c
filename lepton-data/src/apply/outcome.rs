//! What earlier runs left of an object, and how it ended.

use lepton_core::{ETag, Error, ErrorKind};

use crate::ledger::journal::OpenUpload;
use crate::ledger::manifest::ManifestEntry;

/// What an earlier run left of an object.
#[derive(Debug, Default)]
pub(crate) struct Earlier {
    pub(crate) upload: Option<OpenUpload>,
    /// It may have written the object.
    pub(crate) maybe_written: bool,
    /// It has kept what the object replaces, which had this tag.
    pub(crate) kept: Option<Option<ETag>>,
    /// Of the versions of a key, how many it has finished.
    pub(crate) recorded: u64,
    /// What it proved of the object.
    pub(crate) proof: Option<Box<ManifestEntry>>,
    /// The object failed and is tried again by its key alone; the source may have deleted it.
    /// What a list of keys names must be there.
    pub(crate) may_be_gone: bool,
}

/// How an object ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    Done(Box<ManifestEntry>),
    /// The destination has the key's history; so many bytes of it were brought now.
    History {
        bytes: u64,
    },
    /// The destination has the same.
    Unchanged(Box<ManifestEntry>),
    /// Source and destination are as an earlier run proved them.
    Proven(Box<ManifestEntry>),
    Skipped,
    /// By what the source told when it was asked, the filters leave it out; or it failed
    /// before, and is gone.
    LeftOut,
    Failed(Error),
}

impl Outcome {
    /// What measurements call it, if they count it.
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
