//! Follows a source in rounds: a mirror that continues.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_core::Stream;
use futures_core::future::BoxFuture;
use futures_util::FutureExt as _;
use futures_util::stream;
use lepton_core::{Error, ErrorKind, ObjectKey, Result, RuntimeExt as _};
use tokio::sync::oneshot;

use crate::ledger::report::{Failure, Report, Status};
use crate::schedule::handle::RunHandle;
use crate::settings::compare_by::Compare;
use crate::settings::transfer::ExistingPolicy;
use crate::transfer::builder::Transfer;
use crate::transfer::options::{CHANGED, Following};

/// How long the journal of the round before may stay locked.
const RELEASE: Duration = Duration::from_secs(5);

/// Follows a source in rounds; made by [`Transfer::follow`].
///
/// A round lists both sides from their beginning. An object whose pair of source and
/// destination an earlier round has proven, by their ETags, keeps its proof and costs no request;
/// every other object is compared by its checksums or read, and copied if it differs. Time is no
/// evidence: an object that is overwritten with the same length within the same second is copied.
///
/// The journal's folder keeps the proofs, so that a follower that was killed resumes with them.
#[must_use]
pub struct Follower {
    transfer: Transfer,
    /// The round before, which ends in the background if its future was dropped.
    before: Option<BoxFuture<'static, ()>>,
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower").field("transfer", &self.transfer).finish_non_exhaustive()
    }
}

/// What one round has found and done.
#[must_use]
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Round {
    /// When it began. A change of the source that is older has been followed, if the round is
    /// complete.
    pub began: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// Objects that differed and were copied.
    pub copied: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Objects that only the destination had, and that were deleted.
    pub deleted: u64,
    /// The report of its transfer, which counts the objects of all rounds that still hold.
    pub report: Report,
}

impl Round {
    /// Whether every object of the source is at the destination, and nothing else.
    pub fn is_complete(&self) -> bool {
        self.report.status == Status::Complete
    }

    /// Whether both sides were found to be the same, and nothing had to be done.
    pub fn found_no_difference(&self) -> bool {
        self.is_complete() && self.copied == 0 && self.deleted == 0
    }

    /// The keys of objects that another writer has changed at a destination that is guarded, by
    /// [`Transfer::follow_guarded`] or [`Transfer::follow_back`].
    pub fn conflicts(&self) -> impl Iterator<Item = &ObjectKey> {
        let conflicts = |failure: &&Failure| failure.kind == ErrorKind::Conflict.code();
        self.report.failures.iter().filter(conflicts).map(|failure| &failure.key)
    }

    /// Whether it did everything except for objects that changed while it ran, which the next
    /// round follows.
    pub fn keeps_up(&self) -> bool {
        let ran = matches!(self.report.status, Status::Complete | Status::Incomplete);
        let changed = |kind: &String| CHANGED.iter().any(|changed| changed.code() == kind);
        ran && self.report.failures_by_kind.keys().all(changed)
    }

    /// Objects of the source.
    pub fn objects(&self) -> u64 {
        self.report.objects + self.report.unchanged
    }
}

impl Transfer {
    /// Follows the source in rounds.
    ///
    /// The transfer needs a journal; `delete` makes it a mirror. Objects are compared by
    /// [`Compare::Checksum`] unless the settings say [`Compare::Content`].
    ///
    /// # Errors
    /// `invalid_input` without a journal, with a list of keys or a saved plan, or with a
    /// comparison that is not by the bytes.
    pub fn follow(self) -> Result<Follower> {
        self.following(Following::Yes)
    }

    /// Follows the source in rounds, and guards what others have written at the destination: an
    /// object there that no round has written, and that differs from the source's or that the
    /// source does not have, is never replaced and never deleted. It fails with the kind
    /// `conflict`, and [`Round::conflicts`] has its key. After a round was killed or cancelled, this
    /// does not hold for the objects that it was just writing, and on a store without conditional
    /// writes another writer may come between the check of an object and its write. An object that
    /// another writer has deleted is written again.
    ///
    /// # Errors
    /// As [`follow`](Self::follow).
    pub fn follow_guarded(self) -> Result<Follower> {
        self.following(Following::Guarded)
    }

    /// Follows in the direction opposite to a transfer that is complete: its destination is the
    /// source now, and its source is brought up to date. `manifest` is the manifest of that
    /// transfer; its proofs hold in both directions, so an object that has not changed since costs
    /// no request.
    ///
    /// The destination held the original data, so it is guarded as by
    /// [`follow_guarded`](Self::follow_guarded): only what that transfer has read or a round has
    /// written is replaced or deleted.
    ///
    /// # Errors
    /// As [`follow`](Self::follow). A manifest that cannot be read is an error of the first round.
    pub fn follow_back(self, manifest: impl Into<PathBuf>) -> Result<Follower> {
        self.following(Following::Back(manifest.into()))
    }

