//! A transfer from its options to its report. Only this file knows the order of the
//! stages:
//!
//! `list → plan → diff → read → checksum → write → commit → report`

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use lepton_core::journal::Replay;
use lepton_core::{Error, ErrorKind, ListRequest, Result, RuntimeExt as _, SharedRuntime};

use crate::apply::context::Context;
use crate::apply::object::object;
use crate::apply::outcome::{Earlier, Outcome};
use crate::apply::reconcile::abort_orphan;
use crate::apply::version_history;
use crate::ledger::journal::Log;
use crate::ledger::manifest::ManifestWriter;
use crate::ledger::note::{DONE, Note};
use crate::ledger::report::{Report, Status, Timing};
use crate::ledger::resumed::Resumed;
use crate::ledger::verification::Verification;
use crate::schedule::control::RunState;
use crate::schedule::handle::RunHandle;
use crate::settings::transfer::ExistingPolicy;
use crate::telemetry::counters::Counters;
use crate::telemetry::progress::Phase;
use crate::telemetry::retry_count::counted;
use crate::transfer::builder::Transfer;
use crate::transfer::feed::{Feed, WorkItem};
use crate::transfer::options::Options;
use crate::transfer::queue::{Pending, Queue};
use crate::transfer::run::Run;
use crate::transfer::tracker::Tracker;
use crate::transfer::{mirror, opening, overlap};
use crate::types::entry::Entry;
use crate::types::file;
use crate::verify::verifier;

impl Transfer {
    /// Runs the transfer to its end.
    ///
    /// Objects that fail are in the [`Report`], and the run continues. Dropping the
    /// future cancels the run as [`TransferHandle::cancel`](RunHandle::cancel) does.
    ///
    /// # Errors
    /// Errors that would affect every object: wrong credentials, a missing bucket, no
    /// permission, a wrong clock, a full or read-only destination, a host that
    /// does not exist, a failed TLS handshake, a listing that cannot be read; a
    /// journal that is locked, damaged or of another plan. Once the cause is fixed, the
    /// same transfer on the same journal resumes.
    pub async fn run(self) -> Result<Report> {
        self.start().await?.wait().await
    }

    /// Starts the transfer and returns a handle to watch and steer it.
    ///
    /// # Errors
    /// Those errors of [`run`](Self::run) that occur before the first object.
    pub async fn start(self) -> Result<RunHandle<Report>> {
        self.env.check()?;
        let folder = self.options.journal.clone();
        let temporary = std::env::temp_dir().join(format!("lepton-{:016x}", self.env.random()));
        let journal = folder.clone().unwrap_or_else(|| temporary.clone());
        check_manifest(&self.env, &self.options).await?;
        let (log, resumed) = open_journal(&self.env, &self.options, journal.clone()).await?;
        let env = Arc::clone(&self.env);
        let again = matches!(self.options.settings.existing, ExistingPolicy::Overwrite | ExistingPolicy::Fail);
        let (relists, follows_an_end) = (resumed.anew, resumed.ended && !again);
        let spill_folder = folder.clone().unwrap_or_else(std::env::temp_dir);
        let mut run = Run::new(self.options, self.env, log, resumed.foreign.clone(), spill_folder)?;
        (run.relists, run.follows_an_end) = (relists, follows_an_end);
        let run = Arc::new(run);
        let task = env.spawn_task({
            let run = Arc::clone(&run);
            async move {
                let outcome = drive(&run, resumed, journal).await;
                let tried_all = outcome.as_ref().is_ok_and(|report| report.status.tried_all());
                run.scheduler.counters.enter(if tried_all { Phase::Ended } else { Phase::Stopped });
                run.scheduler.log_metrics();
                run.context.log.close();
                if folder.is_none() {
                    discard(&run, temporary).await;
                }
                outcome
            }
        });
        Ok(RunHandle::new(&run.scheduler, task))
    }
}

