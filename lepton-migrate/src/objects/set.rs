//! Objects as a data set, over the engine's follower.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use lepton_core::data_set::{CopySummary, DataSet, DataVerdict, Lag, LagStream, Quiesced, Side, Verdict};
use lepton_core::{Error, Location, Result, SharedRuntime, SystemRuntime};
use lepton_data::TransferConfig;

use super::quiesce::Quiesce;
use super::rounds::Rounds;
use crate::spec::not_followed;

/// The objects below a folder of a store at each side.
#[derive(Debug, Clone)]
pub struct ObjectSet(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    rounds: Rounds,
    quiesce: Arc<dyn Quiesce>,
    pause: Duration,
    may_be_empty: bool,
    replaces: bool,
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
    settings: TransferConfig,
    pause: Duration,
    may_be_empty: bool,
    replaces: bool,
    env: Option<SharedRuntime>,
}

impl ObjectSetBuilder {
    /// Settings of the transfers, such as bandwidth and filters. Deletes are always followed,
    /// under `max_delete` and `max_delete_percent`.
    pub fn config(mut self, config: TransferConfig) -> Self {
        self.settings = config;
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
    pub fn runtime(mut self, runtime: SharedRuntime) -> Self {
        self.env = Some(runtime);
        self
    }

    /// Checks the settings and both sides; nothing is sent.
    ///
    /// # Errors
    /// `invalid_input`, naming the setting, for one with which the two sides would not hold the
    /// same objects under the same names; a specification refuses the same ones. Also for what
    /// [`Transfer::follow`](lepton_data::Transfer::follow) refuses.
    pub fn build(mut self) -> Result<ObjectSet> {
        self.settings.delete = true;
        if let Some(why) = not_followed(&self.settings) {
            return Err(Error::invalid_input(why).with_context("data set", &self.name));
        }
        let env = self.env.unwrap_or_else(SystemRuntime::shared);
        let rounds = Rounds::new(self.name, [self.a, self.b], self.folder, self.settings, env)?;
        let Self { quiesce, pause, may_be_empty, replaces, .. } = self;
        let inner = Inner { rounds, quiesce, pause, may_be_empty, replaces };
        Ok(ObjectSet(Arc::new(inner)))
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
            settings: TransferConfig::default(),
            pause: Duration::from_secs(1),
            may_be_empty: false,
            replaces: false,
            env: None,
        }
    }
}

#[async_trait]
impl DataSet for ObjectSet {
    fn name(&self) -> &str {
        self.0.rounds.name()
    }

    async fn copy(&self, from: Side) -> Result<CopySummary> {
        let inner = &self.0;
        let replaces = inner.replaces && from == Side::A;
        let round = if replaces { inner.rounds.replacing_round().await } else { inner.rounds.round(from).await };
        let round = inner.rounds.checked(round)?;
        Ok(CopySummary::new(round.objects(), round.report.bytes))
    }

    fn follow(&self, from: Side) -> LagStream {
        let rounds = stream::unfold((Arc::clone(&self.0), false), move |(inner, again)| async move {
            if again {
                inner.rounds.sleep(inner.pause).await;
            }
            let rounds = &inner.rounds;
            let lag = rounds.checked(rounds.round(from).await).map(|_| rounds.lag(from));
            Some((lag, (inner, true)))
        });
        rounds.boxed()
    }

    async fn lag(&self, from: Side) -> Result<Lag> {
        Ok(self.0.rounds.lag(from))
    }

    async fn quiesce(&self, side: Side, deny: bool, epoch: u64) -> Result<Quiesced> {
        self.0.quiesce.quiesce(side, deny, epoch).await
    }

    async fn delta(&self, from: Side, epoch: u64) -> Result<DataVerdict> {
        let inner = &self.0;
        let last = inner.rounds.round(from).await?;
        if !last.is_complete() {
            return Err(inner.rounds.incomplete(&last));
        }
        // Both sides are listed wholly once more: each pair must be the one that is proven.
        let check = inner.rounds.round(from).await?;
        let outcome = match () {
            () if !check.found_no_difference() => Verdict::Fail,
            () if check.objects() == 0 && !inner.may_be_empty => Verdict::NoData,
            () => Verdict::Pass,
        };
        let mut verdict = DataVerdict::new(inner.rounds.name(), epoch, from, outcome);
        (verdict.items, verdict.bytes) = (check.objects(), check.report.bytes);
        verdict.differences.extend(check.report.failures.iter().map(|failure| failure.key.to_string()));
        if check.copied + check.deleted > 0 {
            let (copied, deleted) = (check.copied, check.deleted);
            verdict.differences.push(format!("{copied} objects were changed and {deleted} were new during the check"));
        }
        verdict.evidence = inner.rounds.manifest(from).display().to_string();
        Ok(verdict)
    }

    async fn reverse(&self, from: Side, _: u64) -> Result<()> {
        let rounds = &self.0.rounds;
        rounds.checked(rounds.round(from).await).map(drop)
    }
}