    fn following(mut self, following: Following) -> Result<Follower> {
        let refused = |why: &str| Err(Error::invalid_input(format!("a source cannot be followed {why}")));
        let options = &mut self.options;
        if options.journal.is_none() {
            return refused("without a journal, which keeps the proofs");
        }
        if options.keys.is_some() || options.plan.is_some() || options.settings.versions {
            return refused("by a list of keys, a saved plan or its versions");
        }
        if options.begin_anew {
            return refused("with begin_anew, which would discard the proofs before each round");
        }
        match options.settings.compare {
            Compare::Auto | Compare::Checksum => options.settings.compare = Compare::Checksum,
            Compare::Content => {}
            other => return refused(&format!("by comparing {other:?}: use checksum or content")),
        }
        match options.settings.existing {
            ExistingPolicy::Overwrite | ExistingPolicy::IfDifferent => {
                options.settings.existing = ExistingPolicy::IfDifferent;
            }
            other => return refused(&format!("with {other:?} for existing objects: use IfDifferent")),
        }
        options.following = following;
        Ok(Follower { transfer: self, before: None })
    }
}

impl Follower {
    /// Runs one round.
    ///
    /// If the future is dropped, the round is cancelled; its requests in flight end in the
    /// background, and the next round waits for them.
    ///
    /// # Errors
    /// As [`Transfer::run`]. Objects that failed are in the round's report.
    pub async fn round(&mut self) -> Result<Round> {
        self.end_before().await;
        let mut transfer = Transfer { options: self.transfer.options.clone(), env: self.transfer.env.clone() };
        let caller = Arc::new(());
        transfer.options.caller = Some(Arc::downgrade(&caller));
        let env = self.transfer.env.clone();
        let (began, start) = (env.now(), env.uptime());
        // If this future is dropped, `_alive` is, and the round is cancelled.
        let (_alive, dropped) = oneshot::channel();
        let (send, receive) = oneshot::channel();
        let round = env.spawn_task(async move {
            // The receiver may be gone.
            let _ = send.send(until(transfer, dropped).await);
        });
        // The join fails only if the round has panicked, which its own caller gets as an error.
        self.before = Some(Box::pin(round.join().map(drop)));
        let ended = || Error::new(ErrorKind::Unexpected, "the round has ended without a report");
        let report = receive.await.map_err(|_| ended())??;
        drop(caller);
        Ok(Round {
            began,
            took: env.uptime().saturating_sub(start),
            copied: report.objects.saturating_sub(report.resumed_objects),
            bytes: report.bytes.saturating_sub(report.resumed_bytes),
            deleted: report.deleted,
            report,
        })
    }

    /// Runs rounds, with a pause between them, until the stream is dropped. A round that fails
    /// does not end it: the next one begins after the pause.
    pub fn rounds(self, pause: Duration) -> impl Stream<Item = Result<Round>> {
        stream::unfold((self, false), move |(mut follower, again)| async move {
            if again {
                follower.transfer.env.sleep(pause).await;
            }
            let round = follower.round().await;
            Some((round, (follower, true)))
        })
    }

    /// Waits for the end of a round whose future was dropped.
    async fn end_before(&mut self) {
        if let Some(before) = &mut self.before {
            before.await;
            self.before = None;
        }
    }
}

/// Runs a transfer to its end, or cancels it when the sender is dropped.
async fn until(transfer: Transfer, dropped: oneshot::Receiver<()>) -> Result<Report> {
    let handle = start(&transfer).await?;
    let control = handle.control();
    let run = handle.wait();
    tokio::pin!(run);
    tokio::select! {
        report = &mut run => report,
        _ = dropped => {
            control.cancel();
            run.await
        }
    }
}

/// Starts a round. The journal of the round before is released a
/// moment after its end, when the last write to it has returned.
async fn start(transfer: &Transfer) -> Result<RunHandle<Report>> {
    let begun = transfer.env.uptime();
    loop {
        let round = Transfer { options: transfer.options.clone(), env: transfer.env.clone() };
        match round.start().await {
            Err(error)
                if error.kind() == ErrorKind::Locked && transfer.env.uptime().saturating_sub(begun) < RELEASE =>
            {
                transfer.env.sleep(Duration::from_millis(5)).await;
            }
            started => return started,
        }
    }
}
