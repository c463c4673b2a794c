//! Determines what to do next: first the objects that failed in an earlier run, then
//! those of the listings.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use lepton_core::{ETag, Error, ErrorKind, ObjectKey, ObjectMeta, Result};
use tokio::sync::mpsc::Receiver;

use crate::apply::backup;
use crate::apply::outcome::{Earlier, Outcome};
use crate::compare::rules::Answer;
use crate::ledger::manifest::ManifestEntry;
use crate::ledger::note::Note;
use crate::ledger::planned::{Planned, PlannedAction};
use crate::ledger::proofs::Proofs;
use crate::ledger::resumed::{OpenUpload, Recorded, Resumed};
use crate::ledger::{plan_file, proofs};
use crate::listing::found::{Listed, VersionedKey};
use crate::listing::merge::Merge;
use crate::listing::{key_list, versioned_keys};
use crate::names::mapping::Mapping;
use crate::names::target::TargetNames;
use crate::settings::transfer::ExistingPolicy;
use crate::transfer::run::Run;
use crate::types::entry::{DestinationState, Entry, Mode};

/// The next thing to do.
#[derive(Debug)]
pub(crate) enum WorkItem {
    /// An object to process, with its sort key if it comes in listing order.
    Object { entry: Box<Entry>, earlier: Earlier, sort_key: Option<ObjectKey> },
    /// An object that has already ended, with its sort key if it comes in listing order.
    Settled { entry: Box<Entry>, outcome: Outcome, sort_key: Option<ObjectKey> },
    /// An object that only the destination has.
    Extraneous { sort_key: ObjectKey, there: Box<ObjectMeta> },
}

/// The source's objects, each with what an earlier run left of it, and the extraneous
/// objects of the destination.
#[derive(Debug)]
pub(crate) struct Feed {
    run: Arc<Run>,
    again: VecDeque<ObjectKey>,
    origin: Origin,
    /// The next item of the origin, not yet returned.
    found: Option<(Listed, Option<PlannedAction>)>,
    names: TargetNames,
    /// The watermark: sort keys up to it are settled. Set if the origin starts before it.
    settled: Option<ObjectKey>,
    /// Sort keys that are settled beyond the watermark.
    beyond: BTreeSet<ObjectKey>,
    /// Everything but `failed` is settled.
    settles_others: bool,
    /// Objects of a saved plan that failed: they are retried as the plan says.
    failed: BTreeSet<ObjectKey>,
    /// The proofs of earlier runs.
    proofs: Proofs,
    /// Sort keys after the first and up to the second may have been written by an earlier
    /// run.
    maybe_written: Option<(Option<ObjectKey>, ObjectKey)>,
    /// Sort keys that an earlier run was about to write at a guarded destination.
    writing: BTreeSet<ObjectKey>,
    /// This run may write sort keys up to here: the journal has a record of it.
    announced: Option<ObjectKey>,
    uploads: BTreeMap<ObjectKey, OpenUpload>,
    kept: BTreeMap<ObjectKey, Option<ETag>>,
    histories: BTreeMap<ObjectKey, Recorded>,
}

impl Feed {
    pub(crate) fn new(run: &Arc<Run>, resumed: Resumed) -> Self {
        // A plan is read from its beginning: failed objects are retried as it says, and
        // objects that it protects stay protected.
        let after = if run.options.plan.is_some() { None } else { resumed.settled.clone() };
        Self::from_origin(run, resumed, Origin::start(run, after))
    }

    fn from_origin(run: &Arc<Run>, resumed: Resumed, origin: Origin) -> Self {
        let maybe_written = match (resumed.maybe_written, &resumed.started) {
            (carried, None) => carried,
            (_, Some(started)) => Some((None, started.clone())),
        };
        let settled = resumed.settled.filter(|_| run.options.plan.is_some());
        let (failed, again) = match run.options.plan {
            Some(_) => (resumed.failed.into_keys().collect(), VecDeque::new()),
            None => (BTreeSet::new(), resumed.failed.into_keys().collect()),
        };
        Self {
            run: Arc::clone(run),
            again,
            origin,
            found: None,
            names: TargetNames::new(Arc::clone(&run.lister.mapping), run.context.destination.capabilities()),
            settled,
            settles_others: false,
            beyond: resumed.beyond,
            failed,
            proofs: resumed.proofs.map(|file| Proofs::start(&run.scheduler.env, file)).unwrap_or_default(),
            announced: resumed.started,
            maybe_written,
            writing: resumed.writing,
            uploads: resumed.uploads,
            kept: resumed.kept,
            histories: resumed.histories,
        }
    }

