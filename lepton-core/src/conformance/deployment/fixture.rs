//! What the cases share.

use std::time::Duration;

use futures_core::future::BoxFuture;

use crate::conformance::expect::{Check, Stop};
use crate::deployment::{
    Deployment, Observation, OperationKey, RevisionId, Secrets, WaitOptions, WorkloadSpec, wait_until_absent,
    wait_until_ready,
};
use crate::{ErrorKind, Result, SharedRuntime};

/// What the suite needs of a provider.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    pub(super) env: SharedRuntime,
    pub(super) runs: WorkloadSpec,
    pub(super) fails: WorkloadSpec,
    pub(super) deadline: Duration,
    pub(super) only: Option<String>,
}

impl Options {
    /// `runs` is a workload that becomes ready and writes a line to its output, `fails` one that
    /// ends at once. Names, replicas and variables are the suite's own.
    pub fn new(env: SharedRuntime, runs: WorkloadSpec, fails: WorkloadSpec) -> Self {
        Self { env, runs, fails, deadline: Duration::from_secs(60), only: None }
    }

    /// How long a workload may take to become ready or to be gone.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Runs only the cases whose name contains this.
    #[must_use]
    pub fn only(mut self, text: impl Into<String>) -> Self {
        self.only = Some(text.into());
        self
    }
}

/// A name and the function that checks the promise.
pub(super) type Case = (&'static str, for<'a> fn(&'a Fixture<'a>) -> BoxFuture<'a, Check>);

/// One case: a workload of its own.
pub(super) struct Fixture<'a> {
    pub(super) deployment: &'a dyn Deployment,
    options: &'a Options,
    pub(super) owner: String,
    name: String,
}

impl<'a> Fixture<'a> {
    pub(super) fn new(deployment: &'a dyn Deployment, options: &'a Options, owner: &str, number: usize) -> Self {
        Self { deployment, options, owner: format!("{owner}-{number}"), name: format!("conformance-{number}") }
    }

    /// A workload that becomes ready.
    pub(super) fn spec(&self) -> WorkloadSpec {
        WorkloadSpec { name: self.name.clone(), ..self.options.runs.clone() }
    }

    /// A workload that ends at once.
    pub(super) fn failing(&self) -> WorkloadSpec {
        WorkloadSpec { name: self.name.clone(), ..self.options.fails.clone() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn key(&self, key: &str) -> OperationKey {
        OperationKey::new(&self.owner, "apply", key)
    }

    /// Applies without secrets.
    pub(super) async fn apply(&self, spec: &WorkloadSpec, key: &str) -> Result<RevisionId> {
        self.deployment.apply(spec, &Secrets::new(), &self.key(key)).await
    }

    fn wait(&self) -> WaitOptions {
        WaitOptions::new().deadline(self.options.deadline).period(Duration::from_millis(20))
    }

    /// Waits until a revision is ready; `each` sees every observation.
    pub(super) async fn ready(
        &self,
        revision: &RevisionId,
        each: impl FnMut(&Observation) + Send,
    ) -> Result<Observation> {
        wait_until_ready(self.deployment, &self.name, revision, &self.wait(), &*self.options.env, each).await
    }

    pub(super) async fn absent(&self) -> Result<()> {
        wait_until_absent(self.deployment, &self.name, &self.wait(), &*self.options.env).await
    }

    pub(super) async fn clean(&self) -> Check {
        self.deployment.delete(&self.name).await?;
        Ok(self.absent().await?)
    }
}

/// Fails unless the result is an error of this kind.
pub(super) fn refused<T>(what: &str, result: Result<T>, kind: ErrorKind) -> Check<String> {
    match result {
        Err(error) if error.kind() == kind => Ok(error.to_string()),
        Err(error) => Err(Stop::Failed(format!("{what}: expected {kind}, found {error:?}"))),
        Ok(_) => Err(Stop::Failed(format!("{what}: expected {kind}, but it was accepted"))),
    }
}

/// Ends a case that applies only to a provider, or to a workload, with this feature.
pub(super) fn needs(feature: bool, what: &str) -> Check {
    if feature { Ok(()) } else { Err(Stop::NotApplicable(format!("there is no {what}"))) }
}
