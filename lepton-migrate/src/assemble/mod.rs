//! From a specification to a migration that can run, with everything opened by a resolver.
//!
//! - `writers`: how the application's writers are made to stop
//! - `acceptance`: the tests of side B
//! - `places`: where workloads run; `steps`: programs as steps
//! - `state`: the state in a folder, and commands where no driver runs

mod acceptance;
mod places;
mod state;
mod steps;
mod writers;

use std::path::Path;
use std::sync::Arc;

use lepton_core::deployment::{Severity, WaitOptions};
use lepton_core::resolver::Resolver;
use lepton_core::{Error, Result, SharedRuntime};

use self::acceptance::SpecTest;
use self::places::Places;
pub use self::state::journal;
use self::steps::ProgramStep;
use self::writers::writers;
use crate::driver::{Migration, MigrationBuilder, Workload};
use crate::objects::{ObjectSet, Quiesce};
use crate::spec::{DataSetSpec, MigrationSpec, Start};

impl MigrationSpec {
    /// Opens everything that the specification names, and describes the migration. `folder` is on
    /// a local disk and keeps all state: the journals of the migration and of its data sets.
    ///
    /// The values of secrets are read now and only kept in memory.
    ///
    /// # Errors
    /// `invalid_input` if the specification has a finding that is an error; errors of the resolver.
    pub async fn open(
        &self,
        folder: &Path,
        resolver: &Arc<dyn Resolver>,
        env: &SharedRuntime,
    ) -> Result<MigrationBuilder> {
        if let Some(finding) = self.check().into_iter().find(|finding| finding.severity == Severity::Error) {
            return Err(Error::invalid_input(finding.to_string()));
        }
        let traffic = resolver.traffic(&self.traffic.url).await?;
        let mut migration = Migration::builder(&self.name, journal(folder), traffic)
            .hold(self.traffic.hold.clone())
            .in_flight(self.traffic.in_flight)
            .policy(self.machine_policy())
            .lag(self.policy.lag)
            .runtime(env.clone())
            .wait(WaitOptions::new().deadline(self.policy.ready_within));
        for set in &self.data_sets {
            migration = migration.data_set(open_set(set, folder, resolver, env).await?);
        }
        for step in &self.steps {
            let made = Arc::new(ProgramStep::new(&self.name, step, resolver));
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
}

async fn open_set(
    set: &DataSetSpec,
    folder: &Path,
    resolver: &Arc<dyn Resolver>,
    env: &SharedRuntime,
) -> Result<ObjectSet> {
    let named = |error: Error| error.with_context("data set", &set.name);
    let (a, b) = (resolver.storage(&set.a).await.map_err(named)?, resolver.storage(&set.b).await.map_err(named)?);
    let quiesce: Arc<dyn Quiesce> = writers(&set.writers, resolver, env).await.map_err(named)?;
    let folder = folder.join("data").join(&set.name);
    let mut objects = ObjectSet::builder(&set.name, a, b, folder, quiesce).config(set.settings.clone());
    objects = objects.pause(set.pause).runtime(env.clone());
    if set.may_be_empty {
        objects = objects.may_be_empty();
    }
    if set.replace_existing {
        objects = objects.replace_existing();
    }
    objects.build().map_err(named)
}