/// Refuses a path at which no manifest can be written. The journal's own folder is made with the
/// journal.
async fn check_manifest(env: &SharedRuntime, options: &Options) -> Result<()> {
    let Some(path) = options.manifest.clone() else { return Ok(()) };
    file::check(env, path, "manifest").await
}

/// Opens the journal and reads what earlier runs left.
async fn open_journal(env: &SharedRuntime, options: &Options, folder: PathBuf) -> Result<(Log, Resumed)> {
    let (journal_env, options) = (Arc::clone(env), options.clone());
    env.run_blocking(move || opening::journal(&journal_env, &options, &folder)).join().await?
}

async fn discard(run: &Run, folder: PathBuf) {
    let removed = run.scheduler.env.run_blocking(move || std::fs::remove_dir_all(folder)).join().await;
    if let Ok(Err(error)) = removed {
        tracing::debug!(%error, "the temporary journal could not be removed");
    }
}

/// Runs the transfer: first all objects, then the manifest.
async fn drive(run: &Arc<Run>, resumed: Resumed, journal: PathBuf) -> Result<Report> {
    let mut ledger = Tracker::new(run, &resumed);
    let looked = run.scheduler.control.unless_cancelled(preflight(run, &journal)).await.flatten();
    let outcome = match looked {
        Ok(()) => work(run, resumed, &mut ledger, &journal).await,
        Err(error) => Err(error),
    };
    // This is also needed after an error: the next run must find what was done.
    let committed = run.context.log.commit().await;
    let mut status = match outcome {
        Ok(Ended::AtItsLimit) => Status::Limited,
        Ok(Ended::WithTheListing) if ledger.failed() => Status::Incomplete,
        Ok(Ended::WithTheListing) => Status::Complete,
        Err(error) if error.kind() == ErrorKind::Cancelled => Status::Cancelled,
        // If the journal failed, other errors that end the run are its consequences.
        Err(error) => return Err(with_counts(committed.err().unwrap_or(error), run)),
    };
    committed?;
    let manifest = if matches!(status, Status::Cancelled | Status::Limited) {
        None
    } else {
        write_manifest(run, journal, (status, ledger.failures())).await?
    };
    let verification = match (status, &manifest) {
        (Status::Complete, Some(manifest)) => match verified(run, manifest).await {
            Err(error) if error.kind() == ErrorKind::Cancelled => {
                status = Status::Cancelled;
                None
            }
            found => found?,
        },
        _ => None,
    };
    match status {
        Status::Complete => run.context.log.note_durably(&Note::Finished).await?,
        Status::Incomplete => run.context.log.note_durably(&Note::Ended).await?,
        _ => {}
    }
    Ok(Report { verification, ..ledger.report(status, manifest) })
}

/// Compares the destination with the manifest, if the run is to do so. An interrupted run starts
/// this again, because it is not noted as finished.
async fn verified(run: &Run, manifest: &Path) -> Result<Option<Verification>> {
    let Some(depth) = run.options.verify else { return Ok(None) };
    run.scheduler.counters.enter(Phase::Verifying);
    let counters = Arc::<Counters>::default();
    // The first and only verification of the run.
    let _ = run.scheduler.counters.verification.set(Arc::clone(&counters));
    let scheduler = Arc::new(run.scheduler.for_verification(&run.options.settings, counters));
    let destination = run.context.destination.scheduled_by(&scheduler);
    verifier::against(destination, manifest, depth, &run.options.settings).await.map(Some)
}

/// What was done before a run ended early, which has no report.
fn with_counts(error: Error, run: &Run) -> Error {
    let progress = run.scheduler.progress();
    let counts = [("copied", progress.objects), ("unchanged", progress.unchanged), ("failed", progress.failed)];
    counts
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .fold(error, |error, (what, count)| error.with_context(what, count))
}

