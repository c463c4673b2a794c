//! Describes a verification and runs it.

use std::collections::HashMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use lepton_core::{Error, Location, ObjectKey, Result, RuntimeExt as _, SharedRuntime, SystemRuntime};

use crate::ledger::manifest::{ManifestEntry, ManifestReader};
use crate::ledger::verification::{Verification, VerifyDepth};
use crate::schedule::endpoint::Endpoint;
use crate::schedule::handle::RunHandle;
use crate::schedule::scheduler::Scheduler;
use crate::settings::transfer::TransferConfig;
use crate::telemetry::instrumented::instrumented;
use crate::telemetry::progress::Phase;
use crate::types::side::Side;
use crate::verify::check::{Checker, Unit, Verdict};

/// The number of manifest entries read in one batch.
const BATCH: usize = 256;

/// Units started per slot of the scheduler, so that no slot waits for the next unit.
const UNITS_PER_SLOT: usize = 2;

/// Compares every object of a manifest with the destination. Objects that are not in the manifest
/// are not checked.
///
/// ```no_run
/// # async fn example(destination: lepton_core::Location) -> lepton_core::Result<()> {
/// use std::time::Duration;
/// use lepton_data::{VerifyDepth, Verifier};
///
/// let verifier = Verifier::new("photos.manifest", destination).depth(VerifyDepth::Full).bandwidth(Some(50 << 20));
/// let running = verifier.start().await?;
/// let watch = |progress: lepton_data::Progress| tracing::info!(objects = progress.objects);
/// let found = running.watch(Duration::from_secs(1), watch).await?;
/// assert!(found.is_proven());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use]
pub struct Verifier {
    manifest: PathBuf,
    destination: Location,
    depth: VerifyDepth,
    settings: TransferConfig,
    env: Option<SharedRuntime>,
}

impl Verifier {
    /// A verification of every object that the manifest names.
    pub fn new(manifest: impl Into<PathBuf>, destination: impl Into<Location>) -> Self {
        Self {
            manifest: manifest.into(),
            destination: destination.into(),
            depth: VerifyDepth::default(),
            settings: TransferConfig::default(),
            env: None,
        }
    }

    /// How thoroughly to check. Default: [`VerifyDepth::Full`].
    pub fn depth(mut self, depth: VerifyDepth) -> Self {
        self.depth = depth;
        self
    }

    /// The most requests in flight. Default 256. The best number up to this limit is found from
    /// the throughput and from the requests that the store throttles.
    pub fn concurrency(mut self, concurrency: NonZeroUsize) -> Self {
        self.settings.concurrency = concurrency;
        self
    }

    /// The most bytes held in memory. Default 128 MiB.
    pub fn memory(mut self, memory: u64) -> Self {
        self.settings.memory = memory;
        self
    }

    /// The most bytes read per second, in total. Default: no limit.
    pub fn bandwidth(mut self, bandwidth: Option<u64>) -> Self {
        self.settings.bandwidth = bandwidth;
        self
    }

    /// The most requests per second. Default: no limit.
    pub fn requests_per_second(mut self, requests_per_second: Option<u64>) -> Self {
        self.settings.requests_per_second = requests_per_second;
        self
    }

    /// The number of attempts per request, including the first. Default 8.
    pub fn attempts(mut self, attempts: NonZeroU32) -> Self {
        self.settings.attempts = attempts;
        self
    }

    /// The environment: clock, tasks and randomness. Default: the system's.
    pub fn runtime(mut self, runtime: SharedRuntime) -> Self {
        self.env = Some(runtime);
        self
    }

    /// Runs the verification to its end. Dropping the future cancels it.
    ///
    /// # Errors
    /// Errors of the manifest itself (`corrupt` with the line: an entry cut out, the end
    /// missing), and errors that would affect every object, such as wrong credentials.
    /// Problems of single objects are in the [`Verification`].
    pub async fn run(self) -> Result<Verification> {
        self.start().await?.wait().await
    }

    /// Starts the verification and returns a handle to watch and steer it.
    ///
    /// # Errors
    /// As [`ManifestReader::open`]; `invalid_input` for the settings.
    pub async fn start(self) -> Result<RunHandle<Verification>> {
        let env = self.env.unwrap_or_else(SystemRuntime::shared);
        env.check()?;
        self.settings.check_limits()?;
        let reader = open(&env, &self.manifest).await?;
        let counters = Arc::default();
        let location = instrumented(&self.destination, Side::Destination, &env, &counters);
        let scheduler = Arc::new(Scheduler::new(Arc::clone(&env), &self.settings, false, counters));
        let destination = Endpoint::new(Side::Destination, location, &scheduler);
        let checker = Arc::new(Checker { destination, depth: self.depth });
        let most = self.settings.concurrency.get().saturating_mul(UNITS_PER_SLOT);
        scheduler.counters.enter(Phase::Verifying);
        let counters = Arc::clone(&scheduler.counters);
        let task = env.spawn_task(async move {
            let found = check_all(checker, reader, most).await;
            counters.enter(if found.is_ok() { Phase::Ended } else { Phase::Stopped });
            found
        });
        Ok(RunHandle::new(&scheduler, task))
    }
}

async fn open(env: &SharedRuntime, manifest: &Path) -> Result<ManifestReader> {
    let path = manifest.to_owned();
    env.run_blocking(move || ManifestReader::open(&path)).join().await?
}

