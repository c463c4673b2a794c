//! Tracks the progress of a run: what is settled, what failed, and up to where the
//! journal may forget.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use lepton_core::{Error, ErrorKind, ObjectKey, ObjectMeta, Result, Unlisted};

use crate::apply::outcome::Outcome;
use crate::digest::reader::bare;
use crate::ledger::manifest::ManifestEntry;
use crate::ledger::note::Note;
use crate::ledger::report::{Failure, Report, Slowest, Status, Timing};
use crate::ledger::resumed::Resumed;
use crate::telemetry::observer::ObjectEnd;
use crate::transfer::blocked::{Blocked, still_blocked};
use crate::transfer::options::{CHANGED, Following};
use crate::transfer::run::Run;
use crate::types::side::ends_the_run;

/// Objects that may be started beyond the first unsettled one. This bounds the memory
/// of a run, independent of the number of objects.
const WINDOW: usize = 65_536;

/// Objects settled between two records of the watermark.
const NOTE_EVERY: usize = 512;

/// The number of extraneous objects.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extras {
    pub(crate) found: u64,
    /// Those that an earlier run found.
    pub(crate) earlier: u64,
    /// All objects that the destination had, including these.
    pub(crate) of: u64,
}

/// What one run has settled, and how.
#[derive(Debug)]
pub(crate) struct Tracker {
    run: Arc<Run>,
    /// Objects in the order of sort keys from the first unsettled one, and whether each is
    /// settled.
    window: VecDeque<(ObjectKey, bool)>,
    first: u64,
    settled: Option<ObjectKey>,
    unnoted: usize,
    failures: BTreeMap<ObjectKey, Failure>,
    failures_by_kind: BTreeMap<String, u64>,
    slowest: Slowest,
    superseded: u64,
    /// Objects of earlier runs that this run does not look at.
    by_journal: u64,
    /// Objects that wait for deletes; `None` if there will be none.
    blocked: Option<Blocked>,
    /// Something could not be listed, so that nothing may be deleted.
    unlisted: bool,
    replaced: u64,
    extras: u64,
    /// The extraneous objects that an earlier run found.
    earlier_extras: u64,
}

impl Tracker {
    pub(crate) fn new(run: &Arc<Run>, resumed: &Resumed) -> Self {
        let counters = &run.scheduler.counters;
        counters.listed_objects.add(resumed.objects + resumed.skipped + resumed.unchanged);
        counters.listed_bytes.add(resumed.bytes + resumed.unchanged_bytes);
        counters.unchanged_objects.add(resumed.unchanged);
        counters.unchanged_bytes.add(resumed.unchanged_bytes);
        counters.done_objects.add(resumed.objects);
        counters.done_bytes.add(resumed.bytes);
        counters.moved_bytes.add(resumed.bytes);
        counters.resumed_objects.add(resumed.objects);
        counters.resumed_bytes.add(resumed.bytes);
        counters.server_copies.add(resumed.server_copies);
        counters.skipped_objects.add(resumed.skipped);
        counters.metadata_lost.add(resumed.metadata_lost);
        counters.extras.add(resumed.extras);
        counters.source_unchecked.add(resumed.source_unchecked);
        Self {
            run: Arc::clone(run),
            window: VecDeque::new(),
            first: 0,
            settled: None,
            unnoted: 0,
            failures: BTreeMap::new(),
            failures_by_kind: BTreeMap::new(),
            slowest: Slowest::default(),
            superseded: resumed.superseded,
            by_journal: if run.compares_listings() { 0 } else { resumed.objects },
            blocked: run.options.deletes().then(Blocked::default),
            unlisted: false,
            replaced: resumed.replaced,
            extras: resumed.extras,
            earlier_extras: resumed.extras,
        }
    }

    pub(crate) fn has_room(&self) -> bool {
        self.window.len() < WINDOW
    }

    /// Adds an object in the order of sort keys; returns its number, to be passed to
    /// [`settle`](Self::settle).
    pub(crate) fn open(&mut self, sort_key: ObjectKey) -> u64 {
        self.window.push_back((sort_key, false));
        self.first + self.window.len() as u64 - 1
    }

