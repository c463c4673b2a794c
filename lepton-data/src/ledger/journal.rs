//! The records of a transfer's journal, and the state that earlier runs left.
//!
//! The records are JSON; the format is in `docs/formats/journal.md`. Memory is
//! bounded: finished keys are kept only beyond the watermark, and the window of the run
//! limits their number.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use lepton_core::journal::{FIRST_USER_TYPE, Journal, Record, Replay};
use lepton_core::{ETag, Error, ErrorKind, ObjectKey, ObjectMeta, PartReceipt, Result, UploadId};
use serde::{Deserialize, Serialize};

use crate::digest::checksum::PartDigest;
use crate::ledger::manifest::ManifestEntry;
use crate::ledger::report::Failure;
use crate::names::mapping::Mapping;
use crate::types::entry::Pin;
use crate::types::file::to_json;
use crate::types::layout::Layout;

/// An object is at the destination, copied or unchanged. The payload is its manifest line.
pub(crate) const DONE: u16 = FIRST_USER_TYPE;
/// Any other record, as a [`Note`].
const NOTE: u16 = FIRST_USER_TYPE + 1;

/// A record that is not a manifest line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Note {
    /// Objects up to this sort key may have been written. Durable before the first of them
    /// is written.
    Started { through: ObjectKey },
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

/// An upload that an earlier run did not complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OpenUpload {
    pub(crate) plan: UploadPlan,
    /// `None` if the run died before the store's response was on disk.
    pub(crate) id: Option<UploadId>,
    pub(crate) parts: BTreeMap<u32, (PartReceipt, PartDigest)>,
    pub(crate) completing: bool,
}

/// The part of a history that is done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub(crate) versions: u64,
    pub(crate) bytes: u64,
}

/// The state that earlier runs left.
#[derive(Debug, Default)]
pub(crate) struct Resumed {
    mapping: Mapping,
    /// The watermark: listing resumes after this sort key.
    pub(crate) settled: Option<ObjectKey>,
    /// Sort keys after the first and up to the second may have been written by an earlier run.
    pub(crate) maybe_written: Option<(Option<ObjectKey>, ObjectKey)>,
    /// The journal states that sort keys up to here may have been written.
    pub(crate) started: Option<ObjectKey>,
    /// Settled sort keys beyond `settled`.
    pub(crate) beyond: BTreeSet<ObjectKey>,
    /// Objects that failed and have not been done since.
    pub(crate) failed: BTreeMap<ObjectKey, Failure>,
    pub(crate) uploads: BTreeMap<ObjectKey, OpenUpload>,
    /// Unfinished objects whose predecessor at the destination is backed up, with its tag.
    pub(crate) kept: BTreeMap<ObjectKey, Option<ETag>>,
    /// Keys of which some versions are done, but not all.
    pub(crate) histories: BTreeMap<ObjectKey, Recorded>,
    pub(crate) foreign: BTreeSet<String>,
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
    pub(crate) skipped: u64,
    pub(crate) unchanged: u64,
    pub(crate) unchanged_bytes: u64,
    pub(crate) server_copies: u64,
    /// Objects that replaced another object.
    pub(crate) replaced: u64,
    /// Objects that only the destination had.
    pub(crate) extras: u64,
    pub(crate) metadata_lost: u64,
    pub(crate) superseded: u64,
    /// The journal was restarted, with the proofs of earlier runs in a file next to it.
    pub(crate) anew: bool,
    /// The file of the proofs of earlier runs, if the listings are compared again.
    pub(crate) proofs: Option<PathBuf>,
    /// The listings reached their end, and objects failed.
    pub(crate) ended: bool,
    pub(crate) finished: bool,
}

impl Resumed {
    /// Reads what earlier runs left, with this mapping of names. Blocks.
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