    /// These objects of the source alone; in a run of a saved plan, as the plan says.
    pub(crate) fn only(run: &Arc<Run>, keys: impl Iterator<Item = ObjectKey>) -> Self {
        let origin = if run.options.plan.is_some() { Origin::start(run, None) } else { Origin::Nothing };
        let mut feed = Self::from_origin(run, Resumed::default(), origin);
        match run.options.plan {
            Some(_) => (feed.failed, feed.settles_others) = (keys.collect(), true),
            None => feed.again = keys.collect(),
        }
        feed
    }

    /// The next thing to do; `None` when the listings have ended.
    ///
    /// Cancellation safe: nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// Errors that end the run: a listing that cannot be read, a journal that cannot be
    /// written.
    pub(crate) async fn next(&mut self) -> Result<Option<WorkItem>> {
        if let Some(key) = self.again.pop_front() {
            let mut next = self.named(key, false);
            if let WorkItem::Object { earlier, .. } = &mut next {
                earlier.may_be_gone = self.run.options.keys.is_none();
            }
            return Ok(Some(next));
        }
        loop {
            if self.found.is_none() {
                self.found = self.origin.next().await?;
            }
            self.announce().await?;
            if self.proofs.are_left()
                && let Some(sort_key) =
                    self.found.as_ref().and_then(|(found, _)| sort_key_of(found, &self.run.lister.mapping))
            {
                self.proofs.advance(&sort_key).await?;
            }
            let Some((found, action)) = self.found.take() else {
                self.run.scheduler.counters.listing_is_done();
                return Ok(None);
            };
            if let Some(next) = self.next_of(found, action) {
                return Ok(Some(next));
            }
        }
    }

    /// The work for one listed name, if any.
    fn next_of(&mut self, found: Listed, action: Option<PlannedAction>) -> Option<WorkItem> {
        let run = Arc::clone(&self.run);
        let (settings, mapping) = (&run.options.settings, &run.lister.mapping);
        match found {
            Listed::Source(object, ..)
                if self.is_settled(&object.key, &mapping.sort_key(&object.key)) || run.is_own_file(&object.key) =>
            {
                self.run.lister.uncount(&object);
                None
            }
            Listed::Named(key) if self.is_settled(&key, &mapping.sort_key(&key)) => None,
            Listed::History(held) if self.is_settled(&held.key, &mapping.sort_key(&held.key)) => None,
            Listed::History(held) => {
                let taken = run.lister.takes_name(&held.key);
                taken.then(|| self.history(held))
            }
            Listed::Named(key) => {
                let taken = run.lister.takes_name(&key);
                taken.then(|| self.named(key, true))
            }
            Listed::Source(object, there) => {
                if let Some(action) = action {
                    return Some(self.planned(object, there, action));
                }
                let taken = run.lister.takes(&object);
                match there {
                    there if taken => Some(self.object(object, there, true)),
                    DestinationState::Present(there) if settings.delete_excluded => {
                        let sort_key = mapping.sort_key(&object.key);
                        Some(self.extraneous(sort_key, *there))
                    }
                    _ => None,
                }
            }
            Listed::Extra(there)
                if backup::holds(&self.run.context, &there.key) || run.is_own_file_there(&there.key) =>
            {
                None
            }
            // The run writes this object under a name that differs only in case.
            Listed::Extra(there) if run.context.is_a_name(&there.key) => None,
            Listed::Extra(there) => {
                let sort_key = mapping.sort_key_of_target(&there.key);
                let by_name = |name: &ObjectKey| run.lister.filter.takes(name.as_bytes(), &there);
                let taken = settings.delete_excluded || mapping.judged_by(&sort_key).iter().all(by_name);
                let taken = run.options.plan.is_some() || (settings.delete && taken);
                (taken && !self.is_settled(&there.key, &sort_key)).then(|| self.extraneous(sort_key, there))
            }
        }
    }

