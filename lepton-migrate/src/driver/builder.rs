//! Describes a migration.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lepton_core::data_set::DataSet;
use lepton_core::deployment::{Deployment, WaitOptions};
use lepton_core::migration::{Machine, Policy};
use lepton_core::step::Step;
use lepton_core::traffic::{HoldLimits, InFlightPolicy, Traffic};
use lepton_core::{Error, Result, SharedRuntime, SystemRuntime};
use tokio::sync::mpsc;

use super::digest_key::digest_key;
use super::journal::{Record, replay};
use super::migration::Migration;
use super::parts::{Guarded, Parts, PlacedStep};
use super::workload::{AcceptanceTest, Workload};

/// Describes a [`Migration`].
#[derive(Debug)]
#[must_use]
pub struct MigrationBuilder {
    name: String,
    folder: PathBuf,
    traffic: Arc<dyn Traffic>,
    data_sets: Vec<Arc<dyn DataSet>>,
    steps: Vec<PlacedStep>,
    workloads: Vec<Workload>,
    old: Vec<(Arc<dyn Deployment>, String)>,
    tests: Vec<Arc<dyn AcceptanceTest>>,
    limits: HoldLimits,
    in_flight: InFlightPolicy,
    lag: Duration,
    wait: WaitOptions,
    policy: Policy,
    env: Option<SharedRuntime>,
}

impl Migration {
    /// Describes a migration. `folder` is on a local disk and has the journal; `name` is the owner
    /// of what is created.
    pub fn builder(name: impl Into<String>, folder: impl Into<PathBuf>, traffic: Arc<dyn Traffic>) -> MigrationBuilder {
        MigrationBuilder {
            name: name.into(),
            folder: folder.into(),
            traffic,
            data_sets: Vec::new(),
            steps: Vec::new(),
            workloads: Vec::new(),
            old: Vec::new(),
            tests: Vec::new(),
            limits: HoldLimits::default(),
            in_flight: InFlightPolicy::Wait,
            lag: Duration::from_secs(30),
            wait: WaitOptions::default(),
            policy: Policy::default(),
            env: None,
        }
    }
}

impl MigrationBuilder {
    /// Adds a data set.
    pub fn data_set(mut self, data_set: impl DataSet + 'static) -> Self {
        self.data_sets.push(Arc::new(data_set));
        self
    }

    /// Adds a step that is made before the workloads of side B are created, and taken back by a
    /// rollback. Steps are made in order, each in effect before the next.
    pub fn step(mut self, step: Arc<dyn Step>) -> Self {
        self.steps.push(PlacedStep { step, after_switch: false });
        self
    }

    /// Adds a step that is made only when side B owns the writes, such as a change of DNS.
    pub fn step_after_switch(mut self, step: Arc<dyn Step>) -> Self {
        self.steps.push(PlacedStep { step, after_switch: true });
        self
    }

    /// Adds a workload of side B. Each is ready before the next one is created.
    pub fn workload(mut self, workload: Workload) -> Self {
        self.workloads.push(workload);
        self
    }

    /// Adds a workload of side A that the plan owns: a decommission deletes it.
    pub fn owned_at_a(mut self, deployment: Arc<dyn Deployment>, name: impl Into<String>) -> Self {
        self.old.push((deployment, name.into()));
        self
    }

    /// Adds a test of side B.
    pub fn test(mut self, test: impl AcceptanceTest + 'static) -> Self {
        self.tests.push(Arc::new(test));
        self
    }

    /// The limits of each hold.
    pub fn hold(mut self, limits: HoldLimits) -> Self {
        self.limits = limits;
        self
    }

    /// What happens to writes in flight at the fence. Default: the fence waits for them.
    pub fn in_flight(mut self, policy: InFlightPolicy) -> Self {
        self.in_flight = policy;
        self
    }

    /// The largest age of a data set's last round before the workloads of side B are created.
    pub fn lag(mut self, lag: Duration) -> Self {
        self.lag = lag;
        self
    }

    /// How long the workloads may take to become ready.
    pub fn wait(mut self, wait: WaitOptions) -> Self {
        self.wait = wait;
        self
    }

    /// What the migration does without a command.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Injects the environment. Default: the system's.
    pub fn runtime(mut self, runtime: SharedRuntime) -> Self {
        self.env = Some(runtime);
        self
    }

    /// Opens the journal and replays it.
    ///
    /// # Errors
    /// `invalid_input` without data sets, or with two data sets or steps of one name; `locked` while another driver
    /// runs; `plan_mismatch` if the folder belongs to another migration; `corrupt` if the journal
    /// is damaged.
    pub async fn open(self) -> Result<Migration> {
        let names: Vec<String> = self.data_sets.iter().map(|set| set.name().to_owned()).collect();
        let machine = Machine::new(names.clone(), self.policy)?;
        let steps: BTreeSet<&str> = self.steps.iter().map(|placed| placed.step.name()).collect();
        if steps.len() < self.steps.len() {
            return Err(Error::invalid_input("two steps of the migration have the same name"));
        }
        let env = self.env.unwrap_or_else(SystemRuntime::shared);
        let (record, events) = Record::open(&env, &self.folder, &self.name, &names, self.policy).await?;
        let machine = replay(machine, events)?;
        let digest_key = digest_key(&env, &self.folder).await?;
        let parts = Arc::new(Parts {
            name: self.name,
            data_sets: self.data_sets.into_iter().map(Guarded::new).collect(),
            steps: self.steps,
            workloads: self.workloads,
            old: self.old,
            tests: self.tests,
            traffic: Guarded::new(self.traffic),
            deploying: Arc::default(),
            limits: self.limits,
            in_flight: self.in_flight,
            lag: self.lag,
            wait: self.wait,
            record: record.clone(),
            digest_key,
            env,
        });
        let (sender, commands) = mpsc::unbounded_channel();
        Ok(Migration { parts, machine, record, sender, commands })
    }
}
