//! Proving a manifest against a destination, by whoever has the two.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{StreamExt as _, TryStreamExt as _};
use lepton_core::{
    ChecksumAlgorithm, ChecksumScope, EnvExt as _, Error, ErrorKind, GetOptions, HeadOptions, KeyPrefix, ListRequest,
    Location, ObjectKey, Result, Retry, SharedEnv, SharedStorage, SystemEnv, TreeHasher, VersionId, from_hex,
};
use serde::{Deserialize, Serialize};

use crate::ledger::manifest::{ManifestEntry, ManifestReader};

/// Requests at once.
const CONCURRENCY: usize = 16;
/// How often a request is tried, in all.
const ATTEMPTS: u32 = 5;
/// Problems that are kept by name; all are counted.
const KEPT: usize = 10_000;

/// How deep to look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Depth {
    /// Reads every byte again and compares the tree hash, part by part.
    #[default]
    Full,
    /// Compares sizes and what the store says: checksum where it keeps one, else
    /// tag or version. Believes the store.
    Quick,
}

/// What is wrong with one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Problem {
    /// Its key at the destination.
    pub key: ObjectKey,
    /// What is wrong, for people.
    pub what: String,
}

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Verification {
    /// Objects of the manifest.
    pub objects: u64,
    /// Their bytes, as the manifest has them.
    pub bytes: u64,
    /// The number of problems.
    pub failed: u64,
    /// The problems, at most 10,000 of them.
    pub problems: Vec<Problem>,
    /// Objects of which a quick look could compare nothing but the size.
    pub size_only: u64,
    /// Objects that the transfer found unchanged or had a server copy by itself:
    /// there is no digest of them, so they were looked at as by [`Depth::Quick`].
    pub without_digest: u64,
}

impl Verification {
    /// Whether everything is as the manifest says.
    pub fn is_proven(&self) -> bool {
        self.failed == 0
    }
}

/// Compares every object of a manifest with what `destination` holds. Objects
/// beside those of the manifest are not looked at.
///
/// # Errors
/// What is wrong with the manifest itself (`corrupt` with the line: an entry cut
/// out, the end missing), and what no object can do better than, such as wrong
/// credentials. What is wrong with an object is in the [`Verification`].
pub async fn verify(manifest: &Path, destination: &Location, depth: Depth) -> Result<Verification> {
    let env = SystemEnv::shared();
    let path = manifest.to_owned();
    let mut reader = env.run_blocking(move || ManifestReader::open(&path)).join().await??;
    let checker = Arc::new(Checker { storage: Arc::clone(destination.storage()), env: Arc::clone(&env), depth });
    let mut found = Verification::default();
    let mut running = FuturesUnordered::new();
    loop {
        let (back, batch) = env.run_blocking(move || next_batch(reader)).join().await?;
        reader = back;
        let batch = batch?;
        if batch.is_empty() {
            break;
        }
        for entry in batch {
            found.objects += 1;
            found.bytes += entry.size;
            found.without_digest += u64::from(entry.sha256_tree.is_none() && !entry.delete_marker);
            for unit in Unit::of(Arc::new(entry), depth) {
                while running.len() >= CONCURRENCY {
                    take(&mut found, running.next().await)?;
                }
                let checker = Arc::clone(&checker);
                running.push(env.spawn_task(async move { checker.check(unit).await }).join());
            }
        }
    }
    while let Some(verdict) = running.next().await {
        take(&mut found, Some(verdict))?;
    }
    found.problems.sort_by(|a, b| (&a.key, &a.what).cmp(&(&b.key, &b.what)));
    Ok(found)
}

/// Entries are read some at a time, away from the tasks.
fn next_batch(mut reader: ManifestReader) -> (ManifestReader, Result<Vec<ManifestEntry>>) {
    let batch = reader.by_ref().take(256).collect();
    (reader, batch)
}

type Checked = Result<Result<Verdict>>;

fn take(found: &mut Verification, checked: Option<Checked>) -> Result<()> {
    match checked.transpose()?.transpose()? {
        Some(Verdict::Wrong(problem)) => {
            found.failed += 1;
            if found.problems.len() < KEPT {
                found.problems.push(problem);
            }
        }
        Some(Verdict::SizeOnly) => found.size_only += 1,
        Some(Verdict::Right) | None => {}
    }
    Ok(())
}

enum Verdict {
    Right,
    SizeOnly,
    Wrong(Problem),
}

/// A piece of an object that is read in one request.
struct Unit {
    entry: Arc<ManifestEntry>,
    /// From 0; the whole object has just one.
    part: usize,
}