    /// An object that only the destination has.
    fn extraneous(&mut self, sort_key: ObjectKey, there: ObjectMeta) -> WorkItem {
        let proof = self.proofs.take(&sort_key);
        let known = proofs::knows(proof.as_deref(), &there) || self.writing.contains(&sort_key);
        if known || !self.run.context.guards {
            return extra(sort_key, there);
        }
        let outcome = Outcome::Failed(proofs::foreign(&there));
        let target = there.key.clone();
        let mut source = there.clone();
        source.key = sort_key.clone();
        let entry = Entry { source, target, there: DestinationState::Present(Box::new(there)), mode: Mode::Listed };
        WorkItem::Settled { entry: Box::new(entry), outcome, sort_key: Some(sort_key) }
    }

    /// Whether an earlier run settled the sort key, up to the watermark or beyond it, and
    /// the object did not fail.
    fn is_settled(&mut self, key: &ObjectKey, sort_key: &ObjectKey) -> bool {
        let settled = self.settles_others
            || self.beyond.remove(sort_key)
            || self.settled.as_ref().is_some_and(|settled| sort_key <= settled);
        settled && !self.failed.remove(key)
    }

    /// Records in the journal that an object may be written, before it is. This is needed
    /// where it matters whether an object at the destination may be our own.
    async fn announce(&mut self) -> Result<()> {
        let guards = matches!(
            self.run.options.settings.existing,
            ExistingPolicy::Skip | ExistingPolicy::Fail | ExistingPolicy::Immutable
        );
        if !guards && self.run.options.plan.is_none() {
            return Ok(());
        }
        let mapping = &self.run.lister.mapping;
        let next = match &self.found {
            Some((Listed::Source(next, ..), _)) => mapping.sort_key(&next.key),
            Some((Listed::Named(next), _)) => mapping.sort_key(next),
            _ => return Ok(()),
        };
        if self.announced.as_ref().is_none_or(|announced| *announced < next) {
            let through = self.origin.ahead(mapping).unwrap_or(next);
            self.run.context.log.note_durably(&Note::Started { through: through.clone() }).await?;
            self.announced = Some(through);
        }
        Ok(())
    }

    /// An object of which only the key is known.
    fn named(&mut self, key: ObjectKey, listed: bool) -> WorkItem {
        self.run.scheduler.counters.listed_objects.add(1);
        let mut next = self.object(ObjectMeta::new(key, 0), DestinationState::Unknown, listed);
        if let WorkItem::Object { entry, .. } = &mut next {
            entry.mode = Mode::Named;
        }
        next
    }

    /// A key with all its versions. Those that an earlier run moved are counted already.
    fn history(&mut self, held: VersionedKey) -> WorkItem {
        let recorded = self.histories.get(&held.key).copied().unwrap_or_default();
        let counters = &self.run.scheduler.counters;
        counters.listed_objects.add(held.versions.saturating_sub(recorded.versions));
        counters.listed_bytes.add(held.bytes.saturating_sub(recorded.bytes));
        self.object(ObjectMeta::new(held.key, held.bytes), DestinationState::Unknown, true)
    }