/// Refuses locations that overlap. Then sends one cheap request to the destination before
/// anything is read, so that a wrong address or wrong credentials are found early.
async fn preflight(run: &Arc<Run>, journal: &Path) -> Result<()> {
    overlap::check(run, Some(journal)).await?;
    let request = ListRequest::new().prefix(run.options.destination.folder()).page_size(1).tolerant(true);
    match run.context.destination.first_page(&request).await {
        // Credentials that may only write may not list; the first write will show.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {}
        Err(error) => return Err(error),
        Ok(_) => {}
    }
    if run.options.settings.versions { makes_versions(run).await } else { Ok(()) }
}

/// Checks that the destination keeps versions, because versions are to be moved.
async fn makes_versions(run: &Run) -> Result<()> {
    let destination = &run.context.destination;
    let Some(versions) = destination.storage().versions() else { return Ok(()) };
    if destination.retry(true, || versions.enabled()).await? {
        return Ok(());
    }
    let url = destination.storage().url();
    let message = format!("versions: the destination {url} keeps no versions; enable versioning there, then run again");
    Err(Error::unsupported(message))
}

/// Why the run stopped starting objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    WithTheListing,
    AtItsLimit,
}

/// Moves every object, then deletes what is to be deleted.
async fn work(run: &Arc<Run>, resumed: Resumed, ledger: &mut Tracker, journal: &Path) -> Result<Ended> {
    run.scheduler.control.unless_cancelled(run.look_at_names()).await.flatten()?;
    run.lister.forget();
    run.scheduler.counters.enter(Phase::Copying);
    let mut limit = Limit::new(run);
    let ended = objects(run, Feed::new(run, resumed), ledger, &mut limit).await?;
    if run.options.deletes() && ended == Ended::WithTheListing {
        return delete(run, ledger, &mut limit, journal).await;
    }
    Ok(ended)
}

/// Deletes what only the destination has. If some of that is in the way of objects, it goes first,
/// and the objects are moved before anything else is deleted.
async fn delete(run: &Arc<Run>, ledger: &mut Tracker, limit: &mut Limit, journal: &Path) -> Result<Ended> {
    let counters = &run.scheduler.counters;
    let blocked = ledger.take_blocked();
    if ledger.keeps_from_deleting() {
        tracing::warn!("nothing is deleted, because objects failed");
        ledger.fail_blocked(&blocked)?;
        return Ok(Ended::WithTheListing);
    }
    counters.enter(Phase::Deleting);
    if !blocked.is_empty() {
        mirror::extras(run, journal.to_owned(), ledger, |key| blocked.is_in_the_way(key)).await?;
        counters.enter(Phase::Copying);
        let ended = objects(run, Feed::only(run, blocked.sources().cloned()), ledger, limit).await?;
        if ended == Ended::AtItsLimit || ledger.failed() {
            return Ok(ended);
        }
        counters.enter(Phase::Deleting);
    }
    mirror::extras(run, journal.to_owned(), ledger, |key| !blocked.is_in_the_way(key)).await?;
    Ok(Ended::WithTheListing)
}