    /// Records how an object ended, and its timing if it was started. An error ends the
    /// run.
    pub(crate) fn settle(
        &mut self,
        (key, size): (ObjectKey, u64),
        number: Option<u64>,
        outcome: Outcome,
        took: Option<Timing>,
    ) -> Result<()> {
        if let (Some(blocked), Outcome::Failed(error)) = (&mut self.blocked, &outcome)
            && blocked.may_take(error)
        {
            let mapping = &self.run.lister.mapping;
            blocked.add(mapping.target(&mapping.sort_key(&key)), key.clone());
            self.run.scheduler.counters.uncount(size);
            // A run that ends before the deletes tries it again.
            self.run.context.log.note(&Note::Failed { failure: Failure::new(key, error) })?;
            return number.map_or(Ok(()), |number| self.advance(number));
        }
        if let Some(name) = outcome.name() {
            self.run.scheduler.counters.metrics.ended(name);
        }
        if let Some(end) = outcome.end() {
            self.run.options.observer.ended(&key, size, end);
        }
        match outcome {
            Outcome::Done(line) => {
                if let Some(took) = took {
                    self.run.scheduler.counters.metrics.copied(line.size, took.elapsed);
                    self.slowest.take(key, line.size, took);
                }
                self.run.scheduler.counters.done_objects.add(1);
                self.run.scheduler.counters.moved_bytes.add(line.size);
                self.run.scheduler.counters.metadata_lost.add(u64::from(!line.lost.is_empty()));
                self.run.scheduler.counters.source_unchecked.add(u64::from(line.is_source_unchecked()));
                self.superseded += u64::from(line.superseded);
                self.replaced += u64::from(line.replaced());
            }
            Outcome::History { bytes } => {
                if let Some(took) = took.filter(|_| bytes > 0) {
                    self.slowest.take(key, bytes, took);
                }
            }
            Outcome::Unchanged(line) => {
                self.run.scheduler.counters.unchanged_objects.add(1);
                self.run.scheduler.counters.unchanged_bytes.add(line.size);
                self.run.context.log.done(&line)?;
            }
            Outcome::Proven(line) => self.proven(&line)?,
            Outcome::LeftOut => {
                self.run.scheduler.counters.uncount(size);
                self.run.context.log.note(&Note::LeftOut { key })?;
            }
            Outcome::Skipped => {
                self.run.scheduler.counters.skipped_objects.add(1);
                self.run.scheduler.counters.skipped_bytes.add(size);
                self.run.context.log.note(&Note::Skipped { key })?;
            }
            Outcome::Failed(error)
                if error.kind() == ErrorKind::Cancelled
                    || ends_the_run(&error)
                    || self.run.context.log.has_failed() =>
            {
                return Err(error);
            }
            Outcome::Failed(error) => {
                self.run.scheduler.counters.failed_bytes.add(size);
                self.fail(key, error)?;
            }
        }
        if let Some(number) = number {
            self.advance(number)?;
        }
        Ok(())
    }

    /// Records an object that only the destination has.
    pub(crate) fn extraneous(&mut self, sort_key: ObjectKey, there: ObjectMeta) -> Result<()> {
        let number = self.open(sort_key.clone());
        self.extras += 1;
        self.run.scheduler.counters.extras.add(1);
        self.run.context.log.note(&Note::Extra { key: sort_key, there: bare(there) })?;
        self.advance(number)
    }

    /// An object that an earlier run proved. If that run was interrupted, the object counts
    /// as it did then; if that run reached its end, the object counts as unchanged.
    fn proven(&mut self, line: &ManifestEntry) -> Result<()> {
        let counters = &self.run.scheduler.counters;
        if line.unchanged.is_some() || self.run.follows_an_end {
            counters.unchanged_objects.add(1);
            counters.unchanged_bytes.add(line.size);
        } else {
            counters.done_objects.add(1);
            counters.done_bytes.add(line.size);
            counters.moved_bytes.add(line.size);
            counters.resumed_objects.add(1);
            counters.resumed_bytes.add(line.size);
            counters.server_copies.add(u64::from(line.server_copy.is_some()));
            counters.metadata_lost.add(u64::from(!line.lost.is_empty()));
            counters.source_unchecked.add(u64::from(line.is_source_unchecked()));
            self.superseded += u64::from(line.superseded);
            // It is at the destination, whether or not another object was there before.
            self.replaced += 1;
        }
        self.run.context.log.done(line)
    }

    fn fail(&mut self, key: ObjectKey, error: Error) -> Result<()> {
        tracing::warn!(%key, error = %error.full_message(), "an object failed");
        let failure = Failure::new(key.clone(), &error);
        self.run.context.log.note(&Note::Failed { failure })?;
        self.count_failure(key, error)
    }

    /// Counts a failure, which ends the run if it is one too many.
    fn count_failure(&mut self, key: ObjectKey, error: Error) -> Result<()> {
        let failure = Failure::new(key.clone(), &error);
        self.count_kind(&failure);
        self.failures.insert(key, failure);
        let most = self.run.options.settings.max_failures;
        if self.run.options.settings.fail_fast {
            return Err(error);
        }
        if self.failures.len() > most {
            let message = format!("more than {most} objects failed; the last: {}", error.full_message());
            return Err(Error::new(ErrorKind::TooManyFailures, message));
        }
        Ok(())
    }

    fn count_kind(&mut self, failure: &Failure) {
        self.run.scheduler.counters.failed_objects.add(1);
        *self.failures_by_kind.entry(failure.kind.clone()).or_default() += 1;
    }

    /// Marks an object settled and moves the watermark.
    fn advance(&mut self, number: u64) -> Result<()> {
        let index = usize::try_from(number - self.first).unwrap_or(usize::MAX);
        if let Some((_, settled)) = self.window.get_mut(index) {
            *settled = true;
        }
        while let Some((key, _)) = self.window.pop_front_if(|(_, settled)| *settled) {
            self.first += 1;
            self.settled = Some(key);
            self.unnoted += 1;
        }
        if self.unnoted >= NOTE_EVERY { self.flush() } else { Ok(()) }
    }