    fn object(&mut self, source: ObjectMeta, there: DestinationState, listed: bool) -> WorkItem {
        let key = source.key.clone();
        let sort_key = self.run.lister.mapping.sort_key(&key);
        let listed = listed.then(|| sort_key.clone());
        // Where names ignore case, the object may be listed under a name in another case.
        let there = match there {
            DestinationState::Absent if self.run.context.folded.get().is_some() => DestinationState::Unknown,
            there => there,
        };
        let (entry, verdict) = self.names.entry(source, there);
        let entry = Box::new(entry);
        let verdict = verdict.and_then(|()| match backup::holds(&self.run.context, &entry.target) {
            true => Err(Error::new(ErrorKind::InvalidKey, "the object would lie among the backups")),
            false if self.run.is_own_file_there(&entry.target) => {
                Err(Error::new(ErrorKind::InvalidKey, "the object would lie among the files of the journal"))
            }
            false if self.run.is_inside_source(&entry.target) => {
                Err(Error::new(ErrorKind::InvalidKey, "the object would lie inside the source"))
            }
            false => self.run.context.folded.get().map_or(Ok(()), |folded| folded.check(&entry.target)),
        });
        if let Err(error) = verdict {
            return WorkItem::Settled { entry, outcome: Outcome::Failed(error), sort_key: listed };
        }
        let in_doubt = |(after, through): &(Option<ObjectKey>, ObjectKey)| {
            after.as_ref().is_none_or(|after| *after < sort_key) && sort_key <= *through
        };
        let maybe_written = self.maybe_written.as_ref().is_some_and(in_doubt) || self.writing.contains(&sort_key);
        let kept = self.kept.remove(&key);
        let recorded = self.histories.remove(&key).unwrap_or_default().versions;
        let (upload, proof) = (self.uploads.remove(&key), self.proofs.take(&sort_key));
        let earlier = Earlier { upload, maybe_written, kept, recorded, proof, may_be_gone: false };
        match self.at_a_glance(&entry, &earlier) {
            Some(outcome) => WorkItem::Settled { entry, outcome, sort_key: listed },
            None => WorkItem::Object { entry, earlier, sort_key: listed },
        }
    }

    /// The work that a saved plan asks for.
    fn planned(&mut self, source: ObjectMeta, there: DestinationState, action: PlannedAction) -> WorkItem {
        let basis = match action {
            PlannedAction::Copy { reason, .. } => {
                let mut next = self.object(source, there, true);
                if let WorkItem::Object { entry, .. } = &mut next {
                    entry.mode = Mode::Planned(reason);
                }
                return next;
            }
            PlannedAction::Unchanged { by } => Some(by),
            _ => None,
        };
        let key = source.key.clone();
        let (entry, _) = self.names.entry(source, there);
        let outcome = match (basis, &entry.there, action) {
            (Some(basis), DestinationState::Present(there), _) => {
                Outcome::Unchanged(Box::new(ManifestEntry::unchanged(&entry, there, basis)))
            }
            (_, _, PlannedAction::Refuse { reason }) => {
                Outcome::Failed(Error::new(ErrorKind::InvalidInput, format!("refused by the plan: {reason}")))
            }
            _ => Outcome::Skipped,
        };
        let sort_key = Some(self.run.lister.mapping.sort_key(&key));
        WorkItem::Settled { entry: Box::new(entry), outcome, sort_key }
    }

    /// How the object ends, if the listings show that there is nothing to do.
    fn at_a_glance(&self, entry: &Entry, earlier: &Earlier) -> Option<Outcome> {
        let DestinationState::Present(there) = &entry.there else { return None };
        let existing = self.run.options.settings.existing;
        if earlier.upload.is_some() || self.run.options.plan.is_some() {
            return None;
        }
        if let Some(line) = earlier.proof.as_ref().filter(|proof| proofs::holds(proof, &entry.source, &entry.there)) {
            return Some(Outcome::Proven(line.clone()));
        }
        if existing == ExistingPolicy::Skip && !earlier.maybe_written {
            return Some(Outcome::Skipped);
        }
        match existing.compares().then(|| self.run.context.comparer.rules.by_listing(&entry.source, there))?? {
            Answer::Same(basis) => Some(Outcome::Unchanged(Box::new(ManifestEntry::unchanged(entry, there, basis)))),
            Answer::Different(_) => None,
        }
    }

    /// Uploads that an earlier run left of objects that are no longer at the source.
    /// Meaningful once the listing has ended.
    pub(crate) fn orphans(self) -> impl Iterator<Item = (ObjectKey, OpenUpload)> {
        self.uploads.into_iter()
    }
}

/// The sort key of an object; `None` for a history.
fn sort_key_of(found: &Listed, mapping: &Mapping) -> Option<ObjectKey> {
    match found {
        Listed::Source(object, ..) => Some(mapping.sort_key(&object.key)),
        Listed::Named(key) => Some(mapping.sort_key(key)),
        Listed::Extra(there) => Some(mapping.sort_key_of_target(&there.key)),
        Listed::History(_) => None,
    }
}

