//! What the journal of a transfer holds, and what an earlier run left to do.
//!
//! The records are JSON; the format is in `docs/formats/journal.md`. Memory is
//! bounded: finished keys are kept only beyond the watermark, and there are never
//! more of those than the window of the run allows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use lepton_core::journal::{FIRST_USER_TYPE, Journal, Record, Replay};
use lepton_core::{Error, ErrorKind, ObjectKey, ObjectMeta, PartReceipt, Result, UploadId};
use serde::{Deserialize, Serialize};

use crate::checksum::PartDigest;
use crate::manifest::ManifestEntry;
use crate::mapping::Mapping;
use crate::plan::{Layout, Pin};
use crate::report::Failure;

/// An object is at the destination, by us or unchanged. The payload is its line in the manifest.
pub(crate) const DONE: u16 = FIRST_USER_TYPE;
/// Everything else, as a [`Note`].
const NOTE: u16 = FIRST_USER_TYPE + 1;

/// A record that is not a manifest line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Note {
    /// Objects up to this place may have been written. Durable before the first of
    /// them is.
    Started { through: ObjectKey },
    /// Objects up to this place are settled: done, skipped or failed.
    Settled { through: ObjectKey },
    /// The object was left as it is, as asked.
    Skipped { key: ObjectKey },
    /// The object was left out, by what the source told of it.
    LeftOut { key: ObjectKey },
    /// Only the destination has this object; `key` is its place. It is deleted when everything else has come to a good end.
    Extra { key: ObjectKey, there: ObjectMeta },
    /// What the object replaces is kept. Durable before it is replaced.
    Kept { key: ObjectKey },
    /// The object failed.
    Failed { failure: Failure },
    /// An upload is about to be begun. Durable before it is.
    UploadIntent { key: ObjectKey, upload: UploadPlan },
    /// The store's name for that upload. Durable before its first part is sent.
    UploadBegun { key: ObjectKey, id: UploadId },
    /// A part is at the destination.
    PartDone { key: ObjectKey, receipt: PartReceipt, digest: PartDigest },
    /// The upload is about to be completed. Durable, with all its parts, before
    /// it is.
    CompleteIntent { key: ObjectKey },
    /// The upload was aborted, or is no longer there.
    UploadGone { key: ObjectKey },
    /// Somebody else's upload to one of our keys was seen and left alone.
    ForeignUpload { key: ObjectKey, id: UploadId },
    /// The run came to its end and wrote its manifest: nothing is left to do.
    Finished,
}

/// What an upload is of. Keyed, as all records, by the source key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UploadPlan {
    pub(crate) target: ObjectKey,
    pub(crate) layout: Layout,
    pub(crate) pin: Pin,
    /// Seconds since 1970 when the upload was about to be begun.
    pub(crate) at: u64,
}

impl UploadPlan {
    pub(crate) fn new(target: ObjectKey, layout: Layout, pin: Pin, now: SystemTime) -> Self {
        let at = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Self { target, layout, pin, at }
    }
}

/// An upload that an earlier run did not bring to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OpenUpload {
    pub(crate) plan: UploadPlan,
    /// `None` if the run died before the store's answer was on disk.
    pub(crate) id: Option<UploadId>,
    pub(crate) parts: BTreeMap<u32, (PartReceipt, PartDigest)>,
    pub(crate) completing: bool,
}

/// How much of a history is done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub(crate) versions: u64,
    pub(crate) bytes: u64,
}

/// What earlier runs left.
#[derive(Debug, Default)]
pub(crate) struct Resumed {
    mapping: Mapping,
    /// Listing goes on behind this place.
    pub(crate) settled: Option<ObjectKey>,
    /// Places up to here may have been written by an earlier run.
    pub(crate) started: Option<ObjectKey>,
    /// Settled places beyond `settled`.
    pub(crate) beyond: BTreeSet<ObjectKey>,
    /// Objects that failed and were not done since.
    pub(crate) failed: BTreeMap<ObjectKey, Failure>,
    pub(crate) uploads: BTreeMap<ObjectKey, OpenUpload>,
    /// Objects not done yet of which what they replace is kept.
    pub(crate) kept: BTreeSet<ObjectKey>,
    /// Keys of which some versions are done and not all.
    pub(crate) histories: BTreeMap<ObjectKey, Recorded>,
    pub(crate) foreign: BTreeSet<String>,
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
    pub(crate) skipped: u64,
    pub(crate) unchanged: u64,
    pub(crate) unchanged_bytes: u64,
    pub(crate) server_copies: u64,
    /// Objects that replaced another.
    pub(crate) replaced: u64,
    /// Objects that only the destination had.
    pub(crate) extras: u64,
    pub(crate) metadata_lost: u64,
    pub(crate) superseded: u64,
    pub(crate) finished: bool,
}

