//! Objects as a data set, over the engine's follower.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use lepton_core::data_set::{CopySummary, DataSet, DataVerdict, Lag, LagStream, Quiesced, Side, Verdict};
use lepton_core::{EnvExt as _, Error, ErrorKind, Location, Result, SharedEnv, SystemEnv};
use lepton_data::{Follower, Round, Status, Transfer, TransferSettings};

use super::expected::{Tags, unexpected};
use super::quiesce::Quiesce;

/// The objects below a folder of a store at each side.
#[derive(Debug, Clone)]
pub struct ObjectSet(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    places: [Location; 2],
    folder: PathBuf,
    quiesce: Arc<dyn Quiesce>,
    settings: TransferSettings,
    pause: Duration,
    may_be_empty: bool,
    env: SharedEnv,
    /// One round runs at a time, in whatever direction.
    directions: tokio::sync::Mutex<[Option<Follower>; 2]>,
    lag: Mutex<(Lag, Option<Duration>)>,
}

/// Describes an [`ObjectSet`].
#[derive(Debug, Clone)]
#[must_use]
pub struct ObjectSetBuilder {
    name: String,
    a: Location,
    b: Location,
    folder: PathBuf,
    quiesce: Arc<dyn Quiesce>,
    settings: TransferSettings,
    pause: Duration,
    may_be_empty: bool,
    env: Option<SharedEnv>,
}

impl ObjectSetBuilder {
    /// Settings of the transfers, such as bandwidth and filters. Deletes are always followed,
    /// under `max_delete` and `max_delete_percent`.
    pub fn settings(mut self, settings: TransferSettings) -> Self {
        self.settings = settings;
        self
    }

    /// The pause between two rounds. Default: one second.
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// A data set without objects is as it should be. By default its verdict is that there were
    /// no data, which never passes.
    pub fn may_be_empty(mut self) -> Self {
        self.may_be_empty = true;
        self
    }

    /// Injects the environment. Default: the system's.
    pub fn env(mut self, env: SharedEnv) -> Self {
        self.env = Some(env);
        self
    }

    /// The data set.
    pub fn build(mut self) -> ObjectSet {
        self.settings.delete = true;
        ObjectSet(Arc::new(Inner {
            name: self.name,
            places: [self.a, self.b],
            folder: self.folder,
            quiesce: self.quiesce,
            settings: self.settings,
            pause: self.pause,
            may_be_empty: self.may_be_empty,
            env: self.env.unwrap_or_else(SystemEnv::shared),
            directions: tokio::sync::Mutex::new([None, None]),
            lag: Mutex::default(),
        }))
    }
}

impl ObjectSet {
    /// Describes the objects at `a` and `b`, opened with Lepton's own credentials. `folder` is on
    /// a local disk and keeps the journals and manifests of both directions.
    pub fn builder(
        name: impl Into<String>,
        a: impl Into<Location>,
        b: impl Into<Location>,
        folder: impl Into<PathBuf>,
        quiesce: impl Quiesce + 'static,
    ) -> ObjectSetBuilder {
        ObjectSetBuilder {
            name: name.into(),
            a: a.into(),
            b: b.into(),
            folder: folder.into(),
            quiesce: Arc::new(quiesce),
            settings: TransferSettings::default(),
            pause: Duration::from_secs(1),
            may_be_empty: false,
            env: None,
        }
    }
}

impl Inner {
    fn place(&self, side: Side) -> &Location {
        &self.places[side as usize]
    }

    fn journal(&self, from: Side) -> PathBuf {
        self.folder.join(if from == Side::A { "a-to-b" } else { "b-to-a" })
    }

    fn manifest(&self, from: Side) -> PathBuf {
        self.journal(from).join("manifest.jsonl")
    }

    fn follower(&self, from: Side) -> Result<Follower> {
        let transfer = Transfer::builder()
            .settings(self.settings.clone())
            .from(self.place(from).clone())
            .to(self.place(from.other()).clone())
            .journal(self.journal(from))
            .env(Arc::clone(&self.env));
        transfer.build()?.follow()
    }

    /// One round. Rounds of one data set do not run at the same time. A round into side A, which
    /// was the owner, runs to its end even if the future is dropped, so that it is known what of
    /// side A is ours.
    async fn round(self: &Arc<Self>, from: Side) -> Result<Round> {
        match from {
            Side::A => self.one_round(from).await,
            Side::B => {
                let ours = Arc::clone(self);
                self.env.spawn_task(async move { ours.one_round(from).await }).join().await?
            }
        }
    }

