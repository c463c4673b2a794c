//! What takes part in a migration.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lepton_core::data_set::DataSet;
use lepton_core::deployment::WaitOptions;
use lepton_core::migration::{Event, Machine, Policy, State};
use lepton_core::traffic::{HoldLimits, InFlightPolicy, Traffic};
use lepton_core::{Error, Result, SharedEnv, SystemEnv};

use super::journal::Record;
use super::workload::{AcceptanceTest, Workload};

/// A migration and its driver.
#[derive(Debug)]
pub struct Migration {
    pub(super) parts: Arc<Parts>,
    pub(super) machine: Machine,
    pub(super) record: Record,
}

/// What takes part; shared by everything that is in progress.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) name: String,
    pub(super) data_sets: Vec<Arc<dyn DataSet>>,
    pub(super) workloads: Vec<Workload>,
    pub(super) tests: Vec<Arc<dyn AcceptanceTest>>,
    pub(super) traffic: Arc<dyn Traffic>,
    pub(super) limits: HoldLimits,
    pub(super) in_flight: InFlightPolicy,
    pub(super) lag: Duration,
    pub(super) wait: WaitOptions,
    pub(super) env: SharedEnv,
}

/// Describes a [`Migration`].
#[derive(Debug)]
#[must_use]
pub struct MigrationBuilder {
    name: String,
    folder: PathBuf,
    traffic: Arc<dyn Traffic>,
    data_sets: Vec<Arc<dyn DataSet>>,
    workloads: Vec<Workload>,
    tests: Vec<Arc<dyn AcceptanceTest>>,
    limits: HoldLimits,
    in_flight: InFlightPolicy,
    lag: Duration,
    wait: WaitOptions,
    policy: Policy,
    env: Option<SharedEnv>,
}

impl MigrationBuilder {
    /// Adds a data set.
    pub fn data_set(mut self, data_set: impl DataSet + 'static) -> Self {
        self.data_sets.push(Arc::new(data_set));
        self
    }

    /// Adds a workload of side B.
    pub fn workload(mut self, workload: Workload) -> Self {
        self.workloads.push(workload);
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

    /// What happens to writes in flight at the fence. Default: they are waited for.
    pub fn in_flight(mut self, policy: InFlightPolicy) -> Self {
        self.in_flight = policy;
        self
    }

    /// The largest age of a data set's last round before the workloads of side B are made.
    pub fn lag(mut self, lag: Duration) -> Self {
        self.lag = lag;
        self
    }

    /// How long the workloads may take to become ready.
    pub fn wait(mut self, wait: WaitOptions) -> Self {
        self.wait = wait;
        self
    }

    /// What the migration does by itself.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Injects the environment. Default: the system's.
    pub fn env(mut self, env: SharedEnv) -> Self {
        self.env = Some(env);
        self
    }

    /// Opens the journal and replays it.
    ///
    /// # Errors
    /// `invalid_input` without data sets, or with two of one name; `locked` while another driver
    /// runs; `plan_mismatch` if the folder belongs to another migration; `corrupt` if the journal
    /// is damaged.
    pub async fn open(self) -> Result<Migration> {
        let names = self.data_sets.iter().map(|set| set.name().to_owned()).collect();
        let mut machine = Machine::new(names, self.policy)?;
        let env = self.env.unwrap_or_else(SystemEnv::shared);
        let (record, events) = Record::open(&env, &self.folder, &self.name).await?;
        for event in events {
            machine.apply(event)?;
        }
        let parts = Arc::new(Parts {
            name: self.name,
            data_sets: self.data_sets,
            workloads: self.workloads,
            tests: self.tests,
            traffic: self.traffic,
            limits: self.limits,
            in_flight: self.in_flight,
            lag: self.lag,
            wait: self.wait,
            env,
        });
        Ok(Migration { parts, machine, record })
    }
}

impl Migration {
    /// Describes a migration. `folder` is on a local disk and keeps the journal; `name` is the
    /// owner of what is made.
    pub fn builder(name: impl Into<String>, folder: impl Into<PathBuf>, traffic: Arc<dyn Traffic>) -> MigrationBuilder {
        MigrationBuilder {
            name: name.into(),
            folder: folder.into(),
            traffic,
            data_sets: Vec::new(),
            workloads: Vec::new(),
            tests: Vec::new(),
            limits: HoldLimits::default(),
            in_flight: InFlightPolicy::Wait,
            lag: Duration::from_secs(30),
            wait: WaitOptions::default(),
            policy: Policy::default(),
            env: None,
        }
    }

    /// The state.
    pub fn state(&self) -> &State {
        self.machine.state()
    }

    /// The machine: owner, epoch, verdicts.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Records what the user asks for: a plan, its approval, the cut-over, a pause, a rollback, a
    /// decision, the point of no return.
    ///
    /// # Errors
    /// `precondition_failed` if it is not possible in this state; nothing is recorded then.
    pub async fn command(&mut self, event: Event) -> Result<()> {
        let mut next = self.machine.clone();
        next.apply(event.clone())?;
        self.record.event(&event).await?;
        self.machine = next;
        Ok(())
    }
}

impl Parts {
    pub(super) fn data_set(&self, name: &str) -> Result<&Arc<dyn DataSet>> {
        let found = self.data_sets.iter().find(|set| set.name() == name);
        found.ok_or_else(|| Error::invalid_input(format!("there is no data set {name}")))
    }
}
