//! What takes part in a migration, and how its effects are kept in order.

use std::sync::Arc;
use std::time::Duration;

use lepton_core::data_set::DataSet;
use lepton_core::deployment::{Deployment, WaitOptions};
use lepton_core::step::Step;
use lepton_core::traffic::{HoldLimits, InFlightPolicy, Traffic};
use lepton_core::{Error, Result, RuntimeExt as _, SharedRuntime};
use tokio::sync::Mutex;

use super::digest_key::DigestKey;
use super::journal::Record;
use super::workload::{AcceptanceTest, Workload};

/// The pause between two looks at something that takes time.
pub(super) const LOOK: Duration = Duration::from_millis(20);

/// What takes part; shared by everything that is in progress.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) name: String,
    pub(super) data_sets: Vec<Guarded<dyn DataSet>>,
    pub(super) steps: Vec<PlacedStep>,
    pub(super) workloads: Vec<Workload>,
    /// The workloads of side A that the plan owns.
    pub(super) old: Vec<(Arc<dyn Deployment>, String)>,
    pub(super) tests: Vec<Arc<dyn AcceptanceTest>>,
    pub(super) traffic: Guarded<dyn Traffic>,
    /// Held by each effect on workloads.
    pub(super) deploying: Arc<Mutex<()>>,
    pub(super) limits: HoldLimits,
    pub(super) in_flight: InFlightPolicy,
    pub(super) lag: Duration,
    pub(super) wait: WaitOptions,
    pub(super) record: Record,
    /// The key under which the values of secrets are digested.
    pub(super) digest_key: DigestKey,
    pub(super) env: SharedRuntime,
}

/// A step, with when it is made.
#[derive(Debug, Clone)]
pub(super) struct PlacedStep {
    pub(super) step: Arc<dyn Step>,
    /// Only when side B owns the writes, as a change of DNS must.
    pub(super) after_switch: bool,
}

/// A provider with the lock that each effect on it holds.
#[derive(Debug)]
pub(super) struct Guarded<T: ?Sized> {
    pub(super) provider: Arc<T>,
    pub(super) lock: Arc<Mutex<()>>,
}

impl<T: ?Sized> Guarded<T> {
    pub(super) fn new(provider: Arc<T>) -> Self {
        Self { provider, lock: Arc::default() }
    }
}

impl Parts {
    pub(super) fn data_set(&self, name: &str) -> Result<&Guarded<dyn DataSet>> {
        let found = self.data_sets.iter().find(|set| set.provider.name() == name);
        found.ok_or_else(|| Error::invalid_input(format!("there is no data set {name}")))
    }

    pub(super) fn traffic(&self) -> &dyn Traffic {
        &*self.traffic.provider
    }

    /// Makes a change of the outside world. It runs to its end even if this future is dropped, and
    /// no other change under the same lock starts before that, so that a change which the state no
    /// longer asks for cannot take effect after a later one. Until it has ended the journal stays
    /// locked, and no other driver starts.
    pub(super) async fn effect<T: Send + 'static>(
        &self,
        lock: &Arc<Mutex<()>>,
        change: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let held = (Arc::clone(lock).lock_owned().await, self.record.clone());
        let task = self.env.spawn_task(async move {
            let outcome = change.await;
            drop(held);
            outcome
        });
        task.join().await?
    }
}