/// The source of work items.
#[derive(Debug)]
enum Origin {
    Nothing,
    Listings(Merge),
    Plan { batches: plan_file::Batches, batch: VecDeque<Planned>, ended: bool },
    Keys { batches: key_list::Batches, batch: VecDeque<ObjectKey>, ended: bool },
    Histories { batches: versioned_keys::Batches, batch: VecDeque<VersionedKey>, ended: bool },
}

impl Origin {
    /// Starts after the sort key `after`.
    fn start(run: &Arc<Run>, after: Option<ObjectKey>) -> Self {
        match (&run.options.plan, &run.options.keys) {
            _ if run.options.settings.versions => {
                let batches = versioned_keys::start(&run.lister, after);
                Self::Histories { batches, batch: VecDeque::new(), ended: false }
            }
            (None, None) => Self::Listings(Merge::start(&run.lister, run.compares_listings(), after)),
            (Some(file), _) => {
                let batches = plan_file::start(&run.lister, file.clone(), after);
                Self::Plan { batches, batch: VecDeque::new(), ended: false }
            }
            (None, Some(file)) => {
                let batches = key_list::start(&run.lister, file.clone(), after);
                Self::Keys { batches, batch: VecDeque::new(), ended: false }
            }
        }
    }

    /// The next item, and the action of a saved plan for it; `None` at the clean end.
    /// Cancellation safe.
    async fn next(&mut self) -> Result<Option<(Listed, Option<PlannedAction>)>> {
        match self {
            Self::Nothing => Ok(None),
            Self::Listings(merge) => Ok(merge.next().await?.map(|found| (found, None))),
            Self::Plan { batches, batch, ended } => {
                refill(batches, batch, ended).await?;
                let neither = || Error::new(ErrorKind::Corrupt, "the plan has an object that neither side has");
                let found = |planned: Planned| found(planned).ok_or_else(|| neither().with_operation("plan"));
                batch.pop_front().map(found).transpose()
            }
            Self::Keys { batches, batch, ended } => {
                refill(batches, batch, ended).await?;
                Ok(batch.pop_front().map(|key| (Listed::Named(key), None)))
            }
            Self::Histories { batches, batch, ended } => {
                refill(batches, batch, ended).await?;
                Ok(batch.pop_front().map(|held| (Listed::History(held), None)))
            }
        }
    }

    /// The last sort key of the source in the current batch.
    fn ahead(&self, mapping: &Mapping) -> Option<ObjectKey> {
        match self {
            Self::Nothing => None,
            Self::Listings(merge) => merge.ahead().map(|key| mapping.sort_key(key)),
            Self::Plan { batch, .. } => batch.back().map(|planned| planned.sort_key(mapping)),
            Self::Keys { batch, .. } => batch.back().map(|key| mapping.sort_key(key)),
            Self::Histories { batch, .. } => batch.back().map(|held| mapping.sort_key(&held.key)),
        }
    }
}

/// Waits for the next batch if the current one is used up; an empty batch is the last.
async fn refill<T>(batches: &mut Receiver<Result<Vec<T>>>, batch: &mut VecDeque<T>, ended: &mut bool) -> Result<()> {
    while batch.is_empty() && !*ended {
        let broke_off = || Error::new(ErrorKind::Unexpected, "what is to be done broke off");
        *batch = batches.recv().await.ok_or_else(broke_off)??.into();
        *ended = batch.is_empty();
    }
    Ok(())
}

/// What was listed when the plan was made, and the planned action; `None` for an
/// object that neither side has.
fn found(planned: Planned) -> Option<(Listed, Option<PlannedAction>)> {
    let there =
        planned.destination.map_or(DestinationState::Absent, |there| DestinationState::Present(Box::new(there)));
    match (planned.source, there) {
        (Some(source), there) => Some((Listed::Source(source, there), Some(planned.action))),
        (None, DestinationState::Present(there)) => Some((Listed::Extra(*there), None)),
        (None, _) => None,
    }
}

fn extra(sort_key: ObjectKey, there: ObjectMeta) -> WorkItem {
    WorkItem::Extraneous { sort_key, there: Box::new(there) }
}