    /// Settles a key when its line is recorded; in a history, with the last line.
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
        self.settle_place(self.mapping.sort_key(key));
    }

    fn settle_place(&mut self, sort_key: ObjectKey) {
        if self.settled.as_ref().is_none_or(|settled| sort_key > *settled) {
            self.beyond.insert(sort_key);
        }
    }

    fn note(&mut self, note: Note) {
        match note {
            Note::Started { through } => self.started = self.started.take().max(Some(through)),
            Note::Settled { through } => {
                self.beyond = self.beyond.split_off(&through);
                self.beyond.remove(&through);
                // A run that starts before the watermark, as with a plan, does not move it back.
                self.settled = self.settled.take().max(Some(through));
            }
            Note::Skipped { key } => {
                self.failed.remove(&key);
                self.settle(&key);
                self.skipped += 1;
            }
            Note::Kept { key, etag } => {
                self.kept.insert(key, etag);
            }
            Note::LeftOut { key } => {
                self.failed.remove(&key);
                self.settle(&key);
            }
            Note::Anew => self.anew = true,
            Note::MaybeWritten { after, through } => self.maybe_written = Some((after, through)),
            Note::Extra { key: sort_key, .. } => {
                self.settle_place(sort_key);
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
            Note::Ended => self.ended = true,
            Note::Finished => self.finished = true,
        }
    }

    /// Whether nothing was started that a later run could resume.
    pub(crate) fn is_nothing(&self) -> bool {
        let settled = self.settled.is_some() || !self.beyond.is_empty() || !self.failed.is_empty();
        let begun = self.started.is_some() || self.maybe_written.is_some() || !self.uploads.is_empty();
        let partly = !self.kept.is_empty() || !self.histories.is_empty() || self.objects + self.unchanged > 0;
        !(settled || begun || partly)
    }

    /// The sort keys that a run may have written without recording it: those carried over
    /// from the previous journal and not reached yet, and those after the watermark.
    pub(crate) fn in_doubt(&self) -> Option<(Option<ObjectKey>, ObjectKey)> {
        let settled = self.settled.as_ref();
        let open = |through: &ObjectKey| settled.is_none_or(|settled| settled < through);
        let before = self.maybe_written.as_ref().filter(|(_, through)| open(through));
        let ours = self.started.as_ref().filter(|started| open(started));
        match (before, ours) {
            (Some((after, through)), None) => Some((after.clone().max(settled.cloned()), through.clone())),
            (Some((_, through)), Some(ours)) => Some((settled.cloned(), through.max(ours).clone())),
            (None, Some(ours)) => Some((settled.cloned(), ours.clone())),
            (None, None) => None,
        }
    }

    /// The records that a restarted journal carries over: open uploads, backups, and sort
    /// keys that may have been written; with `failed`, also those of failed objects.
    pub(crate) fn carried(&self, failed: bool) -> Result<Vec<(u16, Vec<u8>)>> {
        let mut notes = vec![Note::Anew];
        let kept = self.kept.iter();
        notes.extend(kept.map(|(key, etag)| Note::Kept { key: key.clone(), etag: etag.clone() }));
        let in_doubt = match self.failed.keys().map(|key| self.mapping.sort_key(key)).max().filter(|_| failed) {
            Some(last) => Some((None, self.in_doubt().map_or(last.clone(), |(_, through)| through.max(last)))),
            None => self.in_doubt(),
        };
        notes.extend(in_doubt.map(|(after, through)| Note::MaybeWritten { after, through }));
        for (key, open) in &self.uploads {
            let key = || key.clone();
            notes.push(Note::UploadIntent { key: key(), upload: open.plan.clone() });
            notes.extend(open.id.clone().map(|id| Note::UploadBegun { key: key(), id }));
            let parts = open.parts.values().cloned();
            notes.extend(parts.map(|(receipt, digest)| Note::PartDone { key: key(), receipt, digest }));
            notes.extend(open.completing.then(|| Note::CompleteIntent { key: key() }));
        }
        notes.iter().map(|note| Ok((NOTE, to_json(note)?))).collect()
    }

    fn with_upload(&mut self, key: &ObjectKey, change: impl FnOnce(&mut OpenUpload)) {
        if let Some(upload) = self.uploads.get_mut(key) {
            change(upload);
        }
    }
}

/// The name of another client's upload in a report.
pub(crate) fn foreign(key: &ObjectKey, id: &UploadId) -> String {
    format!("{key} (upload {id})")
}

fn parse<T: serde::de::DeserializeOwned>(payload: &[u8]) -> Result<T> {
    serde_json::from_slice(payload).map_err(|e| {
        Error::new(ErrorKind::Corrupt, format!("a journal record cannot be read: {e}")).with_operation("journal")
    })
}

/// The extraneous object of a record, if it is such a record.
pub(crate) fn extra_of(record: &Record) -> Result<Option<(ObjectKey, ObjectMeta)>> {
    if record.kind != NOTE {
        return Ok(None);
    }
    match parse(&record.payload)? {
        Note::Extra { key, there } => Ok(Some((key, there))),
        _ => Ok(None),
    }
}

/// The line of a finished object, if the record is one.
pub(crate) fn line_of(record: &Record) -> Result<Option<ManifestEntry>> {
    if record.kind == DONE { parse(&record.payload).map(Some) } else { Ok(None) }
}

/// The journal of a transfer. A dry run has no journal and records nothing.
#[derive(Debug, Default)]
pub(crate) struct Log {
    journal: Mutex<Option<Journal>>,
    /// A record could not be written.
    failed: AtomicBool,
}

impl Log {
    pub(crate) fn new(journal: Journal) -> Self {
        Self { journal: Mutex::new(Some(journal)), failed: AtomicBool::new(false) }
    }

