//! From a specification to a migration that can run, with everything opened by a resolver.
//!
//! - `writers`: how the application's writers are made to stop
//! - `acceptance`: the tests of side B
//! - `places`: where workloads run; `steps`: programs as steps

mod acceptance;
mod places;
mod steps;
mod writers;

use std::path::Path;
use std::sync::Arc;

use lepton_core::deployment::{Severity, WaitOptions};
use lepton_core::migration::{Machine, Policy};
use lepton_core::resolver::Resolver;
use lepton_core::{Error, ErrorKind, Result};

use self::acceptance::SpecTest;
use self::places::Places;
use self::steps::ProgramStep;
use self::writers::writers;
use crate::driver::{Migration, MigrationBuilder, Workload, read_events, replay};
use crate::objects::{ObjectSet, Quiesce};
use crate::spec::{CutOver, DataSetSpec, MigrationSpec, Start};

/// The folder of the journal of the migration, in its folder of state.
const JOURNAL: &str = "journal";

impl MigrationSpec {
    /// Opens everything that the specification names, and describes the migration. `folder` is on
    /// a local disk and keeps all state: the journals of the migration and of its data sets.
    ///
    /// The values of secrets are read now and only kept in memory.
    ///
    /// # Errors
    /// `invalid_input` if the specification has a finding that is an error; errors of the resolver.
    pub async fn open(&self, folder: &Path, resolver: &Arc<dyn Resolver>) -> Result<MigrationBuilder> {
        if let Some(finding) = self.check().into_iter().find(|finding| finding.severity == Severity::Error) {
            return Err(Error::invalid_input(finding.to_string()));
        }
        let traffic = resolver.traffic(&self.traffic.url).await?;
        let mut migration = Migration::builder(&self.name, journal(folder), traffic)
            .hold(self.traffic.hold.clone())
            .in_flight(self.traffic.in_flight)
            .policy(self.machine_policy())
            .lag(self.policy.lag)
            .wait(WaitOptions::new().deadline(self.policy.ready_within));
        for set in &self.data_sets {
            migration = migration.data_set(open_set(set, folder, resolver).await?);
        }
        for step in &self.steps {
            let made = Arc::new(ProgramStep::new(step, resolver));
            migration = match step.start {
                Start::BeforeSwitch => migration.step(made),
                Start::AfterSwitch => migration.step_after_switch(made),
            };
        }
        let mut places = Places::default();
        for entry in self.order()? {
            let place = places.open(&entry.deployment, resolver).await?;
            let secrets = resolver.secrets(&entry.spec.secrets).await?;
            let mut workload = Workload::new(place, entry.spec.clone()).secrets(secrets);
            workload.route.clone_from(&entry.route);
            workload.after_switch = entry.start == Start::AfterSwitch;
            migration = migration.workload(workload);
        }
        for owned in &self.decommission {
            let place = places.open(&owned.deployment, resolver).await?;
            migration = migration.owned_at_a(place, &owned.workload);
        }
        for test in &self.tests {
            migration = migration.test(SpecTest::new(test, self, &places, resolver)?);
        }
        Ok(migration)
    }

    /// The state of the migration, read from its folder of state, also while a driver runs. A
    /// migration that has not started is a draft. Blocks.
    ///
    /// # Errors
    /// `corrupt` if the journal is damaged or belongs to another specification.
    pub fn state(&self, folder: &Path) -> Result<Machine> {
        let names = self.data_sets.iter().map(|set| set.name.clone()).collect();
        let machine = Machine::new(names, self.machine_policy())?;
        match read_events(&journal(folder)) {
            Ok(events) => replay(machine, events),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(machine),
            Err(error) => Err(error),
        }
    }

    fn machine_policy(&self) -> Policy {
        Policy::new().fences(self.policy.fences).cuts_over(self.policy.cut_over == CutOver::Auto)
    }
}

/// The folder of the journal of a migration with this folder of state.
pub fn journal(folder: &Path) -> std::path::PathBuf {
    folder.join(JOURNAL)
}

async fn open_set(set: &DataSetSpec, folder: &Path, resolver: &Arc<dyn Resolver>) -> Result<ObjectSet> {
    let named = |error: Error| error.with_context("data set", &set.name);
    let (a, b) = (resolver.storage(&set.a).await.map_err(named)?, resolver.storage(&set.b).await.map_err(named)?);
    let quiesce: Arc<dyn Quiesce> = writers(&set.writers, resolver).await.map_err(named)?;
    let folder = folder.join("data").join(&set.name);
    let mut objects = ObjectSet::builder(&set.name, a, b, folder, quiesce).settings(set.settings.clone());
    objects = objects.pause(set.pause);
    if set.may_be_empty {
        objects = objects.may_be_empty();
    }
    if set.replace_existing {
        objects = objects.replace_existing();
    }
    objects.build().map_err(named)
}
