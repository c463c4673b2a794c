//! The rounds of a data set of objects, in both directions.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lepton_core::data_set::{Lag, Side};
use lepton_core::journal::Journal;
use lepton_core::{Error, ErrorKind, Location, Result, RetryClass, RuntimeExt as _, SharedRuntime};
use lepton_data::{Failure, Follower, Round, Transfer, TransferConfig};

/// The rounds of both directions, with a journal for each.
///
/// A direction begins with the proofs of the other one, if that has run: a journal is discarded
/// when a round of the other direction is complete, because its proofs are older. The manifests
/// stay.
#[derive(Debug)]
pub(super) struct Rounds {
    name: String,
    places: [Location; 2],
    folder: PathBuf,
    settings: TransferConfig,
    env: SharedRuntime,
    /// One round runs at a time, in either direction.
    directions: tokio::sync::Mutex<Directions>,
    lags: Mutex<[(Lag, Option<Duration>); 2]>,
}

#[derive(Debug, Default)]
struct Directions {
    followers: [Option<Follower>; 2],
    /// The direction whose rounds are the last ones; the other one has no journal.
    current: Option<Side>,
}

impl Rounds {
    /// Checks both directions; nothing is sent.
    pub(super) fn new(
        name: String,
        places: [Location; 2],
        folder: PathBuf,
        settings: TransferConfig,
        env: SharedRuntime,
    ) -> Result<Self> {
        let (directions, lags) = Default::default();
        let rounds = Self { name, places, folder, settings, env, directions, lags };
        for from in [Side::A, Side::B] {
            let _ = rounds.follower(from)?;
        }
        Ok(rounds)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) async fn sleep(&self, pause: Duration) {
        self.env.sleep(pause).await;
    }

    fn place(&self, side: Side) -> &Location {
        &self.places[side as usize]
    }

    fn journal(&self, from: Side) -> PathBuf {
        self.folder.join(if from == Side::A { "a-to-b" } else { "b-to-a" })
    }

    pub(super) fn manifest(&self, from: Side) -> PathBuf {
        self.journal(from).join("manifest.jsonl")
    }

    fn transfer(&self, from: Side) -> Result<Transfer> {
        let transfer = Transfer::builder()
            .config(self.settings.clone())
            .from(self.place(from).clone())
            .to(self.place(from.other()).clone())
            .journal(self.journal(from))
            .runtime(Arc::clone(&self.env));
        transfer.build()
    }

    /// The follower of a side. It replaces and deletes only what rounds have written or read.
    fn follower(&self, from: Side) -> Result<Follower> {
        let (transfer, reversed) = (self.transfer(from)?, self.manifest(from.other()));
        // Side A is followed first; there is a manifest of side B after a switch.
        if from == Side::A && !reversed.exists() { transfer.follow_guarded() } else { transfer.follow_back(reversed) }
    }

    /// One round; rounds of one data set do not run at the same time.
    ///
    /// # Errors
    /// `conflict` with the keys of objects of the following side that no round has written.
    pub(super) async fn round(&self, from: Side) -> Result<Round> {
        let mut directions = self.directions.lock().await;
        directions.current = directions.current.filter(|current| *current == from);
        let follower = match &mut directions.followers[from as usize] {
            Some(follower) => follower,
            none => none.insert(self.follower(from)?),
        };
        let round = self.finish(from, follower).await?;
        if directions.current.is_none() && round.is_complete() {
            directions.followers[from.other() as usize] = None;
            self.discard(from.other()).await?;
            directions.current = Some(from);
        }
        Ok(round)
    }

    /// The first round, which may replace what side B has.
    pub(super) async fn replacing_round(&self) -> Result<Round> {
        let mut directions = self.directions.lock().await;
        // The journal is free again before the guarded follower opens it.
        directions.followers[Side::A as usize] = None;
        let mut follower = self.transfer(Side::A)?.follow()?;
        self.finish(Side::A, &mut follower).await
    }

