//! What is to be done next: first what an earlier run failed at, then what the
//! listings bring.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use lepton_core::{ETag, Error, ErrorKind, ObjectKey, ObjectMeta, Result};
use tokio::sync::mpsc::Receiver;

use crate::apply::backup;
use crate::apply::outcome::{Earlier, Outcome};
use crate::compare::rules::Answer;
use crate::ledger::journal::{Note, OpenUpload, Recorded, Resumed};
use crate::ledger::manifest::ManifestEntry;
use crate::ledger::planned::{Planned, PlannedAction};
use crate::ledger::proofs::Proofs;
use crate::ledger::{plan_file, proofs};
use crate::listing::found::{Found, Held};
use crate::listing::merge::Merge;
use crate::listing::{key_list, versioned_keys};
use crate::names::mapping::Mapping;
use crate::names::target::Names;
use crate::settings::transfer::Existing;
use crate::transfer::run::Run;
use crate::types::entry::{Entry, There};

/// The next thing to do.
#[derive(Debug)]
pub(crate) enum Next {
    /// An object to look into, with its place if it comes in its order.
    Object { entry: Box<Entry>, earlier: Earlier, place: Option<ObjectKey> },
    /// A source key, with its place if it comes in its order, for which nothing is to
    /// be done but to book how it ended.
    Settled { key: ObjectKey, entry: Option<Box<Entry>>, outcome: Outcome, place: Option<ObjectKey> },
}

/// The source's objects, each with what an earlier run left of it, and what only
/// the destination has.
#[derive(Debug)]
pub(crate) struct Feed {
    run: Arc<Run>,
    again: VecDeque<ObjectKey>,
    origin: Origin,
    /// What that gave and is not handed on yet.
    found: Option<(Found, Option<PlannedAction>)>,
    names: Names,
    /// Places that are settled up to the watermark, where what comes begins before it.
    settled: Option<ObjectKey>,
    /// Places that are settled beyond the watermark.
    beyond: BTreeSet<ObjectKey>,
    /// Objects that failed at a saved plan: they are tried as the plan says.
    failed: BTreeSet<ObjectKey>,
    /// What earlier runs proved.
    proofs: Proofs,
    /// Places behind the first and up to the second may have been written by an earlier
    /// run.
    maybe_written: Option<(Option<ObjectKey>, ObjectKey)>,
    /// Places up to here may be written by this run, as the journal knows.
    announced: Option<ObjectKey>,
    uploads: BTreeMap<ObjectKey, OpenUpload>,
    kept: BTreeMap<ObjectKey, Option<ETag>>,
    histories: BTreeMap<ObjectKey, Recorded>,
}

impl Feed {
    pub(crate) fn new(run: &Arc<Run>, resumed: Resumed) -> Self {
        let maybe_written = match (resumed.maybe_written, &resumed.started) {
            (carried, None) => carried,
            (_, Some(started)) => Some((None, started.clone())),
        };
        // A plan is read from its beginning: what failed is tried again as it says there,
        // and what it protects stays protected.
        let (settled, after) = match run.options.plan {
            Some(_) => (resumed.settled, None),
            None => (None, resumed.settled),
        };
        let (failed, again) = match run.options.plan {
            Some(_) => (resumed.failed.into_keys().collect(), VecDeque::new()),
            None => (BTreeSet::new(), resumed.failed.into_keys().collect()),
        };
        Self {
            run: Arc::clone(run),
            again,
            origin: Origin::start(run, after),
            found: None,
            names: Names::new(Arc::clone(&run.lister.mapping), run.context.destination.capabilities()),
            settled,
            beyond: resumed.beyond,
            failed,
            proofs: resumed.proofs.map(|file| Proofs::start(&run.scheduler.env, file)).unwrap_or_default(),
            announced: resumed.started,
            maybe_written,
            uploads: resumed.uploads,
            kept: resumed.kept,
            histories: resumed.histories,
        }
    }

