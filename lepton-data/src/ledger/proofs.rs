//! The proofs of earlier runs, in the order of sort keys: for each object the pair of
//! source and destination that was proved, and its manifest line.
//!
//! A run that compares starts its listings from the beginning. If an object's source and
//! destination are still the pair that an earlier run proved, the proof holds, and the
//! object is neither read nor copied again. The proofs are a file in the journal's folder,
//! because the journal itself is restarted by the run; the format is in
//! `docs/formats/journal.md`.

use std::collections::VecDeque;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lepton_core::journal::{Identity, Replay};
use lepton_core::{Error, ErrorKind, ObjectKey, ObjectMeta, Result, RuntimeExt as _, Sha256, SharedRuntime};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::ledger::manifest::{ManifestEntry, ManifestReader};
use crate::ledger::note::manifest_line_of;
use crate::ledger::sealed_lines;
use crate::ledger::sealed_lines::{SealedReader, SealedWriter};
use crate::listing::external_sort::{Keyed, Sorter};
use crate::names::mapping::Mapping;
use crate::types::entry::DestinationState;
use crate::types::file::to_json;

const VERSION: u32 = 1;
const PROOFS: &str = "proofs";

/// The number of lines read in one batch, on a blocking thread.
const BATCH: usize = 256;

/// How many bytes of lines are sorted in memory.
const SORT_MEMORY: usize = 8 << 20;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    lepton_proofs: u32,
    /// The SHA-256 of the identity of the plan, as JSON.
    plan: Sha256,
}

/// The proof of one object by an earlier run.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Proof {
    sort_key: ObjectKey,
    line: Box<ManifestEntry>,
}

impl Keyed for Proof {
    fn key(&self) -> &ObjectKey {
        &self.sort_key
    }

    fn weight(&self) -> usize {
        size_of::<ManifestEntry>() + 3 * self.sort_key.as_bytes().len() + 32 * self.line.parts.len() + 200
    }
}

/// The path of a journal's proofs.
pub(crate) fn path(journal: &Path) -> PathBuf {
    journal.join("proofs.jsonl")
}

/// Gathers the proofs of the journal, and the proofs of earlier runs for other objects,
/// into the file of proofs. Idempotent. Blocks.
pub(crate) fn gather(journal: &Path, identity: &Identity, replay: Replay, mapping: &Mapping) -> Result<()> {
    let (path, plan) = (path(journal), Sha256::of(&to_json(identity)?));
    let mut sorter = Sorter::new(journal, SORT_MEMORY);
    if path.exists() {
        let (mut lines, header): (_, Header) = SealedReader::new(crate::types::file::open(&path, PROOFS)?, PROOFS)?;
        while header.plan == plan
            && let Some(proof) = lines.next(|proof: &Proof| proof.line.size)?
        {
            sorter.push(proof)?;
        }
    }
    for record in replay {
        if let Some(line) = manifest_line_of(&record?)?.filter(|line| line.history.is_none()) {
            sorter.push(Proof { sort_key: mapping.sort_key(line.source_key()), line: Box::new(line) })?;
        }
    }
    write(&path, plan, sorter)
}

/// Writes the proofs of a transfer in the other direction, which has this manifest, as the
/// proofs of this one. Blocks.
pub(crate) fn reverse(journal: &Path, identity: &Identity, manifest: &Path, mapping: &Mapping) -> Result<()> {
    let mut sorter = Sorter::new(journal, SORT_MEMORY);
    for line in ManifestReader::open(manifest)? {
        let line = line?;
        if line.history.is_some() {
            continue;
        }
        let line = line.reversed();
        sorter.push(Proof { sort_key: mapping.sort_key(line.source_key()), line: Box::new(line) })?;
    }
    write(&path(journal), Sha256::of(&to_json(identity)?), sorter)
}

