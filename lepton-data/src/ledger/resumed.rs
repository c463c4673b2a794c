//! The state that earlier runs of a transfer left in its journal.
//!
//! Memory is bounded: finished keys are kept only beyond the watermark, and the window of the run
//! limits their number.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use lepton_core::journal::{Record, Replay};
use lepton_core::{ETag, Error, ErrorKind, ObjectKey, PartReceipt, Result, UploadId};

use crate::digest::checksum::PartDigest;
use crate::ledger::manifest::ManifestEntry;
use crate::ledger::note::{DONE, NOTE, Note, UploadPlan, foreign_upload, parse};
use crate::ledger::report::Failure;
use crate::names::mapping::Mapping;
use crate::types::file::to_json;

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
    /// Sort keys that a run was about to write at a guarded destination, without a record that it
    /// did.
    pub(crate) writing: BTreeSet<ObjectKey>,
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
    pub(crate) source_unchecked: u64,
    pub(crate) superseded: u64,
    /// The journal was restarted, with the proofs of earlier runs in a file next to it.
    pub(crate) anew: bool,
    /// The file of the proofs of earlier runs, if the listings are compared again.
    pub(crate) proofs: Option<PathBuf>,
    /// Something could not be listed.
    pub(crate) unlisted: bool,
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
        self.source_unchecked += u64::from(entry.is_source_unchecked());
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
        self.writing.remove(&self.mapping.sort_key(key));
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
            Note::Writing { key: sort_key } => {
                self.writing.insert(sort_key);
            }
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
                if failure.kind == ErrorKind::Conflict.code() {
                    // Another writer's object is there.
                    self.writing.remove(&self.mapping.sort_key(&failure.key));
                }
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
                self.foreign.insert(foreign_upload(&key, &id));
            }
            Note::Unlisted { .. } => self.unlisted = true,
            Note::Ended => self.ended = true,
            Note::Finished => self.finished = true,
        }
    }

    /// Whether nothing was started that a later run could resume.
    pub(crate) fn is_nothing(&self) -> bool {
        let settled = self.settled.is_some() || !self.beyond.is_empty() || !self.failed.is_empty();
        let maybe_written = self.started.is_some() || self.maybe_written.is_some() || !self.writing.is_empty();
        let begun = maybe_written || !self.uploads.is_empty();
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
        // A round that has finished has seen what became of each.
        let writing = self.writing.iter().filter(|_| !self.finished);
        notes.extend(writing.map(|sort_key| Note::Writing { key: sort_key.clone() }));
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

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use lepton_core::ErrorKind;

    use super::*;
    use crate::types::entry::Pin;
    use crate::types::layout::Layout;

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