/// Compares every object of a manifest with `destination`, under the control of its scheduler.
pub(crate) async fn against(
    destination: Endpoint,
    manifest: &Path,
    depth: VerifyDepth,
    settings: &TransferConfig,
) -> Result<Verification> {
    let reader = open(&destination.scheduler().env, manifest).await?;
    let most = settings.concurrency.get().saturating_mul(UNITS_PER_SLOT);
    check_all(Arc::new(Checker { destination, depth }), reader, most).await
}

/// Compares every object of a manifest with `destination`, with the default settings of a
/// [`Verifier`].
///
/// # Errors
/// As [`Verifier::run`].
pub async fn verify(manifest: &Path, destination: &Location, depth: VerifyDepth) -> Result<Verification> {
    Verifier::new(manifest, destination.clone()).depth(depth).run().await
}

async fn check_all(checker: Arc<Checker>, mut reader: ManifestReader, most: usize) -> Result<Verification> {
    let scheduler = Arc::clone(checker.destination.scheduler());
    let mut tally = Tally::new(&scheduler);
    let mut running = FuturesUnordered::new();
    loop {
        let (rest, batch) = scheduler.env.run_blocking(move || next_batch(reader)).join().await?;
        reader = rest;
        let batch = batch?;
        if batch.is_empty() {
            break;
        }
        for entry in batch {
            check_place(&checker, &entry)?;
            let entry = Arc::new(entry);
            let units: Vec<_> = Unit::of(Arc::clone(&entry), checker.depth).collect();
            let number = tally.open(&entry, units.len());
            for unit in units {
                while running.len() >= most {
                    tally.take(running.next().await)?;
                }
                let (checker, control) = (Arc::clone(&checker), scheduler.control.clone());
                let checked = async move { (number, control.unless_aborted(checker.check(unit)).await.flatten()) };
                running.push(scheduler.env.spawn_task(checked).join());
            }
        }
    }
    scheduler.counters.listing_is_done();
    tally.found.not_copied = reader.failed();
    while let Some(verdict) = running.next().await {
        tally.take(Some(verdict))?;
    }
    let mut found = tally.found;
    found.problems.sort_by(|a, b| (&a.key, &a.reason).cmp(&(&b.key, &b.reason)));
    Ok(found)
}

/// Refuses a manifest of another folder than the one that was given. Its keys are those of the
/// store, so that the store alone is a right place, too, and so is the only object.
fn check_place(checker: &Checker, entry: &ManifestEntry) -> Result<()> {
    let folder = checker.destination.folder();
    let is_itself = checker.destination.location().path() == entry.key.as_bytes();
    if is_itself || entry.key.as_bytes().starts_with(folder.as_bytes()) {
        return Ok(());
    }
    let message = format!("the manifest is of another place: {} is not below {folder}", entry.key);
    Err(Error::invalid_input(message).with_operation("verify").with_context("key", &entry.key))
}

/// Reads the next batch of entries. Runs on a blocking thread, not in a task.
fn next_batch(mut reader: ManifestReader) -> (ManifestReader, Result<Vec<ManifestEntry>>) {
    let batch = reader.by_ref().take(BATCH).collect();
    (reader, batch)
}

/// The number of an entry, and the verdict on one of its units.
type Checked = Result<(u64, Result<Verdict>)>;

/// Gathers the verdicts on the units of each entry.
struct Tally<'a> {
    scheduler: &'a Scheduler,
    found: Verification,
    /// The entries that are being checked, by number: how many units are left, and the verdicts.
    open: HashMap<u64, (ObjectKey, usize, Vec<Verdict>)>,
}

impl<'a> Tally<'a> {
    fn new(scheduler: &'a Scheduler) -> Self {
        Self { scheduler, found: Verification::default(), open: HashMap::new() }
    }

    /// Counts an entry that is checked in this many units; returns its number.
    fn open(&mut self, entry: &ManifestEntry, units: usize) -> u64 {
        let number = self.found.objects;
        self.found.objects += 1;
        self.found.bytes += entry.size;
        self.found.without_digest += u64::from(entry.sha256_tree.is_none() && !entry.delete_marker);
        self.scheduler.counters.listed_objects.add(1);
        self.scheduler.counters.listed_bytes.add(entry.size);
        self.open.insert(number, (entry.key.clone(), units, Vec::new()));
        number
    }

    fn take(&mut self, checked: Option<Checked>) -> Result<()> {
        let Some((number, verdict)) = checked.transpose()? else { return Ok(()) };
        let verdict = verdict?;
        let Some((_, left, verdicts)) = self.open.get_mut(&number) else { return Ok(()) };
        *left -= 1;
        verdicts.push(verdict);
        if *left == 0
            && let Some((key, _, verdicts)) = self.open.remove(&number)
        {
            self.conclude(key, verdicts);
        }
        Ok(())
    }

    fn conclude(&mut self, key: ObjectKey, verdicts: Vec<Verdict>) {
        match Verdict::of(verdicts) {
            Ok(Verdict::SizeOnly) => self.found.size_only += 1,
            Ok(Verdict::Unreachable(error)) => self.found.add_unreachable(error.full_message()),
            Ok(_) => {}
            Err(wrong) => {
                self.scheduler.counters.failed_objects.add(1);
                self.found.add(key, wrong);
            }
        }
    }
}