impl Resumed {
    /// Reads what earlier runs left, under these names. Blocks.
    pub(crate) fn load(replay: Replay, mapping: &Mapping) -> Result<Self> {
        let mut resumed = Self { mapping: mapping.clone(), ..Self::default() };
        for record in replay {
            resumed.take(&record?)?;
        }
        Ok(resumed)
    }

    fn take(&mut self, record: &Record) -> Result<()> {
        match record.kind {
            DONE => self.done(&parse(&record.payload)?),
            NOTE => self.note(parse(&record.payload)?),
            other => {
                let message = format!("the journal holds records of type {other}, which this version does not know");
                return Err(Error::unsupported(message));
            }
        }
        Ok(())
    }

    fn done(&mut self, entry: &ManifestEntry) {
        let key = entry.source_key();
        self.uploads.remove(key);
        self.recorded(entry);
        if entry.unchanged.is_some() {
            self.unchanged += 1;
            self.unchanged_bytes += entry.size;
            return;
        }
        self.objects += 1;
        self.bytes += entry.size;
        self.replaced += u64::from(entry.replaced());
        self.server_copies += u64::from(entry.server_copy.is_some());
        self.metadata_lost += u64::from(!entry.lost.is_empty());
        self.superseded += u64::from(entry.superseded);
    }

    /// A key is settled with its line; of a history, with the last one.
    fn recorded(&mut self, entry: &ManifestEntry) {
        let key = entry.source_key();
        if let Some(history) = entry.history
            && history.number < history.of
        {
            let recorded = self.histories.entry(key.clone()).or_default();
            recorded.versions += 1;
            recorded.bytes += entry.size;
            return;
        }
        self.histories.remove(key);
        self.failed.remove(key);
        self.kept.remove(key);
        self.settle(key);
    }

    fn settle(&mut self, key: &ObjectKey) {
        self.settle_place(self.mapping.place(key));
    }

    fn settle_place(&mut self, place: ObjectKey) {
        if self.settled.as_ref().is_none_or(|settled| place > *settled) {
            self.beyond.insert(place);
        }
    }

    fn note(&mut self, note: Note) {
        match note {
            Note::Started { through } => self.started = self.started.take().max(Some(through)),
            Note::Settled { through } => {
                self.beyond = self.beyond.split_off(&through);
                self.beyond.remove(&through);
                self.settled = Some(through);
            }
            Note::Skipped { key } => {
                self.failed.remove(&key);
                self.settle(&key);
                self.skipped += 1;
            }
            Note::Kept { key } => {
                self.kept.insert(key);
            }
            Note::LeftOut { key } => self.settle(&key),
            Note::Extra { key: place, .. } => {
                self.settle_place(place);
                self.extras += 1;
            }
            Note::Failed { failure } => {
                self.settle(&failure.key);
                self.failed.insert(failure.key.clone(), failure);
            }
            Note::UploadIntent { key, upload } => {
                let open = OpenUpload { plan: upload, id: None, parts: BTreeMap::new(), completing: false };
                self.uploads.insert(key, open);
            }
            Note::UploadBegun { key, id } => self.with_upload(&key, |upload| upload.id = Some(id)),
            Note::PartDone { key, receipt, digest } => self.with_upload(&key, |upload| {
                upload.parts.insert(receipt.number, (receipt, digest));
            }),
            Note::CompleteIntent { key } => self.with_upload(&key, |upload| upload.completing = true),
            Note::UploadGone { key } => {
                self.uploads.remove(&key);
            }
            Note::ForeignUpload { key, id } => {
                self.foreign.insert(foreign(&key, &id));
            }
            Note::Finished => self.finished = true,
        }
    }

    fn with_upload(&mut self, key: &ObjectKey, change: impl FnOnce(&mut OpenUpload)) {
        if let Some(upload) = self.uploads.get_mut(key) {
            change(upload);
        }
    }
}

