//! Compares one object, or one part of it, with its line in the manifest.

use std::ops::Range;
use std::sync::Arc;

use futures_util::TryStreamExt as _;
use lepton_core::{
    ChecksumAlgorithm, ChecksumScope, Error, ErrorKind, GetOptions, HeadOptions, Result, RetryClass, TreeHasher,
    VersionId, from_hex,
};

use crate::ledger::manifest::ManifestEntry;
use crate::ledger::verification::VerifyDepth;
use crate::listing::key_versions;
use crate::schedule::control::cancelled;
use crate::schedule::endpoint::Endpoint;
use crate::schedule::lanes::Lane;
use crate::types::side::ends_the_run;

pub(crate) enum Verdict {
    Right,
    SizeOnly,
    Wrong(String),
    /// The store did not respond, or with errors that may pass.
    Unreachable(Error),
}

impl Verdict {
    /// Of an object whose parts have these verdicts.
    pub(crate) fn of(parts: Vec<Verdict>) -> Result<Verdict, Vec<String>> {
        let (mut wrong, mut whole) = (Vec::new(), Verdict::Right);
        for part in parts {
            match part {
                Verdict::Wrong(what) => wrong.push(what),
                Verdict::Right => {}
                Verdict::SizeOnly | Verdict::Unreachable(_) => whole = part,
            }
        }
        if wrong.is_empty() { Ok(whole) } else { Err(wrong) }
    }
}

/// A piece of an object that is read in one request.
pub(crate) struct Unit {
    entry: Arc<ManifestEntry>,
    /// From 0; an object read whole has one part.
    part: usize,
    /// The bytes of the object that the unit is about.
    range: Range<u64>,
    is_last: bool,
}

impl Unit {
    pub(crate) fn of(entry: Arc<ManifestEntry>, depth: VerifyDepth) -> impl Iterator<Item = Unit> {
        let parts = if depth == VerifyDepth::Full { entry.parts.len().max(1) } else { 1 };
        let len = if parts > 1 { entry.part_size } else { entry.size };
        (0..parts).map(move |part| {
            let start = (part as u64).saturating_mul(len);
            let range = start..start.saturating_add(len).min(entry.size).max(start);
            Unit { entry: Arc::clone(&entry), part, range, is_last: part + 1 == parts }
        })
    }

    fn len(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// The version of the entry, if all versions of a key were moved: each is requested
    /// by its version ID.
    fn version(&self) -> Option<VersionId> {
        self.entry.version.clone().filter(|_| self.entry.history.is_some())
    }

    fn wrong(&self, what: impl std::fmt::Display) -> Verdict {
        let what = match self.version() {
            Some(version) => format!("version {version}: {what}"),
            None => what.to_string(),
        };
        Verdict::Wrong(what)
    }
}

/// Checks the objects of the destination.
#[derive(Debug)]
pub(crate) struct Checker {
    pub(crate) destination: Endpoint,
    pub(crate) depth: VerifyDepth,
}

impl Checker {
    /// Compares a unit. An object that cannot be read is wrong, unless the error may pass.
    ///
    /// # Errors
    /// An error that would affect every object; `cancelled`.
    pub(crate) async fn check(&self, unit: Unit) -> Result<Verdict> {
        let reads = self.depth == VerifyDepth::Full && unit.entry.sha256_tree.is_some();
        let scheduler = self.destination.scheduler();
        let check = async {
            match reads {
                _ if unit.entry.delete_marker => self.marker(&unit).await,
                true => self.read(&unit).await,
                false => self.look(&unit).await,
            }
        };
        let checked = tokio::select! {
            biased;
            // Nothing is written, so that a read may be dropped.
            () = scheduler.control.cancelled() => return Err(cancelled()),
            checked = check => checked,
        };
        scheduler.counters.done_objects.add(u64::from(unit.is_last));
        scheduler.counters.done_bytes.add(unit.len());
        match checked {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(unit.wrong("the object is missing")),
            Err(error) if error.kind() == ErrorKind::Cancelled || ends_the_run(&error) => Err(error),
            Err(error) if error.retry() != RetryClass::Never => Ok(Verdict::Unreachable(error)),
            Err(error) => Ok(unit.wrong(format!("the object cannot be read: {}", error.full_message()))),
            verdict => verdict,
        }
    }

