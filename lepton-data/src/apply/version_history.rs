//! Moves one key with all its versions: those that the destination lacks are moved one by
//! one, the oldest first.
//!
//! The destination's history must be the beginning of the source's. If the response to a
//! write was lost, the new version is looked for at the destination before it is written
//! again.

use std::collections::BTreeSet;
use std::sync::Arc;

use lepton_core::{
    DeleteRequest, Error, ErrorKind, ObjectKey, ObjectVersion, Precondition, Result, Support, VersionId,
};

use crate::apply::commit::may_be_ours;
use crate::apply::context::Context;
use crate::apply::decide::{if_absent, if_unchanged};
use crate::apply::object::{copy_object, may_begin_again};
use crate::apply::outcome::{Earlier, Outcome};
use crate::apply::reconcile::abort_orphan;
use crate::ledger::manifest::{ManifestEntry, VersionNumber};
use crate::ledger::resumed::OpenUpload;
use crate::listing::key_versions::{conflict, listed, oldest_first, unknown_version};
use crate::types::entry::{DestinationState, Entry, Ids, Mode, Pin};
use crate::types::reason::{ComparedBy, Reason};
use crate::types::side::Side;

/// The version ID that S3 gives an object written without versioning.
const NULL: &str = "null";

/// Moves the versions of a key that the destination lacks. If the source changes, an
/// upload vanishes or bytes are corrupted in flight, both histories are listed again and
/// the move resumes where they agree.
pub(crate) async fn history(cx: &Arc<Context>, entry: &Entry, earlier: Earlier) -> Outcome {
    let mut mover = Mover {
        cx,
        key: entry.source.key.clone(),
        target: entry.target.clone(),
        upload: earlier.upload,
        recorded: earlier.recorded,
        counted: !entry.is_named(),
        agreed: Vec::new(),
        bytes: 0,
    };
    let (mut again, mut before) = (0, mover.recorded);
    loop {
        let error = match mover.go().await {
            Ok(()) => return Outcome::History { bytes: mover.bytes },
            Err(error) => error,
        };
        if mover.recorded > before {
            (again, before) = (0, mover.recorded);
        }
        if !may_begin_again(&error) || again >= cx.settings.source_changes {
            return Outcome::Failed(error.with_context("key", &mover.key));
        }
        again += 1;
        tracing::info!(key = %mover.key, error = %error.full_message(), "the history is taken up again");
        if let Err(cancelled) = cx.scheduler.wait(again, &error).await {
            return Outcome::Failed(cancelled);
        }
    }
}

/// The pins of a version at the source and at the destination.
type Pair = (Pin, Pin);

struct Mover<'a> {
    cx: &'a Arc<Context>,
    key: ObjectKey,
    target: ObjectKey,
    /// The upload that an earlier run left of one of the versions.
    upload: Option<OpenUpload>,
    /// The number of versions that have a manifest line.
    recorded: u64,
    /// Whether the totals include the versions.
    counted: bool,
    /// Versions that are known to be the same, with the basis.
    agreed: Vec<(Pair, ComparedBy)>,
    /// Bytes moved by this run.
    bytes: u64,
}