    /// Discards the journal of a direction, which begins with the proofs of the other one then.
    async fn discard(&self, from: Side) -> Result<()> {
        let folder = self.journal(from);
        let discarding = move || {
            if !folder.exists() {
                return Ok(());
            }
            match std::fs::remove_file(folder.join("proofs.jsonl")) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(Error::io("cannot remove the proofs of a direction", error))
                }
                _ => Journal::discard(&folder),
            }
        };
        self.env.run_blocking(discarding).join().await?.map_err(released_soon)
    }

    async fn finish(&self, from: Side, follower: &mut Follower) -> Result<Round> {
        let began = self.env.uptime();
        let round = follower.round().await.map_err(released_soon)?;
        self.record(from, &round, began);
        let conflicts: Vec<_> = round.conflicts().map(ToString::to_string).collect();
        if conflicts.is_empty() {
            return Ok(round);
        }
        let keys = conflicts.join(", ");
        let message = match from {
            Side::A => format!("side B has objects that this migration did not write; they are kept: {keys}"),
            Side::B => format!("side A was changed after the fence; its objects are kept: {keys}"),
        };
        Err(Error::new(ErrorKind::Conflict, message).with_context("data set", &self.name))
    }

    /// Fails unless the follower misses only what changed during the round. The error names an
    /// object that could not be copied; it is not retryable if another round fails in the same way.
    pub(super) fn checked(&self, round: Result<Round>) -> Result<Round> {
        let round = round?;
        if round.keeps_up() { Ok(round) } else { Err(self.incomplete(&round)) }
    }

    fn record(&self, from: Side, round: &Round, began: Duration) {
        let (lag, followed) = &mut self.lags()[from as usize];
        (lag.items, lag.bytes) = (round.copied + round.deleted + round.report.failed(), round.bytes);
        if round.keeps_up() {
            lag.rounds += 1;
            *followed = Some(began);
        }
    }

    pub(super) fn lag(&self, from: Side) -> Lag {
        let (mut lag, followed) = self.lags()[from as usize];
        lag.age = followed.map_or(Duration::MAX, |began| self.env.uptime().saturating_sub(began));
        lag
    }

    fn lags(&self) -> MutexGuard<'_, [(Lag, Option<Duration>); 2]> {
        self.lags.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn incomplete(&self, round: &Round) -> Error {
        let lasts = |failure: &&Failure| LASTING.iter().any(|kind| kind.code() == failure.kind);
        let failures = &round.report.failures;
        let first = failures.iter().find(lasts).or(failures.first());
        let (failed, status) = (round.report.failed(), round.report.status);
        let first = first.map_or_else(String::new, |failure| format!(", such as {}: {}", failure.key, failure.error));
        let message = format!("a round ended {status:?}, and {failed} objects could not be copied{first}");
        let retry = if failures.iter().any(|failure| lasts(&failure)) { RetryClass::Never } else { RetryClass::Now };
        Error::new(ErrorKind::Unavailable, message).with_retry(retry).with_context("data set", &self.name)
    }
}

/// A round of this data set that was dropped ends in the background, and its journal is free again
/// after that. Nobody else has these journals: the lock of the migration's journal keeps other
/// drivers away.
fn released_soon(error: Error) -> Error {
    if error.kind() == ErrorKind::Locked { error.with_retry(RetryClass::Now) } else { error }
}

/// Failures of an object that another round meets again, until somebody has changed something.
const LASTING: [ErrorKind; 9] = [
    ErrorKind::InvalidKey,
    ErrorKind::TooLarge,
    ErrorKind::Unsupported,
    ErrorKind::Archived,
    ErrorKind::PermissionDenied,
    ErrorKind::Unauthenticated,
    ErrorKind::InvalidInput,
    ErrorKind::ReadOnly,
    ErrorKind::OutOfSpace,
];
