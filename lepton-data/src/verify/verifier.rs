//! Describes a verification and runs it.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use lepton_core::{EnvExt as _, Error, Location, Result, SharedEnv, SystemEnv};

use crate::ledger::manifest::{ManifestEntry, ManifestReader};
use crate::schedule::endpoint::Endpoint;
use crate::schedule::scheduler::Scheduler;
use crate::settings::transfer::TransferSettings;
use crate::telemetry::instrumented::instrumented;
use crate::types::side::Side;
use crate::verify::check::{Checker, Unit, Verdict};
use crate::verify::handle::VerificationHandle;
use crate::verify::report::{Depth, Verification};

/// Entries of the manifest that are read at once.
const BATCH: usize = 256;

/// Units that are started for each place of the scheduler, so that no place waits for the next.
const UNITS_PER_PLACE: usize = 2;

/// Compares every object of a manifest with what a destination holds. Objects that the manifest
/// does not have are not looked at.
///
/// ```no_run
/// # async fn example() -> lepton_core::Result<()> {
/// # let destination: lepton_core::Location = todo!();
/// use std::time::Duration;
/// use lepton_data::{Depth, Verifier};
///
/// let verifier = Verifier::new("photos.manifest", destination).depth(Depth::Full).bandwidth(Some(50 << 20));
/// let running = verifier.start().await?;
/// let found = running.watch(Duration::from_secs(1), |progress| println!("{}", progress.objects)).await?;
/// assert!(found.is_proven());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use]
pub struct Verifier {
    manifest: PathBuf,
    destination: Location,
    depth: Depth,
    settings: TransferSettings,
    env: Option<SharedEnv>,
}

impl Verifier {
    /// A verification of all that the manifest names.
    pub fn new(manifest: impl Into<PathBuf>, destination: impl Into<Location>) -> Self {
        Self {
            manifest: manifest.into(),
            destination: destination.into(),
            depth: Depth::default(),
            settings: TransferSettings::default(),
            env: None,
        }
    }

    /// How deep to look. Default: [`Depth::Full`].
    pub fn depth(mut self, depth: Depth) -> Self {
        self.depth = depth;
        self
    }

    /// How many requests are in flight at once, at most. Default 256; how many are best is found
    /// by what the store refuses and by what gets done.
    pub fn concurrency(mut self, concurrency: NonZeroUsize) -> Self {
        self.settings.concurrency = concurrency;
        self
    }

    /// How many bytes may be held in memory. Default 128 MiB.
    pub fn memory(mut self, memory: u64) -> Self {
        self.settings.memory = memory;
        self
    }

    /// How many bytes a second may be read, in all. Default: as many as there are.
    pub fn bandwidth(mut self, bandwidth: Option<u64>) -> Self {
        self.settings.bandwidth = bandwidth;
        self
    }

    /// How many requests a second may be made. Default: as many as the store takes.
    pub fn requests_per_second(mut self, requests_per_second: Option<u64>) -> Self {
        self.settings.requests_per_second = requests_per_second;
        self
    }

    /// How often a request is tried, in all. Default 8.
    pub fn attempts(mut self, attempts: NonZeroU32) -> Self {
        self.settings.attempts = attempts;
        self
    }

    /// Clock, tasks and randomness. Default: those of the system.
    pub fn env(mut self, env: SharedEnv) -> Self {
        self.env = Some(env);
        self
    }

    /// Runs the verification to its end. Dropping the future cancels it.
    ///
    /// # Errors
    /// What is wrong with the manifest itself (`corrupt` with the line: an entry cut
    /// out, the end missing), and what no object can do better than, such as wrong
    /// credentials. What is wrong with an object is in the [`Verification`].
    pub async fn run(self) -> Result<Verification> {
        self.start().await?.wait().await
    }

    /// Starts the verification and gives a handle to watch and steer it.
    ///
    /// # Errors
    /// A manifest that cannot be opened, and as [`run`](Self::run), as far as it shows by then.
    pub async fn start(self) -> Result<VerificationHandle> {
        let env = self.env.unwrap_or_else(SystemEnv::shared);
        if self.settings.memory < 4 << 20 {
            let memory = self.settings.memory;
            return Err(Error::invalid_input(format!("memory is {memory} bytes; it must be at least 4 MiB")));
        }
        let path = self.manifest;
        let reader = env.run_blocking(move || ManifestReader::open(&path)).join().await??;
        let counters = Arc::default();
        let location = instrumented(&self.destination, Side::Destination, &env, &counters);
        let scheduler = Arc::new(Scheduler::new(Arc::clone(&env), &self.settings, false, counters));
        let destination = Endpoint::new(Side::Destination, location, &scheduler);
        let checker = Arc::new(Checker { destination, depth: self.depth });
        let most = self.settings.concurrency.get().saturating_mul(UNITS_PER_PLACE);
        let task = env.spawn_task(check_all(checker, reader, most));
        Ok(VerificationHandle::new(scheduler, task))
    }
}

/// Compares every object of a manifest with what `destination` holds, with the settings that a
/// [`Verifier`] begins with.
///
/// # Errors
/// As [`Verifier::run`].
pub async fn verify(manifest: &Path, destination: &Location, depth: Depth) -> Result<Verification> {
    Verifier::new(manifest, destination.clone()).depth(depth).run().await
}

async fn check_all(checker: Arc<Checker>, mut reader: ManifestReader, most: usize) -> Result<Verification> {
    let scheduler = Arc::clone(checker.destination.scheduler());
    let mut found = Verification::default();
    let mut running = FuturesUnordered::new();
    loop {
        let (rest, batch) = scheduler.env.run_blocking(move || next_batch(reader)).join().await?;
        reader = rest;
        let batch = batch?;
        if batch.is_empty() {
            break;
        }
        for entry in batch {
            found.objects += 1;
            found.bytes += entry.size;
            found.without_digest += u64::from(entry.sha256_tree.is_none() && !entry.delete_marker);
            scheduler.counters.listed_objects.add(1);
            scheduler.counters.listed_bytes.add(entry.size);
            for unit in Unit::of(Arc::new(entry), checker.depth) {
                while running.len() >= most {
                    take(&scheduler, &mut found, running.next().await)?;
                }
                let checker = Arc::clone(&checker);
                running.push(scheduler.env.spawn_task(async move { checker.check(unit).await }).join());
            }
        }
    }
    scheduler.counters.listing_is_done();
    while let Some(verdict) = running.next().await {
        take(&scheduler, &mut found, Some(verdict))?;
    }
    found.problems.sort_by(|a, b| (&a.key, &a.what).cmp(&(&b.key, &b.what)));
    Ok(found)
}

/// Entries are read some at a time, away from the tasks.
fn next_batch(mut reader: ManifestReader) -> (ManifestReader, Result<Vec<ManifestEntry>>) {
    let batch = reader.by_ref().take(BATCH).collect();
    (reader, batch)
}

type Checked = Result<Result<Verdict>>;

fn take(scheduler: &Scheduler, found: &mut Verification, checked: Option<Checked>) -> Result<()> {
    match checked.transpose()?.transpose()? {
        Some(Verdict::Wrong(problem)) => {
            scheduler.counters.failed_objects.add(1);
            found.add(problem);
        }
        Some(Verdict::SizeOnly) => found.size_only += 1,
        Some(Verdict::Right) | None => {}
    }
    Ok(())
}