/// Writes the file of proofs. Of several proofs for one sort key, the last one pushed counts.
fn write(path: &Path, plan: Sha256, sorter: Sorter<Proof>) -> Result<()> {
    let mut writer = SealedWriter::create(path, PROOFS, &Header { lepton_proofs: VERSION, plan })?;
    let mut last: Option<Proof> = None;
    for proof in sorter.finish()? {
        let proof = proof?;
        if let Some(before) = last.replace(proof)
            && last.as_ref().is_some_and(|last| last.sort_key != before.sort_key)
        {
            writer.add(&to_json(&before)?, before.line.size)?;
        }
    }
    if let Some(last) = last {
        writer.add(&to_json(&last)?, last.line.size)?;
    }
    writer.finish()
}

/// Removes the proofs of a journal. Blocks.
pub(crate) fn discard(journal: &Path) -> Result<()> {
    match std::fs::remove_file(path(journal)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("cannot remove the file", error).with_operation(PROOFS))
        }
        _ => Ok(()),
    }
}

/// Proofs, read in step with the sort keys of the listing.
#[derive(Debug, Default)]
pub(crate) struct Proofs {
    batches: Option<mpsc::Receiver<Result<Vec<Proof>>>>,
    batch: VecDeque<Proof>,
}

impl Proofs {
    /// Starts reading.
    pub(crate) fn start(env: &SharedRuntime, file: PathBuf) -> Self {
        let (send, receive) = mpsc::channel(2);
        let ours = Arc::clone(env);
        drop(env.spawn_task(async move {
            let path = file.display().to_string();
            if let Err(error) = read(&ours, file, &send).await {
                // The receiver is dropped when the run has ended.
                let _ = send.send(Err(error.with_context("path", path))).await;
            }
        }));
        Self { batches: Some(receive), batch: VecDeque::new() }
    }

    /// Whether there may be more proofs.
    pub(crate) fn are_left(&self) -> bool {
        self.batches.is_some() || !self.batch.is_empty()
    }

    /// Reads up to this sort key; calls must pass ascending sort keys. Cancellation safe.
    pub(crate) async fn advance(&mut self, sort_key: &ObjectKey) -> Result<()> {
        loop {
            while self.batch.pop_front_if(|proof| proof.sort_key < *sort_key).is_some() {}
            let Some(batches) = self.batches.as_mut().filter(|_| self.batch.is_empty()) else { return Ok(()) };
            let broke_off = || Error::new(ErrorKind::Unexpected, "reading the proofs broke off");
            self.batch = batches.recv().await.ok_or_else(broke_off)??.into();
            if self.batch.is_empty() {
                self.batches = None;
            }
        }
    }

    /// The proof for this sort key, after [`advance`](Self::advance) to it.
    pub(crate) fn take(&mut self, sort_key: &ObjectKey) -> Option<Box<ManifestEntry>> {
        self.batch.pop_front_if(|proof| proof.sort_key == *sort_key).map(|proof| proof.line)
    }
}

/// Reads the whole file in batches; an empty batch is the last.
async fn read(env: &SharedRuntime, file: PathBuf, send: &mpsc::Sender<Result<Vec<Proof>>>) -> Result<()> {
    let mut lines = env.run_blocking(move || open(&file)).join().await??;
    loop {
        let reading = env.run_blocking(move || {
            let mut batch = Vec::new();
            while batch.len() < BATCH {
                let Some(proof) = lines.next(|proof: &Proof| proof.line.size)? else { return Ok((batch, None)) };
                batch.push(proof);
            }
            Ok((batch, Some(lines)))
        });
        let (batch, rest): (Vec<Proof>, _) = reading.join().await.flatten()?;
        let is_empty = batch.is_empty();
        if send.send(Ok(batch)).await.is_err() {
            return Ok(());
        }
        match rest {
            Some(rest) => lines = rest,
            None if is_empty => return Ok(()),
            None => {
                // The receiver is dropped when the run has ended.
                let _ = send.send(Ok(Vec::new())).await;
                return Ok(());
            }
        }
    }
}