impl Mover<'_> {
    /// Brings the destination's history up to the source's.
    async fn go(&mut self) -> Result<()> {
        let (cx, key) = (self.cx, &self.key);
        let mut ours = oldest_first(&cx.source, key).await?;
        unpin_null(&mut ours);
        if ours.is_empty() {
            let message = "the source has no version of the key any more";
            return Err(Side::Source.mark(Error::new(ErrorKind::NotFound, message)));
        }
        self.count(&ours);
        let mut theirs = oldest_first(&cx.destination, &self.target).await?;
        let places = self.align(&ours, &theirs).await?;
        let of = ours.len() as u64;
        self.give_up_what_fits_none(&ours[places.len()..]).await?;
        for (index, version) in ours.iter().enumerate() {
            let history = VersionNumber { number: index as u64 + 1, of };
            let line = match places.get(index) {
                _ if history.number <= self.recorded && (index < places.len() || means_nothing(&ours, index)) => {
                    continue;
                }
                Some(place) => {
                    let (there, basis) =
                        place.map_or((None, ComparedBy::Size), |(at, basis)| (Some(&theirs[at]), basis));
                    self.line_of_known(version, there, basis)
                }
                None if history.number <= self.recorded => {
                    return Err(conflict(&self.target, "versions that this transfer had moved there are gone"));
                }
                None => {
                    cx.scheduler.control.go().await?;
                    let begun = cx.scheduler.env.uptime();
                    let line = self.copy_next(&ours, index, &mut theirs).await?;
                    cx.scheduler.counters.metrics.copied(line.size, cx.scheduler.env.uptime().saturating_sub(begun));
                    self.bytes += line.size;
                    line
                }
            };
            if history.number == of && places.len() < ours.len() {
                self.check(&theirs).await?;
            }
            self.record(&line.of_history(history, version.is_delete_marker))?;
        }
        Ok(())
    }

    /// Adds the versions to the totals, if the listing has not.
    fn count(&mut self, ours: &[ObjectVersion]) {
        if std::mem::replace(&mut self.counted, true) {
            return;
        }
        let left = ours.iter().skip(usize::try_from(self.recorded).unwrap_or(usize::MAX));
        let (number, bytes) = left.fold((0, 0), |(number, bytes), one| (number + 1, bytes + one.meta.size));
        let counters = &self.cx.scheduler.counters;
        // The key was counted as one object.
        counters.listed_objects.add(number);
        counters.listed_objects.sub(1);
        counters.listed_bytes.add(bytes);
    }

    /// For each of the source's oldest versions, its index at the destination and the basis
    /// on which the two are the same; `None` for a redundant delete marker that the
    /// destination lacks.
    ///
    /// # Errors
    /// `already_exists` if the destination's history is not the beginning of the source's.
    async fn align(
        &mut self,
        ours: &[ObjectVersion],
        theirs: &[ObjectVersion],
    ) -> Result<Vec<Option<(usize, ComparedBy)>>> {
        let mut places = Vec::new();
        for (at, there) in theirs.iter().enumerate() {
            loop {
                let index = places.len();
                let Some(version) = ours.get(index) else {
                    return Err(self.diverged(at, &format!("and the source has {} versions in all", ours.len())));
                };
                if let Some(basis) = self.same(version, there).await? {
                    places.push(Some((at, basis)));
                    break;
                }
                if !means_nothing(ours, index) {
                    return Err(self.diverged(at, &format!("which is not the source's version {}", index + 1)));
                }
                places.push(None);
            }
        }
        Ok(places)
    }

    fn diverged(&self, at: usize, why: &str) -> Error {
        let message = format!(
            "the destination's history of this key is not the beginning of the source's: it has a version {}, {why}; \
             nothing was written",
            at + 1
        );
        Error::new(ErrorKind::AlreadyExists, message).with_context("target", &self.target)
    }

    async fn same(&mut self, ours: &ObjectVersion, theirs: &ObjectVersion) -> Result<Option<ComparedBy>> {
        if ours.is_delete_marker || theirs.is_delete_marker {
            return Ok((ours.is_delete_marker == theirs.is_delete_marker).then_some(ComparedBy::Size));
        }
        let pair = (Pin::of(&ours.meta), Pin::of(&theirs.meta));
        if let Some((_, basis)) = self.agreed.iter().find(|(agreed, _)| *agreed == pair) {
            return Ok(Some(*basis));
        }
        let basis = self.cx.comparer.same_version(&ours.meta, &theirs.meta).await?;
        self.agreed.extend(basis.map(|basis| (pair, basis)));
        Ok(basis)
    }

    /// Aborts an upload that an earlier run left of a version that is not to be moved.
    async fn give_up_what_fits_none(&mut self, left: &[ObjectVersion]) -> Result<()> {
        let fits = |open: &OpenUpload| left.iter().any(|version| open.plan.pin == Pin::of(&version.meta));
        match self.upload.take_if(|open| !fits(open)) {
            Some(open) => abort_orphan(self.cx, self.key.clone(), open).await,
            None => Ok(()),
        }
    }

    fn entry(&self, version: &ObjectVersion, theirs: &[ObjectVersion]) -> Entry {
        let earlier: Ids = theirs.iter().map(|there| there.meta.version.clone()).collect();
        Entry {
            source: version.meta.clone(),
            target: self.target.clone(),
            there: DestinationState::Unknown,
            mode: Mode::Version { earlier: Arc::new(earlier) },
        }
    }

    fn line_of_known(
        &self,
        version: &ObjectVersion,
        there: Option<&ObjectVersion>,
        basis: ComparedBy,
    ) -> ManifestEntry {
        let entry = self.entry(version, &[]);
        let line = ManifestEntry::unchanged(&entry, there.map_or(&version.meta, |there| &there.meta), basis);
        ManifestEntry { version: there.and_then(|there| there.meta.version.clone()), ..line }
    }

    /// Makes the next version at the destination and adds it to `theirs`.
    async fn copy_next(
        &mut self,
        ours: &[ObjectVersion],
        index: usize,
        theirs: &mut Vec<ObjectVersion>,
    ) -> Result<ManifestEntry> {
        let version = &ours[index];
        let entry = self.entry(version, theirs);
        if version.is_delete_marker {
            let made = self.mark(&entry, theirs.last()).await?;
            if made.is_none() && !means_nothing(ours, index) {
                let message = "the destination said that it deleted the object, and made no delete marker";
                return Err(Error::new(ErrorKind::Unexpected, message).with_context("target", &self.target));
            }
            let line = self.line_of_known(version, made.as_ref(), ComparedBy::Size);
            theirs.extend(made);
            return Ok(ManifestEntry { unchanged: None, reason: Some(Reason::New), ..line });
        }
        let mut line = self.send(&entry, theirs.last()).await?;
        if line.version.is_none() {
            let made = unknown_version(&self.cx.destination, &self.target, &earlier_versions(&entry)).await?;
            line.version = made.and_then(|made| made.meta.version);
        }
        let mut there = version.clone();
        (there.meta.key, there.meta.etag, there.meta.version) =
            (self.target.clone(), line.etag.clone(), line.version.clone());
        theirs.push(there);
        Ok(line)
    }

    /// Sends a version, or lets the store copy it.
    async fn send(&mut self, entry: &Entry, last: Option<&ObjectVersion>) -> Result<ManifestEntry> {
        let cx = self.cx;
        let layout = cx.layout(entry.source.size)?;
        let condition = match last.filter(|last| !last.is_delete_marker) {
            Some(last) => if_unchanged(cx, layout, &last.meta),
            None => if_absent(cx, layout),
        };
        let upload = self.upload.take_if(|open| open.plan.pin == Pin::of(&entry.source));
        let mut earlier = Earlier { upload, ..Earlier::default() };
        let sent = copy_object(cx, entry, layout, Reason::New, &condition, &mut earlier).await;
        match sent {
            // To some stores, a delete marker is an existing object.
            Err(error) if last.is_some_and(|last| last.is_delete_marker) && refused(&error) => {
                if unknown_version(&cx.destination, &self.target, &earlier_versions(entry)).await?.is_some() {
                    return Err(error);
                }
                copy_object(cx, entry, layout, Reason::New, &Precondition::None, &mut earlier).await
            }
            sent => sent,
        }
    }

    /// Deletes the object; returns the delete marker, if the store made one.
    async fn mark(&self, entry: &Entry, last: Option<&ObjectVersion>) -> Result<Option<ObjectVersion>> {
        let cx = self.cx;
        let conditional = cx.destination.capabilities().conditional_delete == Support::Native;
        let etag = last.filter(|last| conditional && !last.is_delete_marker).and_then(|last| last.meta.etag.clone());
        let request = DeleteRequest::new(self.target.clone()).if_match(etag);
        for attempt in 1.. {
            let deleted = cx.destination.retry(false, || async {
                let unanswered = || Err(Error::new(ErrorKind::Unexpected, "the store did not answer a delete"));
                cx.destination
                    .storage()
                    .delete(vec![request.clone()])
                    .await?
                    .into_iter()
                    .next_back()
                    .unwrap_or_else(unanswered)
            });
            let deleted = match deleted.await {
                Err(error) if !may_be_ours(&error) => return Err(error),
                deleted => deleted,
            };
            match (unknown_version(&cx.destination, &self.target, &earlier_versions(entry)).await?, deleted) {
                (Some(made), _) if made.is_delete_marker => return Ok(Some(made)),
                (Some(_), _) => return Err(conflict(&self.target, "somebody else wrote it")),
                (None, Ok(())) => return Ok(None),
                (None, Err(error)) if refused(&error) || attempt >= cx.scheduler.attempts => {
                    return Err(error);
                }
                (None, Err(error)) => {
                    cx.scheduler.wait(attempt, &error).await?;
                }
            }
        }
        Err(Error::new(ErrorKind::Unexpected, "no attempt was made"))
    }

    /// Checks that the destination has exactly the versions that were made there.
    async fn check(&self, made: &[ObjectVersion]) -> Result<()> {
        let ids = |versions: &[ObjectVersion]| -> BTreeSet<Option<VersionId>> {
            versions.iter().map(|version| version.meta.version.clone()).collect()
        };
        let now = listed(&self.cx.destination, &self.target).await?;
        if now.len() == made.len() && ids(&now) == ids(made) {
            return Ok(());
        }
        let what = format!("it was to have {} versions and has {}, or others", made.len(), now.len());
        Err(conflict(&self.target, &what))
    }

    /// Records the manifest line of a version; a recorded version is not moved again.
    fn record(&mut self, line: &ManifestEntry) -> Result<()> {
        let counters = &self.cx.scheduler.counters;
        if line.unchanged.is_some() {
            counters.unchanged_objects.add(1);
            counters.unchanged_bytes.add(line.size);
            counters.metrics.ended("unchanged");
        } else {
            counters.done_objects.add(1);
            counters.moved_bytes.add(line.size);
            counters.metadata_lost.add(u64::from(!line.lost.is_empty()));
            counters.source_unchecked.add(u64::from(line.is_source_unchecked()));
            counters.metrics.ended("copied");
        }
        self.cx.log.done(line)?;
        self.recorded += 1;
        Ok(())
    }
}

fn refused(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::PreconditionFailed)
}

fn earlier_versions(entry: &Entry) -> Arc<Ids> {
    entry.earlier_versions().cloned().unwrap_or_default()
}

/// Whether a version is a redundant delete marker: the first version, or one after another
/// delete marker. Some stores do not make such markers.
fn means_nothing(versions: &[ObjectVersion], index: usize) -> bool {
    let before = index.checked_sub(1).and_then(|before| versions.get(before));
    let marker = versions.get(index).is_some_and(|version| version.is_delete_marker);
    marker && before.is_none_or(|before| before.is_delete_marker)
}

/// Removes the version ID `null` of the latest version. A bucket that never had versioning
/// lists this ID and does not always find the object by it. The latest version is the
/// object itself, so it is pinned by its tag.
fn unpin_null(versions: &mut [ObjectVersion]) {
    if let Some(latest) = versions.last_mut().filter(|latest| !latest.is_delete_marker)
        && latest.meta.version.as_ref().is_some_and(|version| version.as_str() == NULL)
    {
        latest.meta.version = None;
    }
}