/// Moves every object of a feed; returns when all have ended. After the first error that ends
/// the run, objects in flight still end.
async fn objects(run: &Arc<Run>, mut feed: Feed, ledger: &mut Tracker, limit: &mut Limit) -> Result<Ended> {
    let mut running = FuturesUnordered::new();
    let mut waiting = Queue::default();
    let (mut more, mut ended) = (true, Ok(()));
    loop {
        while ended.is_ok()
            && !waiting.is_empty()
            && !limit.is_reached(run)
            && let Some((ready, open)) = waiting.next(&run.scheduler)
        {
            let (object, number) = ((ready.entry.source.key.clone(), ready.entry.source.size), ready.number);
            limit.taken += ready.entry.source.size;
            run.options.observer.started(&object.0, object.1);
            let begun = run.scheduler.env.uptime();
            let task =
                run.scheduler.env.spawn_task(counted(apply(Arc::clone(&run.context), *ready.entry, ready.earlier)));
            running.push(async move {
                let (outcome, retries) = task.join().await.unwrap_or_else(|error| (Outcome::Failed(error), 0));
                drop(open);
                (object, number, outcome, Timing { elapsed: run.scheduler.env.uptime().saturating_sub(begun), retries })
            });
        }
        more = more && !limit.is_reached(run);
        // A listing that gives no answer does not keep a cancelled run from its end.
        let next = run.scheduler.control.unless_cancelled(async {
            run.context.log.room().await?;
            feed.next().await
        });
        let room = more && waiting.has_room() && ledger.has_room();
        let outcome = tokio::select! {
            biased;
            Some((object, number, outcome, took)) = running.next(), if !running.is_empty() => {
                if let Outcome::Done(line) = &outcome {
                    // The size of an object that was only named is known by now.
                    limit.taken += line.size.saturating_sub(object.1);
                }
                ledger.settle(object, number, outcome, Some(took))
            }
            next = next, if room => match next.flatten() {
                Ok(Some(WorkItem::Object { entry, earlier, sort_key })) => {
                    let number = sort_key.map(|sort_key| ledger.open(sort_key));
                    let lane = run.context.lane(entry.source.size);
                    waiting.push(lane, Pending { entry, earlier, number });
                    Ok(())
                }
                Ok(Some(WorkItem::Settled { entry, outcome, sort_key })) => {
                    let number = sort_key.map(|sort_key| ledger.open(sort_key));
                    ledger.settle((entry.source.key, entry.source.size), number, outcome, None)
                }
                Ok(Some(WorkItem::Extraneous { sort_key, there })) => ledger.extraneous(sort_key, *there),
                Ok(None) => {
                    more = false;
                    Ok(())
                }
                Err(error) => Err(error),
            },
            else => break,
        };
        if outcome.is_err() && ended.is_ok() {
            (more, ended) = (false, outcome);
            run.scheduler.control.set(RunState::Cancel);
        }
    }
    ledger.flush()?;
    ended?;
    if limit.reached {
        return Ok(Ended::AtItsLimit);
    }
    for (key, open) in feed.orphans() {
        abort_orphan(&run.context, key, open).await?;
    }
    Ok(Ended::WithTheListing)
}

/// Moves one object, or all versions of one key.
async fn apply(cx: Arc<Context>, entry: Entry, earlier: Earlier) -> Outcome {
    let control = cx.scheduler.control.clone();
    let applied = control.unless_aborted(async {
        if cx.settings.versions {
            return version_history::history(&cx, &entry, earlier).await;
        }
        object(cx, entry, earlier).await
    });
    applied.await.unwrap_or_else(Outcome::Failed)
}

/// How many bytes a run may start, and for how long it may start objects.
struct Limit {
    taken: u64,
    bytes: Option<u64>,
    until: Option<Duration>,
    reached: bool,
}

impl Limit {
    fn new(run: &Run) -> Self {
        let settings = &run.options.settings;
        let until = settings.max_duration.map(|most| run.scheduler.begun.saturating_add(most));
        Self { taken: 0, bytes: settings.max_transfer, until, reached: false }
    }

    fn is_reached(&mut self, run: &Run) -> bool {
        self.reached |= self.bytes.is_some_and(|most| self.taken >= most);
        self.reached |= self.until.is_some_and(|until| run.scheduler.env.uptime() >= until);
        self.reached
    }
}

/// Writes the manifest from the journal's lines. Memory use does not depend on their
/// number.
async fn write_manifest(run: &Arc<Run>, journal: PathBuf, (status, failed): (Status, u64)) -> Result<Option<PathBuf>> {
    let Some(path) = run.options.manifest_path() else { return Ok(None) };
    run.scheduler.counters.enter(Phase::WritingManifest);
    let (source, destination) =
        (run.context.source.storage().url().to_owned(), run.context.destination.storage().url().to_owned());
    let file = path.clone();
    let work = run.scheduler.env.run_blocking(move || {
        let mut manifest = ManifestWriter::create(&file, &source, &destination)?;
        for record in Replay::of(&journal)? {
            let record = record?;
            if record.kind == DONE {
                manifest.add(&record.payload)?;
            }
        }
        manifest.finish(status, failed)
    });
    work.join().await??;
    Ok(Some(path))
}