fn open(file: &Path) -> Result<SealedReader<BufReader<File>>> {
    let (lines, header): (_, Header) = SealedReader::new(crate::types::file::open(file, PROOFS)?, PROOFS)?;
    sealed_lines::check_version(PROOFS, header.lepton_proofs, VERSION)?;
    Ok(lines)
}

/// Whether the object at the destination is the one that was proved there.
pub(crate) fn knows(proof: Option<&ManifestEntry>, there: &ObjectMeta) -> bool {
    proof.is_some_and(|proof| proof.etag.is_some() && proof.etag == there.etag && proof.size == there.size)
}

/// The error for an object that somebody else has written at a destination that is guarded.
pub(crate) fn foreign(there: &ObjectMeta) -> Error {
    let message = "the destination has an object that this transfer did not write; it is left";
    Error::new(ErrorKind::Conflict, message).with_context("key", &there.key)
}

/// Whether an object is still the pair that was proved: the source has the tag that was
/// read and no other version, the destination has the tag that was written, and the sizes
/// are the same. Times are no evidence, and without tags a proof does not hold.
pub(crate) fn holds(proof: &ManifestEntry, source: &ObjectMeta, there: &DestinationState) -> bool {
    let DestinationState::Present(there) = there else { return false };
    let proven = proof.source_etag.as_ref().or(proof.etag.as_ref().filter(|_| proof.unchanged.is_some()));
    let same_tag = proven.is_some() && proven == source.etag.as_ref();
    let other_version =
        proof.source_version.is_some() && source.version.is_some() && proof.source_version != source.version;
    let same_there = proof.etag.is_some() && proof.etag == there.etag;
    same_tag && !other_version && same_there && proof.size == source.size && proof.size == there.size
}

#[cfg(test)]
mod tests {
    use lepton_core::ETag;

    use super::*;
    use crate::types::entry::{Entry, Mode};
    use crate::types::reason::ComparedBy;

    fn meta(etag: Option<&str>, size: u64) -> ObjectMeta {
        let mut meta = ObjectMeta::new(ObjectKey::try_from("a").unwrap(), size);
        meta.etag = etag.map(ETag::new);
        meta
    }

    fn proof(source: &ObjectMeta, there: &ObjectMeta) -> ManifestEntry {
        let entry = Entry {
            source: source.clone(),
            target: source.key.clone(),
            there: DestinationState::Unknown,
            mode: Mode::Listed,
        };
        ManifestEntry::unchanged(&entry, there, ComparedBy::Time)
    }

    #[test]
    fn a_proof_holds_for_its_pair_and_no_other() {
        let here = |etag, size| DestinationState::Present(Box::new(meta(etag, size)));
        for (source, there) in [(Some("1"), Some("1")), (Some("1"), Some("2"))] {
            let proof = proof(&meta(source, 5), &meta(there, 5));
            assert!(holds(&proof, &meta(source, 5), &here(there, 5)));
            assert!(!holds(&proof, &meta(Some("other"), 5), &here(there, 5)));
            assert!(!holds(&proof, &meta(source, 5), &here(Some("other"), 5)));
            assert!(!holds(&proof, &meta(source, 6), &here(there, 5)));
            assert!(!holds(&proof, &meta(source, 5), &here(there, 6)));
            assert!(!holds(&proof, &meta(None, 5), &here(there, 5)));
            assert!(!holds(&proof, &meta(source, 5), &DestinationState::Absent));
            assert!(!holds(&proof, &meta(source, 5), &DestinationState::Unknown));
        }
        assert!(!holds(&proof(&meta(None, 5), &meta(Some("1"), 5)), &meta(None, 5), &here(Some("1"), 5)));
        assert!(!holds(&proof(&meta(Some("1"), 5), &meta(None, 5)), &meta(Some("1"), 5), &here(None, 5)));
    }
}