    /// Records as failures what could not be listed.
    fn unlisted(&mut self) -> Result<()> {
        for Unlisted { key, error, .. } in self.run.lister.take_unlisted() {
            if self.failures.contains_key(&key) {
                continue;
            }
            tracing::warn!(%key, error = %error.full_message(), "an entry could not be listed");
            self.run.options.observer.ended(&key, 0, ObjectEnd::Failed(error.full_message()));
            self.run.context.log.note(&Note::Unlisted { failure: Failure::new(key.clone(), &error) })?;
            self.unlisted = true;
            self.count_failure(key, error)?;
        }
        Ok(())
    }

    /// Records the watermark, after what could not be listed before it.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.unlisted()?;
        self.unnoted = 0;
        match self.settled.take() {
            Some(through) => self.run.context.log.note(&Note::Settled { through }),
            None => Ok(()),
        }
    }

    /// The objects that wait for deletes. From now on, none waits.
    pub(crate) fn take_blocked(&mut self) -> Blocked {
        self.blocked.take().unwrap_or_default()
    }

    /// Counts objects as failed for which nothing was deleted.
    pub(crate) fn fail_blocked(&mut self, blocked: &Blocked) -> Result<()> {
        for key in blocked.sources() {
            self.run.scheduler.counters.listed_objects.add(1);
            let error = still_blocked();
            self.run.options.observer.ended(key, 0, ObjectEnd::Failed(error.full_message()));
            self.count_failure(key.clone(), error)?;
        }
        Ok(())
    }

    /// How many objects failed.
    pub(crate) fn failures(&self) -> u64 {
        self.failures_by_kind.values().sum()
    }

    pub(crate) fn failed(&self) -> bool {
        !self.failures_by_kind.is_empty()
    }

    /// Whether objects failed whose failure keeps a mirror from deleting. A follower's next round
    /// takes up what only changed during this one.
    pub(crate) fn keeps_from_deleting(&self) -> bool {
        let follows = self.run.options.following != Following::No;
        self.unlisted
            || self
                .failures_by_kind
                .keys()
                .any(|kind| !follows || !CHANGED.iter().any(|changed| changed.code() == kind))
    }

    /// The objects that a mirror is about to delete.
    pub(crate) fn extras(&self) -> Extras {
        let progress = self.run.scheduler.progress();
        let kept = progress.unchanged + progress.skipped + self.replaced;
        Extras { found: self.extras, earlier: self.earlier_extras, of: self.extras + kept }
    }

    /// Records an object that could not be deleted. The next run finds it by listing, not
    /// in the journal. All are counted; at most `max_failures` failures are named.
    pub(crate) fn not_deleted(&mut self, key: ObjectKey, error: &Error) {
        tracing::warn!(%key, error = %error.full_message(), "an object was not deleted");
        let failure = Failure::new(key.clone(), error);
        self.count_kind(&failure);
        self.run.scheduler.counters.metrics.ended("failed");
        if self.failures.len() < self.run.options.settings.max_failures {
            self.failures.insert(key, failure);
        }
    }

    pub(crate) fn report(self, status: Status, manifest: Option<PathBuf>) -> Report {
        let progress = self.run.scheduler.progress();
        let counters = &self.run.scheduler.counters;
        let here = self.run.context.source.capabilities().copies_locally;
        let brought = progress.objects.saturating_sub(counters.resumed_objects.load());
        #[allow(clippy::cast_precision_loss, reason = "a rate for people")]
        let objects_per_second = brought as f64 / progress.elapsed.as_secs_f64().max(1e-3);
        Report {
            status,
            objects: progress.objects,
            bytes: counters.moved_bytes.load(),
            resumed_objects: counters.resumed_objects.load(),
            resumed_bytes: counters.resumed_bytes.load(),
            by_journal: self.by_journal,
            skipped: progress.skipped,
            server_copies: counters.server_copies.load(),
            server_copy_refused: self.run.context.server_copy_refused(),
            unchanged: progress.unchanged,
            deleted: progress.deleted,
            extras: self.extras,
            failures: self.failures.into_values().collect(),
            failures_by_kind: self.failures_by_kind,
            slowest: self.slowest.into_vec(),
            bytes_read: counters.read_bytes.load(),
            parts: progress.parts,
            retries: progress.retries,
            throttled: progress.lanes.throttled(),
            metadata_lost: counters.metadata_lost.load(),
            source_unchecked: if here { 0 } else { counters.source_unchecked.load() },
            unprotected: self.run.options.unprotected(),
            passed_over: counters.passed_over(),
            superseded: self.superseded,
            foreign_uploads: self.run.context.foreign_uploads(),
            elapsed: progress.elapsed,
            bytes_per_second: progress.bytes_per_second,
            objects_per_second,
            manifest,
            verification: None,
        }
    }
}