    async fn one_round(&self, from: Side) -> Result<Round> {
        let mut directions = self.directions.lock().await;
        let follower = match &mut directions[from as usize] {
            Some(follower) => follower,
            none => none.insert(self.follower(from)?),
        };
        if from == Side::B {
            // Side A was the owner: what it has beyond the last round is somebody's data.
            self.refuse_unexpected().await?;
        }
        let began = self.env.uptime();
        let round = follower.round().await?;
        let mut lag = self.lag.lock().unwrap_or_else(PoisonError::into_inner);
        lag.0.items = round.copied + round.deleted + round.report.failed();
        lag.0.bytes = round.bytes;
        if keeps_up(&round) {
            lag.0.rounds += 1;
            lag.1 = Some(began);
        }
        Ok(round)
    }

    /// Fails if side A is not as the last round into it, or before the first one the fence, left
    /// it.
    async fn refuse_unexpected(&self) -> Result<()> {
        let journals = [(self.journal(Side::A), Tags::Source), (self.journal(Side::B), Tags::Destination)];
        let items = unexpected(&self.env, journals, self.place(Side::A), self.place(Side::B)).await?;
        if items.is_empty() {
            return Ok(());
        }
        let message = format!("side A was changed after the fence: {}", items.join(", "));
        Err(Error::new(ErrorKind::Conflict, message).with_context("data set", &self.name))
    }

    fn lag(&self) -> Lag {
        let lag = self.lag.lock().unwrap_or_else(PoisonError::into_inner);
        let mut told = lag.0;
        told.age = lag.1.map_or(Duration::MAX, |began| self.env.uptime().saturating_sub(began));
        told
    }

    fn incomplete(&self, round: &Round) -> Error {
        let first = round.report.failures.first().map_or_else(String::new, |f| format!(": {}: {}", f.key, f.error));
        let message =
            format!("a round ended {:?}, {} objects failed{first}", round.report.status, round.report.failed());
        Error::new(ErrorKind::Unavailable, message)
            .with_retry(lepton_core::Retry::Now)
            .with_context("data set", &self.name)
    }
}

/// Whether a round has brought everything but what was changed while it ran: the next round
/// brings that, and only the last delta must find nothing of the kind.
fn keeps_up(round: &Round) -> bool {
    let changed = [ErrorKind::SourceChanged, ErrorKind::NotFound].map(ErrorKind::code);
    let only_changes = round.report.failures_by_kind.keys().all(|kind| changed.contains(&kind.as_str()));
    round.is_complete() || (round.report.status == Status::Incomplete && only_changes)
}

#[async_trait]
impl DataSet for ObjectSet {
    fn name(&self) -> &str {
        &self.0.name
    }

    async fn copy(&self, from: Side) -> Result<CopySummary> {
        let round = self.0.round(from).await?;
        if !keeps_up(&round) {
            return Err(self.0.incomplete(&round));
        }
        Ok(CopySummary::new(round.objects(), round.report.bytes))
    }

    fn follow(&self, from: Side) -> LagStream {
        let rounds = stream::unfold((Arc::clone(&self.0), false), move |(inner, again)| async move {
            if again {
                inner.env.sleep(inner.pause).await;
            }
            let lag = inner.round(from).await.map(|_| inner.lag());
            Some((lag, (inner, true)))
        });
        rounds.boxed()
    }

    async fn lag(&self, _: Side) -> Result<Lag> {
        Ok(self.0.lag())
    }

    async fn quiesce(&self, side: Side, deny: bool, epoch: u64) -> Result<Quiesced> {
        self.0.quiesce.quiesce(side, deny, epoch).await
    }

    async fn delta(&self, from: Side, epoch: u64) -> Result<DataVerdict> {
        let inner = &self.0;
        let last = inner.round(from).await?;
        if !last.is_complete() {
            return Err(inner.incomplete(&last));
        }
        // Both sides are listed wholly once more: each pair must be the one that is proven.
        let check = inner.round(from).await?;
        let outcome = match () {
            () if !check.found_no_difference() => Verdict::Fail,
            () if check.objects() == 0 && !inner.may_be_empty => Verdict::NoData,
            () => Verdict::Pass,
        };
        let mut verdict = DataVerdict::new(&inner.name, epoch, from, outcome);
        (verdict.items, verdict.bytes) = (check.objects(), check.report.bytes);
        verdict.differences.extend(check.report.failures.iter().map(|failure| failure.key.to_string()));
        if check.copied + check.deleted > 0 {
            let (copied, deleted) = (check.copied, check.deleted);
            verdict.differences.push(format!("{copied} objects were changed and {deleted} were new during the check"));
        }
        verdict.evidence = inner.manifest(from).display().to_string();
        Ok(verdict)
    }

    async fn reverse(&self, from: Side, _: u64) -> Result<()> {
        let round = self.0.round(from).await?;
        if keeps_up(&round) { Ok(()) } else { Err(self.0.incomplete(&round)) }
    }
}