impl Unit {
    fn of(entry: Arc<ManifestEntry>, depth: Depth) -> impl Iterator<Item = Unit> {
        let parts = if depth == Depth::Full { entry.parts.len().max(1) } else { 1 };
        (0..parts).map(move |part| Unit { entry: Arc::clone(&entry), part })
    }

    fn range(&self) -> std::ops::Range<u64> {
        let start = self.part as u64 * self.entry.part_size;
        start..start.saturating_add(self.entry.part_size).min(self.entry.size)
    }

    /// The version that the entry is of, where all versions of a key were moved: each
    /// is looked at by its name.
    fn version(&self) -> Option<VersionId> {
        self.entry.version.clone().filter(|_| self.entry.history.is_some())
    }

    fn wrong(&self, what: impl std::fmt::Display) -> Verdict {
        let what = match self.version() {
            Some(version) => format!("version {version}: {what}"),
            None => what.to_string(),
        };
        Verdict::Wrong(Problem { key: self.entry.key.clone(), what })
    }
}

struct Checker {
    storage: SharedStorage,
    env: SharedEnv,
    depth: Depth,
}

impl Checker {
    async fn check(&self, unit: Unit) -> Result<Verdict> {
        for attempt in 1.. {
            let checked = match self.depth {
                _ if unit.entry.delete_marker => self.marker(&unit).await,
                Depth::Full if unit.entry.sha256_tree.is_some() => self.read(&unit).await,
                _ => self.look(&unit).await,
            };
            match checked {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    return Ok(unit.wrong("the object is missing"));
                }
                Err(error) if crate::types::side::ends_the_run(&error) => return Err(error),
                Err(error) if error.retry() == Retry::Never || attempt >= ATTEMPTS => {
                    return Ok(unit.wrong(format!("the object cannot be read: {}", error.report())));
                }
                Err(_) => self.env.sleep(Duration::from_millis(200) * attempt).await,
                verdict => return verdict,
            }
        }
        Err(Error::new(ErrorKind::Unexpected, "no attempt was made"))
    }

    async fn read(&self, unit: &Unit) -> Result<Verdict> {
        let entry = &unit.entry;
        let mut options = GetOptions::new().version(unit.version()).without_attributes(true);
        if !entry.parts.is_empty() {
            options = options.range(unit.range());
        }
        let reply = match self.storage.get(&entry.key, options).await {
            Err(error) if error.kind() == ErrorKind::InvalidInput => {
                return Ok(unit.wrong(format!("the object ends before part {}", unit.part + 1)));
            }
            reply => reply?,
        };
        if reply.meta.size != entry.size {
            return Ok(unit.wrong(format!("the object has {} bytes instead of {}", reply.meta.size, entry.size)));
        }
        let hasher = reply.body.try_fold(TreeHasher::new(), |mut hasher, bytes| {
            hasher.update(&bytes);
            std::future::ready(Ok(hasher))
        });
        let root = hasher.await?.finish().root;
        Ok(match entry.parts.get(unit.part) {
            Some(expected) if root != *expected => {
                let range = unit.range();
                unit.wrong(format!("part {} (bytes {}-{}) has other bytes", unit.part + 1, range.start, range.end - 1))
            }
            None if Some(root) != entry.sha256_tree => unit.wrong("the object has other bytes"),
            _ => Verdict::Right,
        })
    }

    /// A delete marker has no bytes; whether it is there, the listing of versions tells.
    /// Of one that the destination did not make there is nothing to look at.
    async fn marker(&self, unit: &Unit) -> Result<Verdict> {
        let Some(version) = unit.version() else { return Ok(Verdict::Right) };
        let Some(store) = self.storage.versions() else {
            return Ok(unit.wrong("the store does not list versions, so that the delete marker cannot be looked at"));
        };
        let key = &unit.entry.key;
        let request = ListRequest::new().prefix(KeyPrefix::new(key.as_bytes().to_vec()));
        let mut pages = store.list_versions(request);
        while let Some(page) = pages.try_next().await? {
            let found =
                page.iter().find(|found| found.meta.key == *key && found.meta.version.as_ref() == Some(&version));
            match found {
                Some(found) if found.is_delete_marker => return Ok(Verdict::Right),
                Some(_) => return Ok(unit.wrong("it is no delete marker")),
                // Keys come in order, so that this one comes before those that begin with it.
                None if page.iter().any(|found| found.meta.key != *key) => break,
                None => {}
            }
        }
        Ok(unit.wrong("the delete marker is missing"))
    }

    async fn look(&self, unit: &Unit) -> Result<Verdict> {
        let entry = &unit.entry;
        let meta = self.storage.head(&entry.key, HeadOptions::new().version(unit.version())).await?.meta;
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