    async fn read(&self, unit: &Unit) -> Result<Verdict> {
        let entry = &unit.entry;
        let scheduler = self.destination.scheduler();
        let mut options = GetOptions::new().version(unit.version()).without_attributes(true);
        let mut lane = Lane::Small;
        if !entry.parts.is_empty() {
            options = options.range(unit.range.clone());
            lane = Lane::Parts;
        }
        let slot = scheduler.enter(lane, unit.len()).await?;
        let read = self.destination.retry_in(&slot, true, || async {
            let reply = self.destination.storage().get(&entry.key, options.clone()).await?;
            if reply.meta.size != entry.size {
                return Ok(Err(reply.meta.size));
            }
            let hasher = reply.body.try_fold(TreeHasher::new(), |mut hasher, bytes| async move {
                scheduler.counters.read(bytes.len() as u64);
                scheduler.take_bandwidth(bytes.len() as u64).await;
                hasher.update(&bytes);
                Ok(hasher)
            });
            Ok(Ok(hasher.await?.finish().root))
        });
        let root = match read.await {
            Ok(Ok(root)) => root,
            Ok(Err(size)) => return Ok(unit.wrong(format!("the object has {size} bytes instead of {}", entry.size))),
            Err(error) if error.kind() == ErrorKind::InvalidInput => {
                return Ok(unit.wrong(format!("the object ends before part {}", unit.part + 1)));
            }
            Err(error) => return Err(error),
        };
        slot.done(unit.len());
        Ok(match entry.parts.get(unit.part) {
            Some(expected) if root != *expected => {
                let range = &unit.range;
                unit.wrong(format!("part {} (bytes {}-{}) has other bytes", unit.part + 1, range.start, range.end - 1))
            }
            None if Some(root) != entry.sha256_tree => unit.wrong("the object has other bytes"),
            _ => Verdict::Right,
        })
    }

    /// Checks a delete marker. It has no bytes, so the listing of versions shows whether it
    /// exists. If the destination made none, there is nothing to check.
    async fn marker(&self, unit: &Unit) -> Result<Verdict> {
        let Some(version) = unit.version() else { return Ok(Verdict::Right) };
        if self.destination.storage().versions().is_none() {
            return Ok(unit.wrong("the store does not list versions, so that the delete marker cannot be looked at"));
        }
        let _slot = self.destination.scheduler().enter(Lane::Small, 0).await?;
        let versions = key_versions::listed(&self.destination, &unit.entry.key).await?;
        Ok(match versions.iter().find(|found| found.meta.version.as_ref() == Some(&version)) {
            Some(found) if found.is_delete_marker => Verdict::Right,
            Some(_) => unit.wrong("it is no delete marker"),
            None => unit.wrong("the delete marker is missing"),
        })
    }

    async fn look(&self, unit: &Unit) -> Result<Verdict> {
        let entry = &unit.entry;
        let slot = self.destination.scheduler().enter(Lane::Small, 0).await?;
        let options = HeadOptions::new().version(unit.version());
        let head = || self.destination.storage().head(&entry.key, options.clone());
        let meta = self.destination.retry_in(&slot, true, head).await?.meta;
        slot.done(0);
        if meta.size != entry.size {
            return Ok(unit.wrong(format!("the object has {} bytes instead of {}", meta.size, entry.size)));
        }
        let crc = meta
            .checksums
            .iter()
            .find(|c| c.algorithm == ChecksumAlgorithm::Crc64Nvme && c.scope == ChecksumScope::Full);
        if let (Some(stored), Some(ours)) = (crc, &entry.crc64nvme) {
            let same = from_hex(ours).is_some_and(|ours| ours == stored.value);
            return Ok(if same { Verdict::Right } else { unit.wrong("the store keeps another CRC-64/NVME of it") });
        }
        Ok(match (&entry.etag, &meta.etag) {
            (Some(ours), Some(theirs)) if ours == theirs => Verdict::Right,
            (Some(ours), Some(theirs)) => {
                unit.wrong(format!("its tag is {theirs} instead of {ours}: it was written since"))
            }
            _ => Verdict::SizeOnly,
        })
    }
}