/// How a report names somebody else's upload.
pub(crate) fn foreign(key: &ObjectKey, id: &UploadId) -> String {
    format!("{key} (upload {id})")
}

fn parse<T: serde::de::DeserializeOwned>(payload: &[u8]) -> Result<T> {
    serde_json::from_slice(payload).map_err(|e| {
        Error::new(ErrorKind::Corrupt, format!("a journal record cannot be read: {e}")).with_operation("journal")
    })
}

/// What only the destination has, if that is what a record says.
pub(crate) fn extra_of(record: &Record) -> Result<Option<(ObjectKey, ObjectMeta)>> {
    if record.kind != NOTE {
        return Ok(None);
    }
    match parse(&record.payload)? {
        Note::Extra { key, there } => Ok(Some((key, there))),
        _ => Ok(None),
    }
}

/// The journal of a transfer; a plan has none and notes nothing.
#[derive(Debug, Default)]
pub(crate) struct Log(Mutex<Option<Journal>>);

impl Log {
    pub(crate) fn new(journal: Journal) -> Self {
        Self(Mutex::new(Some(journal)))
    }

    /// Gives the journal back to whoever comes next. Tasks that end later than their
    /// run have nothing to note.
    pub(crate) fn close(&self) {
        self.journal().take();
    }

    fn journal(&self) -> MutexGuard<'_, Option<Journal>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a record; durable with the next commit.
    pub(crate) fn note(&self, note: &Note) -> Result<()> {
        self.append(NOTE, note)
    }

    /// Appends a record and waits until it is durable.
    pub(crate) async fn note_durably(&self, note: &Note) -> Result<()> {
        self.note(note)?;
        self.commit().await
    }

    /// Appends the manifest line of a finished object.
    pub(crate) fn done(&self, entry: &ManifestEntry) -> Result<()> {
        self.append(DONE, entry)
    }

    pub(crate) async fn commit(&self) -> Result<()> {
        let journal = self.journal().clone();
        match journal {
            Some(journal) => journal.commit().await,
            None => Ok(()),
        }
    }

    /// Waits while much waits for the disk.
    pub(crate) async fn room(&self) -> Result<()> {
        let journal = self.journal().clone();
        match journal {
            Some(journal) => journal.room().await,
            None => Ok(()),
        }
    }

    fn append(&self, kind: u16, record: &impl Serialize) -> Result<()> {
        let record = to_json(record)?;
        match &*self.journal() {
            Some(journal) => journal.append(kind, &record),
            None => Ok(()),
        }
    }
}

fn to_json<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value)
        .map_err(|e| Error::new(ErrorKind::Unexpected, "a journal record cannot be written").with_source(e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> ObjectKey {
        ObjectKey::try_from(text).unwrap()
    }

    #[test]
    fn settled_keys_are_forgotten_behind_the_watermark() {
        let mut resumed = Resumed::default();
        for name in ["a", "c", "d"] {
            resumed.note(Note::Skipped { key: key(name) });
        }
        resumed.note(Note::Settled { through: key("c") });
        assert_eq!(resumed.beyond, BTreeSet::from([key("d")]));
        resumed.note(Note::Skipped { key: key("b") });
        assert_eq!(resumed.beyond.len(), 1, "a key behind the watermark is not kept");
    }

    #[test]
    fn where_names_change_the_watermark_goes_by_places() {
        let mapping = Mapping::new("".into(), "".into(), vec![crate::PrefixMap::new("x/", "b/")]);
        let mut resumed = Resumed { mapping, ..Resumed::default() };
        resumed.note(Note::Skipped { key: key("x/1") });
        resumed.note(Note::Skipped { key: key("d") });
        resumed.note(Note::Settled { through: key("c") });
        assert_eq!(resumed.beyond, BTreeSet::from([key("d")]), "x/1 goes to b/1, which is before c");
        resumed.note(Note::Skipped { key: key("x/2") });
        assert_eq!(resumed.beyond.len(), 1);
    }

    #[test]
    fn a_failure_that_was_done_since_is_no_failure() {
        let mut resumed = Resumed::default();
        let failure = Failure::new(key("a"), &Error::new(ErrorKind::Timeout, "slow"));
        resumed.note(Note::Failed { failure });
        assert_eq!(resumed.failed.len(), 1);
        resumed.note(Note::Skipped { key: key("a") });
        assert!(resumed.failed.is_empty());
    }
}
