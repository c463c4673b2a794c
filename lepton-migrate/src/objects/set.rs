//! Objects as a data set, over the engine's follower.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use lepton_core::data_set::{CopySummary, DataSet, DataVerdict, Lag, LagStream, Quiesced, Side, Verdict};
use lepton_core::{Error, ErrorKind, Location, Result, Retry, SharedEnv, SystemEnv};
use lepton_data::{Failure, Follower, Round, Transfer, TransferSettings};

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
    replaces: bool,
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
    replaces: bool,
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

    /// The data set may have no objects. By default its verdict is then that there were
    /// no data, which never passes.
    pub fn may_be_empty(mut self) -> Self {
        self.may_be_empty = true;
        self
    }

    /// Lets the first copy replace and delete objects that side B already has, such as those of an
    /// earlier migration. By default an object at side B that no round has written, and that
    /// differs from side A's, is kept, and the migration stops with its key.
    pub fn replace_existing(mut self) -> Self {
        self.replaces = true;
        self
    }

    /// Injects the environment. Default: the system's.
    pub fn env(mut self, env: SharedEnv) -> Self {
        self.env = Some(env);
        self
    }

    /// Checks the settings and both sides; nothing is sent.
    ///
    /// # Errors
    /// `invalid_input`, naming the setting, for one that gives the two sides different names or
    /// objects, and for what [`Transfer::follow`] refuses.
    pub fn build(mut self) -> Result<ObjectSet> {
        self.settings.delete = true;
        let settings = &self.settings;
        let different = [
            ("map", !settings.map.is_empty()),
            ("encode_keys", settings.encode_keys),
            ("decode_keys", settings.decode_keys),
            ("backup_prefix", settings.backup_prefix.is_some()),
        ];
        if let Some((setting, _)) = different.iter().find(|(_, set)| *set) {
            let message = format!("the data set {} cannot have the setting {setting}: {REVERSIBLE}", self.name);
            return Err(Error::invalid_input(message));
        }
        let inner = Inner {
            name: self.name,
            places: [self.a, self.b],
            folder: self.folder,
            quiesce: self.quiesce,
            settings: self.settings,
            pause: self.pause,
            may_be_empty: self.may_be_empty,
            replaces: self.replaces,
            env: self.env.unwrap_or_else(SystemEnv::shared),
            directions: tokio::sync::Mutex::new([None, None]),
            lag: Mutex::default(),
        };
        for from in [Side::A, Side::B] {
            inner.follower(from)?;
        }
        Ok(ObjectSet(Arc::new(inner)))
    }
}

/// Why some settings of a transfer are refused.
const REVERSIBLE: &str = "both sides must hold the same objects, so that either can follow the other";

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
            replaces: false,
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

    fn transfer(&self, from: Side) -> Result<Transfer> {
        let transfer = Transfer::builder()
            .settings(self.settings.clone())
            .from(self.place(from).clone())
            .to(self.place(from.other()).clone())
            .journal(self.journal(from))
            .env(Arc::clone(&self.env));
        transfer.build()
    }

    /// The follower of a side. It replaces and deletes only what rounds have written or read.
    fn follower(&self, from: Side) -> Result<Follower> {
        match from {
            Side::A => self.transfer(from)?.follow_guarded(),
            Side::B => self.transfer(from)?.follow_back(self.manifest(Side::A)),
        }
    }

    /// One round; rounds of one data set do not run at the same time.
    ///
    /// # Errors
    /// `conflict` with the keys of objects of the following side that no round has written.
    async fn round(&self, from: Side) -> Result<Round> {
        let mut directions = self.directions.lock().await;
        let follower = match &mut directions[from as usize] {
            Some(follower) => follower,
            none => none.insert(self.follower(from)?),
        };
        self.finish(from, follower).await
    }

    /// The first round, which may replace what side B has.
    async fn replacing_round(&self) -> Result<Round> {
        let mut directions = self.directions.lock().await;
        // The journal is free again before the guarded follower opens it.
        directions[Side::A as usize] = None;
        let mut follower = self.transfer(Side::A)?.follow()?;
        self.finish(Side::A, &mut follower).await
    }

    async fn finish(&self, from: Side, follower: &mut Follower) -> Result<Round> {
        let began = self.env.uptime();
        let round = follower.round().await?;
        let mut lag = self.lag.lock().unwrap_or_else(PoisonError::into_inner);
        lag.0.items = round.copied + round.deleted + round.report.failed();
        lag.0.bytes = round.bytes;
        if round.keeps_up() {
            lag.0.rounds += 1;
            lag.1 = Some(began);
        }
        drop(lag);
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
    fn checked(&self, round: Result<Round>) -> Result<Round> {
        let round = round?;
        if round.keeps_up() { Ok(round) } else { Err(self.incomplete(&round)) }
    }

    fn lag(&self) -> Lag {
        let lag = self.lag.lock().unwrap_or_else(PoisonError::into_inner);
        let mut current = lag.0;
        current.age = lag.1.map_or(Duration::MAX, |began| self.env.uptime().saturating_sub(began));
        current
    }

    fn incomplete(&self, round: &Round) -> Error {
        let lasts = |failure: &&Failure| LASTING.iter().any(|kind| kind.code() == failure.kind);
        let failures = &round.report.failures;
        let first = failures.iter().find(lasts).or(failures.first());
        let (failed, status) = (round.report.failed(), round.report.status);
        let first = first.map_or_else(String::new, |failure| format!(", such as {}: {}", failure.key, failure.error));
        let message = format!("a round ended {status:?}, and {failed} objects could not be copied{first}");
        let retry = if failures.iter().any(|failure| lasts(&failure)) { Retry::Never } else { Retry::Now };
        Error::new(ErrorKind::Unavailable, message).with_retry(retry).with_context("data set", &self.name)
    }
}

/// Failures of an object that another round meets again, until somebody has changed something.
const LASTING: [ErrorKind; 8] = [
    ErrorKind::InvalidKey,
    ErrorKind::TooLarge,
    ErrorKind::Unsupported,
    ErrorKind::Archived,
    ErrorKind::PermissionDenied,
    ErrorKind::Unauthenticated,
    ErrorKind::InvalidInput,
    ErrorKind::ReadOnly,
];

#[async_trait]
impl DataSet for ObjectSet {
    fn name(&self) -> &str {
        &self.0.name
    }

    async fn copy(&self, from: Side) -> Result<CopySummary> {
        let inner = &self.0;
        let replaces = inner.replaces && from == Side::A;
        let round = if replaces { inner.replacing_round().await } else { inner.round(from).await };
        let round = inner.checked(round)?;
        Ok(CopySummary::new(round.objects(), round.report.bytes))
    }

    fn follow(&self, from: Side) -> LagStream {
        let rounds = stream::unfold((Arc::clone(&self.0), false), move |(inner, again)| async move {
            if again {
                inner.env.sleep(inner.pause).await;
            }
            let lag = inner.checked(inner.round(from).await).map(|_| inner.lag());
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
        self.0.checked(self.0.round(from).await).map(drop)
    }
}