    /// The next thing to do; `None` when the listings have ended.
    ///
    /// Cancellation safe: nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// What ends the run: a listing that cannot be read, a journal that cannot be
    /// written.
    pub(crate) async fn next(&mut self) -> Result<Option<Next>> {
        if let Some(key) = self.again.pop_front() {
            let mut next = self.named(key, false);
            if let Next::Object { earlier, .. } = &mut next {
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
                && let Some(place) =
                    self.found.as_ref().and_then(|(found, _)| place_of(found, &self.run.lister.mapping))
            {
                self.proofs.advance(&place).await?;
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

    /// What is to be done with what lies at one name, if anything.
    fn next_of(&mut self, found: Found, action: Option<PlannedAction>) -> Option<Next> {
        let run = Arc::clone(&self.run);
        let (settings, mapping) = (&run.options.settings, &run.lister.mapping);
        match found {
            Found::Source(object, ..)
                if self.is_settled(&object.key, &mapping.place(&object.key)) || run.is_own_file(&object.key) =>
            {
                self.run.lister.uncount(&object);
                None
            }
            Found::Named(key) if self.is_settled(&key, &mapping.place(&key)) => None,
            Found::History(held) if self.is_settled(&held.key, &mapping.place(&held.key)) => None,
            Found::History(held) => {
                let taken = run.lister.takes_name(&held.key);
                taken.then(|| self.history(held))
            }
            Found::Named(key) => {
                let taken = run.lister.takes_name(&key);
                taken.then(|| self.named(key, true))
            }
            Found::Source(object, there) => {
                if let Some(action) = action {
                    return Some(self.planned(object, there, action));
                }
                let taken = run.lister.takes(&object);
                match there {
                    there if taken => Some(self.object(object, there, true)),
                    There::Present(there) if settings.delete_excluded => {
                        Some(extra(mapping.place(&object.key), *there))
                    }
                    _ => None,
                }
            }
            Found::Extra(there)
                if backup::holds(&self.run.context, &there.key) || run.is_own_file_there(&there.key) =>
            {
                None
            }
            // What is written under the other case is this very object.
            Found::Extra(there) if run.context.is_a_name(&there.key) => None,
            Found::Extra(there) => {
                let place = mapping.place_of_target(&there.key);
                let by_name = |name: &ObjectKey| run.lister.filter.takes(name.as_bytes(), &there);
                let taken = settings.delete_excluded || mapping.judged_by(&place).iter().all(by_name);
                let taken = run.options.plan.is_some() || (settings.delete && taken);
                (taken && !self.is_settled(&there.key, &place)).then(|| extra(place, there))
            }
        }
    }

    /// Whether an earlier run settled the place, by the watermark or beyond it, and
    /// did not fail at the object.
    fn is_settled(&mut self, key: &ObjectKey, place: &ObjectKey) -> bool {
        let settled = self.beyond.remove(place) || self.settled.as_ref().is_some_and(|settled| place <= settled);
        settled && !self.failed.remove(key)
    }

    /// Where it matters whether an object at the destination may be our own, the
    /// journal must know before it is written.
    async fn announce(&mut self) -> Result<()> {
        let guards =
            matches!(self.run.options.settings.existing, Existing::Skip | Existing::Fail | Existing::Immutable);
        if !guards && self.run.options.plan.is_none() {
            return Ok(());
        }
        let mapping = &self.run.lister.mapping;
        let next = match &self.found {
            Some((Found::Source(next, ..), _)) => mapping.place(&next.key),
            Some((Found::Named(next), _)) => mapping.place(next),
            _ => return Ok(()),
        };
        if self.announced.as_ref().is_none_or(|announced| *announced < next) {
            let through = self.origin.ahead(mapping).unwrap_or(next);
            self.run.context.log.note_durably(&Note::Started { through: through.clone() }).await?;
            self.announced = Some(through);
        }
        Ok(())
    }

    /// An object of which nothing is known but its key.
    fn named(&mut self, key: ObjectKey, listed: bool) -> Next {
        self.run.scheduler.counters.listed_objects.add(1);
        let mut next = self.object(ObjectMeta::new(key, 0), There::Unknown, listed);
        if let Next::Object { entry, .. } = &mut next {
            entry.known = false;
        }
        next
    }

    /// A key with all its versions. Those that an earlier run moved are counted.
    fn history(&mut self, held: Held) -> Next {
        let recorded = self.histories.get(&held.key).copied().unwrap_or_default();
        let counters = &self.run.scheduler.counters;
        counters.listed_objects.add(held.versions.saturating_sub(recorded.versions));
        counters.listed_bytes.add(held.bytes.saturating_sub(recorded.bytes));
        self.object(ObjectMeta::new(held.key, held.bytes), There::Unknown, true)
    }

    fn object(&mut self, source: ObjectMeta, there: There, listed: bool) -> Next {
        let key = source.key.clone();
        let place = self.run.lister.mapping.place(&key);
        let listed = listed.then(|| place.clone());
        // Where letters have no case, what has this name may be listed under the other one.
        let there = match there {
            There::Absent if self.run.context.folded.get().is_some() => There::Unknown,
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
            return Next::Settled { key, entry: Some(entry), outcome: Outcome::Failed(error), place: listed };
        }
        let in_doubt = |(after, through): &(Option<ObjectKey>, ObjectKey)| {
            after.as_ref().is_none_or(|after| *after < place) && place <= *through
        };
        let maybe_written = self.maybe_written.as_ref().is_some_and(in_doubt);
        let kept = self.kept.remove(&key);
        let recorded = self.histories.remove(&key).unwrap_or_default().versions;
        let (upload, proof) = (self.uploads.remove(&key), self.proofs.take(&place));
        let earlier = Earlier { upload, maybe_written, kept, recorded, proof, may_be_gone: false };
        match self.at_a_glance(&entry, &earlier) {
            Some(outcome) => Next::Settled { key, entry: Some(entry), outcome, place: listed },
            None => Next::Object { entry, earlier, place: listed },
        }
    }

    /// What a saved plan has to be done with an object.
    fn planned(&mut self, source: ObjectMeta, there: There, action: PlannedAction) -> Next {
        let basis = match action {
            PlannedAction::Copy { reason, .. } => {
                let mut next = self.object(source, there, true);
                if let Next::Object { entry, .. } = &mut next {
                    entry.planned = Some(reason);
                }
                return next;
            }
            PlannedAction::Unchanged { by } => Some(by),
            _ => None,
        };
        let key = source.key.clone();
        let (entry, _) = self.names.entry(source, there);
        let outcome = match (basis, &entry.there, action) {
            (Some(basis), There::Present(there), _) => {
                Outcome::Unchanged(Box::new(ManifestEntry::unchanged(&entry, there, basis)))
            }
            (_, _, PlannedAction::Refuse { reason }) => {
                Outcome::Failed(Error::new(ErrorKind::InvalidInput, format!("refused by the plan: {reason}")))
            }
            _ => Outcome::Skipped,
        };
        let place = Some(self.run.lister.mapping.place(&key));
        Next::Settled { key, entry: Some(Box::new(entry)), outcome, place }
    }

    /// How the object ends, if the listings tell that nothing is to be done.
    fn at_a_glance(&self, entry: &Entry, earlier: &Earlier) -> Option<Outcome> {
        let There::Present(there) = &entry.there else { return None };
        let existing = self.run.options.settings.existing;
        if earlier.upload.is_some() || self.run.options.plan.is_some() {
            return None;
        }
        if let Some(line) = earlier.proof.as_ref().filter(|proof| proofs::holds(proof, &entry.source, &entry.there)) {
            return Some(Outcome::Proven(line.clone()));
        }
        if existing == Existing::Skip && !earlier.maybe_written {
            return Some(Outcome::Skipped);
        }
        match existing.compares().then(|| self.run.context.comparer.rules.by_listing(&entry.source, there))?? {
            Answer::Same(basis) => Some(Outcome::Unchanged(Box::new(ManifestEntry::unchanged(entry, there, basis)))),
            Answer::Different(_) => None,
        }
    }

    /// Uploads that an earlier run left of objects that are not at the source any
    /// more. Meaningful once the listing has ended.
    pub(crate) fn orphans(self) -> impl Iterator<Item = (ObjectKey, OpenUpload)> {
        self.uploads.into_iter()
    }
}

/// The place of an object of the source.
fn place_of(found: &Found, mapping: &Mapping) -> Option<ObjectKey> {
    match found {
        Found::Source(object, ..) => Some(mapping.place(&object.key)),
        Found::Named(key) => Some(mapping.place(key)),
        Found::History(_) | Found::Extra(_) => None,
    }
}

/// Where it comes from what there is to do.
#[derive(Debug)]
enum Origin {
    Listings(Merge),
    Plan { batches: plan_file::Batches, batch: VecDeque<Planned>, ended: bool },
    Keys { batches: key_list::Batches, batch: VecDeque<ObjectKey>, ended: bool },
    Histories { batches: versioned_keys::Batches, batch: VecDeque<Held>, ended: bool },
}

impl Origin {
    /// Begins behind the place `after`.
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

    /// What comes next, and what a saved plan has to be done with it; `None` at the clean
    /// end. Cancellation safe.
    async fn next(&mut self) -> Result<Option<(Found, Option<PlannedAction>)>> {
        match self {
            Self::Listings(merge) => Ok(merge.next().await?.map(|found| (found, None))),
            Self::Plan { batches, batch, ended } => {
                refill(batches, batch, ended).await?;
                let neither = || Error::new(ErrorKind::Corrupt, "the plan has an object that neither side has");
                let found = |planned: Planned| found(planned).ok_or_else(|| neither().with_operation("plan"));
                batch.pop_front().map(found).transpose()
            }
            Self::Keys { batches, batch, ended } => {
                refill(batches, batch, ended).await?;
                Ok(batch.pop_front().map(|key| (Found::Named(key), None)))
            }
            Self::Histories { batches, batch, ended } => {
                refill(batches, batch, ended).await?;
                Ok(batch.pop_front().map(|held| (Found::History(held), None)))
            }
        }
    }

    /// The last place of the source that is at hand.
    fn ahead(&self, mapping: &Mapping) -> Option<ObjectKey> {
        match self {
            Self::Listings(merge) => merge.ahead().map(|key| mapping.place(key)),
            Self::Plan { batch, .. } => batch.back().map(|planned| planned.place(mapping)),
            Self::Keys { batch, .. } => batch.back().map(|key| mapping.place(key)),
            Self::Histories { batch, .. } => batch.back().map(|held| mapping.place(&held.key)),
        }
    }
}

/// Waits for the next batch, if there is none at hand; an empty one is the last.
async fn refill<T>(batches: &mut Receiver<Result<Vec<T>>>, batch: &mut VecDeque<T>, ended: &mut bool) -> Result<()> {
    while batch.is_empty() && !*ended {
        let broke_off = || Error::new(ErrorKind::Unexpected, "what is to be done broke off");
        *batch = batches.recv().await.ok_or_else(broke_off)??.into();
        *ended = batch.is_empty();
    }
    Ok(())
}

/// What was found when it was planned, and what is to be done with it; `None` for an
/// object that neither side has.
fn found(planned: Planned) -> Option<(Found, Option<PlannedAction>)> {
    let there = planned.destination.map_or(There::Absent, |there| There::Present(Box::new(there)));
    match (planned.source, there) {
        (Some(source), there) => Some((Found::Source(source, there), Some(planned.action))),
        (None, There::Present(there)) => Some((Found::Extra(*there), None)),
        (None, _) => None,
    }
}

fn extra(place: ObjectKey, there: ObjectMeta) -> Next {
    let outcome = Outcome::Extra(Box::new(there));
    Next::Settled { key: place.clone(), entry: None, outcome, place: Some(place) }
}
