//! The records of a transfer's journal.
//!
//! The records are JSON; the format is in `docs/formats/journal.md`.

use std::time::{SystemTime, UNIX_EPOCH};

use lepton_core::journal::{FIRST_USER_TYPE, Record};
use lepton_core::{ETag, Error, ErrorKind, ObjectKey, ObjectMeta, PartReceipt, Result, UploadId};
use serde::{Deserialize, Serialize};

use crate::digest::checksum::PartDigest;
use crate::ledger::manifest::ManifestEntry;
use crate::ledger::report::Failure;
use crate::types::entry::Pin;
use crate::types::layout::Layout;

/// An object is at the destination, copied or unchanged. The payload is its manifest line.
pub(crate) const DONE: u16 = FIRST_USER_TYPE;
/// Any other record, as a [`Note`].
pub(crate) const NOTE: u16 = FIRST_USER_TYPE + 1;

/// A record that is not a manifest line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Note {
    /// Objects up to this sort key may have been written. Durable before the first of them
    /// is written.
    Started { through: ObjectKey },
    /// The object with this sort key is about to be written at a destination that is guarded.
    /// Durable before it is written.
    Writing { key: ObjectKey },
    /// Objects up to this sort key are settled: done, skipped or failed.
    Settled { through: ObjectKey },
    /// The object was left as it is, as the settings ask.
    Skipped { key: ObjectKey },
    /// The filters excluded the object, by the metadata that the source returned.
    LeftOut { key: ObjectKey },
    /// Only the destination has this object; `key` is its sort key. It is deleted when all
    /// other objects have succeeded.
    Extra { key: ObjectKey, there: ObjectMeta },
    /// The object to be replaced is backed up. Durable before it is replaced.
    Kept {
        key: ObjectKey,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        etag: Option<ETag>,
    },
    /// The journal was restarted, with the proofs of earlier runs in a file next to it.
    Anew,
    /// Objects after `after` and up to this sort key may have been written by a run that was
    /// interrupted before it could record them. One of the first records of a restarted
    /// journal.
    MaybeWritten {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<ObjectKey>,
        through: ObjectKey,
    },
    /// The object failed.
    Failed { failure: Failure },
    /// An entry could not be listed; the next run lists both sides again.
    Unlisted { failure: Failure },
    /// An upload is about to be started. Durable before it is started.
    UploadIntent { key: ObjectKey, upload: UploadPlan },
    /// The store's ID of that upload. Durable before its first part is sent.
    UploadBegun { key: ObjectKey, id: UploadId },
    /// A part is at the destination.
    PartDone { key: ObjectKey, receipt: PartReceipt, digest: PartDigest },
    /// The upload is about to be completed. Durable, with all its parts, before it is
    /// completed.
    CompleteIntent { key: ObjectKey },
    /// The upload was aborted or no longer exists.
    UploadGone { key: ObjectKey },
    /// Another client's upload to one of our keys was seen and left alone.
    ForeignUpload { key: ObjectKey, id: UploadId },
    /// The run reached the end of its listings and wrote its manifest, but objects failed.
    Ended,
    /// The run finished and wrote its manifest: nothing is left to do.
    Finished,
}

/// The object and layout of an upload. Like all records, it is keyed by the source key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UploadPlan {
    pub(crate) target: ObjectKey,
    pub(crate) layout: Layout,
    pub(crate) pin: Pin,
    /// When the upload was about to be started, in seconds since 1970.
    pub(crate) at: u64,
}

impl UploadPlan {
    pub(crate) fn new(target: ObjectKey, layout: Layout, pin: Pin, now: SystemTime) -> Self {
        let at = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Self { target, layout, pin, at }
    }
}

/// The name of another client's upload in a report.
pub(crate) fn foreign_upload(key: &ObjectKey, id: &UploadId) -> String {
    format!("{key} (upload {id})")
}

pub(crate) fn parse<T: serde::de::DeserializeOwned>(payload: &[u8]) -> Result<T> {
    serde_json::from_slice(payload).map_err(|e| {
        Error::new(ErrorKind::Corrupt, format!("a journal record cannot be read: {e}")).with_operation("journal")
    })
}

/// The extraneous object of a record, if it is such a record.
pub(crate) fn extraneous_of(record: &Record) -> Result<Option<(ObjectKey, ObjectMeta)>> {
    if record.kind != NOTE {
        return Ok(None);
    }
    match parse(&record.payload)? {
        Note::Extra { key, there } => Ok(Some((key, there))),
        _ => Ok(None),
    }
}

/// The line of a finished object, if the record is one.
pub(crate) fn manifest_line_of(record: &Record) -> Result<Option<ManifestEntry>> {
    if record.kind == DONE { parse(&record.payload).map(Some) } else { Ok(None) }
}