    /// Releases the journal for the next run. Tasks that end after their run record
    /// nothing.
    pub(crate) fn close(&self) {
        self.journal().take();
    }

    fn journal(&self) -> MutexGuard<'_, Option<Journal>> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a record; durable with the next commit.
    pub(crate) fn note(&self, note: &Note) -> Result<()> {
        let work = if let Note::PartDone { receipt, .. } = note { receipt.size } else { 0 };
        self.append(NOTE, note, work)
    }

    /// Appends a record and waits until it is durable.
    pub(crate) async fn note_durably(&self, note: &Note) -> Result<()> {
        self.note(note)?;
        self.commit().await
    }

    /// Appends the manifest line of a finished object.
    pub(crate) fn done(&self, entry: &ManifestEntry) -> Result<()> {
        self.append(DONE, entry, if entry.unchanged.is_none() { entry.size } else { 0 })
    }

    pub(crate) async fn commit(&self) -> Result<()> {
        let journal = self.journal().clone();
        match journal {
            Some(journal) => self.seen(journal.commit().await),
            None => Ok(()),
        }
    }

    /// Waits while much of what was appended is not on disk yet.
    pub(crate) async fn room(&self) -> Result<()> {
        let journal = self.journal().clone();
        match journal {
            Some(journal) => self.seen(journal.room().await),
            None => Ok(()),
        }
    }

    /// Whether a record could not be written. Then the run ends, because it could not be resumed.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Relaxed)
    }

    /// `work` is the number of bytes to send again if the record were lost.
    fn append(&self, kind: u16, record: &impl Serialize, work: u64) -> Result<()> {
        let appended = to_json(record).and_then(|record| match &*self.journal() {
            Some(journal) => journal.append_for(kind, &record, work),
            None => Ok(()),
        });
        self.seen(appended)
    }

    fn seen(&self, written: Result<()>) -> Result<()> {
        if written.is_err() {
            self.failed.store(true, Relaxed);
        }
        written
    }
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
    fn what_is_in_doubt_is_behind_the_watermark_or_not_reached_yet() {
        let doubt = |maybe: Option<(Option<&str>, &str)>, settled: Option<&str>, started: Option<&str>| {
            let resumed = Resumed {
                maybe_written: maybe.map(|(after, through)| (after.map(key), key(through))),
                settled: settled.map(key),
                started: started.map(key),
                ..Resumed::default()
            };
            resumed.in_doubt().map(|(after, through)| (after.map(|after| after.to_string()), through.to_string()))
        };
        let range = |after: Option<&str>, through: &str| Some((after.map(str::to_owned), through.to_owned()));
        assert_eq!(doubt(None, None, None), None);
        assert_eq!(doubt(None, Some("c"), Some("f")), range(Some("c"), "f"));
        assert_eq!(doubt(None, Some("f"), Some("f")), None);
        let before = Some((Some("m"), "p"));
        assert_eq!(doubt(before, None, None), range(Some("m"), "p"));
        assert_eq!(doubt(before, Some("n"), None), range(Some("n"), "p"));
        assert_eq!(doubt(before, Some("c"), Some("f")), range(Some("c"), "p"));
        assert_eq!(doubt(before, Some("q"), Some("r")), range(Some("q"), "r"));
        assert_eq!(doubt(before, Some("r"), Some("r")), None);
    }

    #[test]
    fn a_journal_that_begins_anew_takes_along_what_is_open() {
        let open = |parts: &[u32], completing| OpenUpload {
            plan: UploadPlan::new(
                key("to"),
                Layout { size: 5, part_size: 1 << 20, multipart: true },
                Pin::default(),
                UNIX_EPOCH,
            ),
            id: Some(UploadId::new("id")),
            parts: parts
                .iter()
                .map(|number| {
                    let receipt = PartReceipt::new(*number, 5, ETag::new("t"));
                    let digest = PartDigest { len: 5, root: lepton_core::Sha256::of(b"hello"), crc64: 1, extra: None };
                    (*number, (receipt, digest))
                })
                .collect(),
            completing,
        };
        let resumed = Resumed {
            uploads: [(key("a"), open(&[1, 2], false)), (key("b"), open(&[], true))].into(),
            kept: [(key("k"), Some(ETag::new("t")))].into(),
            started: Some(key("m")),
            settled: Some(key("c")),
            skipped: 7,
            ended: true,
            ..Resumed::default()
        };
        let mut anew = Resumed::default();
        for (kind, payload) in resumed.carried(false).unwrap() {
            anew.take(&Record { kind, payload }).unwrap();
        }
        assert_eq!((&anew.uploads, &anew.kept), (&resumed.uploads, &resumed.kept));
        assert_eq!(anew.in_doubt(), Some((Some(key("c")), key("m"))));
        assert_eq!((anew.anew, anew.skipped, anew.ended, anew.settled), (true, 0, false, None));
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
