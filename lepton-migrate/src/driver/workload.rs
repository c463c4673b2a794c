//! What runs at side B, and how it is tested before it gets traffic.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use lepton_core::Result;
use lepton_core::deployment::{Deployment, Secrets, WorkloadSpec};

/// A workload of side B.
#[derive(Clone)]
#[non_exhaustive]
pub struct Workload {
    /// Where it runs.
    pub deployment: Arc<dyn Deployment>,
    /// What runs.
    pub spec: WorkloadSpec,
    /// The values of its secrets.
    pub secrets: Secrets,
    /// The name of the port that gets the users' requests; `None` for a workload that gets none,
    /// such as a job.
    pub route: Option<String>,
    /// It starts only when side B owns the writes, as jobs and consumers must.
    pub after_switch: bool,
}

impl Workload {
    /// A workload without secrets that gets no requests.
    pub fn new(deployment: Arc<dyn Deployment>, spec: WorkloadSpec) -> Self {
        Self { deployment, spec, secrets: Secrets::new(), route: None, after_switch: false }
    }

    /// The values of its secrets.
    #[must_use]
    pub fn secrets(mut self, secrets: Secrets) -> Self {
        self.secrets = secrets;
        self
    }

    /// Sends the users' requests to the port of this name.
    #[must_use]
    pub fn route(mut self, port: impl Into<String>) -> Self {
        self.route = Some(port.into());
        self
    }

    /// Starts the workload only when side B owns the writes.
    #[must_use]
    pub fn after_switch(mut self) -> Self {
        self.after_switch = true;
        self
    }
}

impl fmt::Debug for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.deployment.url();
        f.debug_struct("Workload").field("name", &self.spec.name).field("place", &place).finish_non_exhaustive()
    }
}

/// A test of side B before it gets users' requests.
#[async_trait]
pub trait AcceptanceTest: fmt::Debug + Send + Sync {
    /// The name in reports.
    fn name(&self) -> &str;

    /// Runs the test. A failure becomes a question to a person.
    ///
    /// # Errors
    /// Why side B is not good enough.
    async fn run(&self) -> Result<()>;
}
