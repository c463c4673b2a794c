//! The contract.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lepton_core::deployment::{
    Deployment, DeploymentCapabilities, DeploymentPlan, Finding, LogRequest, LogStream, Observation, OperationKey,
    Revision, RevisionId, Secrets, WorkloadSpec,
};
use lepton_core::{Result, RuntimeExt as _, SharedRuntime};

use super::apply::Apply;
use super::shared::Driver;
use super::{apply, logs, observe, preflight};
use crate::process::options::Options;
use crate::process::state::locked;

/// The time between two attempts to take the lock.
const AGAIN: Duration = Duration::from_millis(10);

/// How much longer than the longest silence of a supervisor an operation waits for the lock.
/// Meanwhile a supervisor that has the lock is replaced, and every other process needs it only for
/// a moment.
const LOCK_TIME: Duration = Duration::from_secs(5);

/// Child processes of this machine as a place for workloads.
///
/// The replicas run in sessions of their own under a small supervisor process, so that they
/// live on when the driver ends. See the [module](crate::process) for how it works and what it
/// needs.
#[derive(Debug, Clone)]
pub struct ProcessDeployment {
    driver: Arc<Driver>,
}

impl ProcessDeployment {
    /// Opens the state folder.
    pub(in crate::process) async fn open(options: Options, env: SharedRuntime) -> Result<Self> {
        let limit = options.silence.saturating_add(LOCK_TIME);
        let begun = env.uptime();
        loop {
            let driver = env.run_blocking({
                let (options, env) = (options.clone(), env.clone());
                move || Driver::open(options, env)
            });
            if let Some(driver) = driver.join().await.flatten().map_err(|error| error.with_operation("open"))? {
                return Ok(Self { driver: Arc::new(driver) });
            }
            if env.uptime().saturating_sub(begun) >= limit {
                return Err(locked(&options.folder, limit).with_operation("open"));
            }
            env.sleep(AGAIN).await;
        }
    }

    /// Runs work that blocks, and names it in its errors.
    async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Driver) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let driver = Arc::clone(&self.driver);
        let done = self.driver.env.run_blocking(move || work(&driver)).join().await.flatten();
        done.map_err(|error| error.with_operation(operation))
    }

    /// The lock under which workloads are changed. A supervisor that has it and is silent is
    /// replaced meanwhile.
    ///
    /// # Errors
    /// `locked` if another process keeps it for too long.
    async fn lock(&self, operation: &'static str) -> Result<File> {
        let (env, limit) = (&self.driver.env, self.driver.summoner.silence().saturating_add(LOCK_TIME));
        let begun = env.uptime();
        loop {
            let lock = self.run(operation, |driver| {
                let lock = driver.state_dir.try_lock()?;
                if lock.is_none() {
                    driver.summoner.ensure(&driver.state_dir, driver.env.uptime())?;
                }
                Ok(lock)
            });
            if let Some(lock) = lock.await? {
                return Ok(lock);
            }
            if env.uptime().saturating_sub(begun) >= limit {
                return Err(locked(self.driver.state_dir.root(), limit).with_operation(operation));
            }
            env.sleep(AGAIN).await;
        }
    }
}

#[async_trait]
impl Deployment for ProcessDeployment {
    fn capabilities(&self) -> &DeploymentCapabilities {
        self.driver.capabilities()
    }

    fn url(&self) -> &str {
        self.driver.url()
    }

    async fn preflight(&self, spec: &WorkloadSpec) -> Result<Vec<Finding>> {
        let spec = spec.clone();
        self.run("preflight", move |driver| preflight::preflight(driver, &spec)).await
    }

    async fn plan(&self, spec: &WorkloadSpec, secrets: &Secrets) -> Result<DeploymentPlan> {
        let (spec, secrets) = (spec.clone(), secrets.clone());
        self.run("plan", move |driver| apply::plan(driver, &spec, &secrets)).await
    }

    async fn apply(&self, spec: &WorkloadSpec, secrets: &Secrets, key: &OperationKey) -> Result<RevisionId> {
        let apply = Apply { spec: spec.clone(), secrets: secrets.clone(), key: key.clone() };
        apply.check().map_err(|error| error.with_operation("apply"))?;
        let lock = self.lock("apply").await?;
        self.run("apply", move |driver| apply.run(driver, lock)).await
    }

    async fn observe(&self, name: &str) -> Result<Option<Observation>> {
        let name = name.to_owned();
        self.run("observe", move |driver| observe::observe(driver, &name)).await
    }

    async fn revisions(&self, name: &str) -> Result<Vec<Revision>> {
        let name = name.to_owned();
        self.run("revisions", move |driver| observe::revisions(driver, &name)).await
    }

    async fn scale(&self, name: &str, replicas: u32) -> Result<()> {
        let name = name.to_owned();
        let lock = self.lock("scale").await?;
        self.run("scale", move |driver| apply::scale(driver, lock, &name, replicas)).await
    }

    fn logs(&self, name: &str, request: LogRequest) -> LogStream {
        logs::logs(Arc::clone(&self.driver), name.to_owned(), request)
    }

    async fn delete(&self, name: &str) -> Result<()> {
        let name = name.to_owned();
        let lock = self.lock("delete").await?;
        self.run("delete", move |driver| apply::delete(driver, lock, &name)).await
    }

    async fn find(&self, owner: &str) -> Result<Vec<String>> {
        let owner = owner.to_owned();
        self.run("find", move |driver| observe::find(driver, &owner)).await
    }
}
