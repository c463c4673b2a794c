//! The proofs of earlier runs, in the order of sort keys: what each object was known to be,
//! and by which pair of source and destination.
//!
//! A run that compares begins its listings anew. An object whose source and destination
//! are still the pair that an earlier run proved keeps that proof, and is neither read
//! nor copied again. The proofs are a file in the journal's folder, because the journal
//! itself begins anew with the run; the format is in `docs/formats/journal.md`.

use std::collections::VecDeque;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lepton_core::journal::{Identity, Replay};
use lepton_core::{EnvExt as _, Error, ErrorKind, ObjectKey, ObjectMeta, Result, Sha256, SharedEnv};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::ledger::journal::line_of;
use crate::ledger::manifest::ManifestEntry;
use crate::ledger::sealed_lines;
use crate::ledger::sealed_lines::{SealedReader, SealedWriter};
use crate::listing::external_sort::{Keyed, Sorter};
use crate::names::mapping::Mapping;
use crate::types::entry::DestinationState;
use crate::types::file::to_json;

const VERSION: u32 = 1;
const PROOFS: &str = "proofs";

/// Lines that are read at once, away from the tasks.
const BATCH: usize = 256;

/// How many bytes of lines are sorted in memory at once.
const SORT_MEMORY: usize = 8 << 20;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    lepton_proofs: u32,
    /// The SHA-256 of the identity of the plan, as JSON.
    plan: Sha256,
}

/// What an earlier run proved of one object.
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

/// Where the proofs of a journal are.
pub(crate) fn path(journal: &Path) -> PathBuf {
    journal.join("proofs.jsonl")
}

/// Gathers what the journal proves, and what the runs before it proved of other objects,
/// into the file of proofs. Doing so twice gives the same file. Blocks.
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
        if let Some(line) = line_of(&record?)?.filter(|line| line.history.is_none()) {
            sorter.push(Proof { sort_key: mapping.sort_key(line.source_key()), line: Box::new(line) })?;
        }
    }
    let mut writer = SealedWriter::create(&path, PROOFS, &Header { lepton_proofs: VERSION, plan })?;
    let mut last: Option<Proof> = None;
    for proof in sorter.finish()? {
        let proof = proof?;
        // Of several, the last one that was pushed counts.
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

/// Removes the proofs of a journal that has come to its end. Blocks.
pub(crate) fn discard(journal: &Path) -> Result<()> {
    match std::fs::remove_file(path(journal)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("cannot remove the file", error).with_operation(PROOFS))
        }
        _ => Ok(()),
    }
}

/// Proofs, read along with the places that are asked for.
#[derive(Debug, Default)]
pub(crate) struct Proofs {
    batches: Option<mpsc::Receiver<Result<Vec<Proof>>>>,
    batch: VecDeque<Proof>,
}

impl Proofs {
    /// Starts reading.
    pub(crate) fn start(env: &SharedEnv, file: PathBuf) -> Self {
        let (send, receive) = mpsc::channel(2);
        let ours = Arc::clone(env);
        drop(env.spawn_task(async move {
            let path = file.display().to_string();
            if let Err(error) = read(&ours, file, &send).await {
                // The receiver is gone when the run has ended.
                let _ = send.send(Err(error.with_context("path", path))).await;
            }
        }));
        Self { batches: Some(receive), batch: VecDeque::new() }
    }

    /// Whether there may be more.
    pub(crate) fn are_left(&self) -> bool {
        self.batches.is_some() || !self.batch.is_empty()
    }

    /// Reads on to this sort key; sort keys ascend. Cancellation safe.
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

    /// What was proved of the object at this sort key, once it has been read on to.
    pub(crate) fn take(&mut self, sort_key: &ObjectKey) -> Option<Box<ManifestEntry>> {
        self.batch.pop_front_if(|proof| proof.sort_key == *sort_key).map(|proof| proof.line)
    }
}

/// Reads the whole file in batches; an empty one is the last.
async fn read(env: &SharedEnv, file: PathBuf, send: &mpsc::Sender<Result<Vec<Proof>>>) -> Result<()> {
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
                // The receiver is gone when the run has ended.
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

/// Whether an object is still the pair that was proved: the source has the tag or the
/// version that was read, and the destination has the tag that was written. Times are no
/// evidence, and what has neither tag nor version keeps no proof.
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
    use crate::types::reason::Basis;

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
        ManifestEntry::unchanged(&entry, there, Basis::Time)
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
