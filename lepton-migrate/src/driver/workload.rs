//! What runs at side B, and how it is tested before it gets traffic.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use lepton_core::Result;
use lepton_core::deployment::{Deployment, Secrets, WorkloadSpec};

/// A workload of side B.
#[derive(Clone)]
pub struct Workload {
    /// Where it runs.
    pub deployment: Arc<dyn Deployment>,
    /// What runs.
    pub spec: WorkloadSpec,
    /// The values of its secrets.
    pub secrets: Secrets,
    /// The name of the port that the route sends requests to; `None` for a workload that gets
    /// none, such as a job.
    pub route: Option<String>,
}

impl fmt::Debug for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.deployment.url();
        f.debug_struct("Workload").field("name", &self.spec.name).field("place", &place).finish_non_exhaustive()
    }
}

/// A test of side B while it gets no users' requests.
#[async_trait]
pub trait AcceptanceTest: fmt::Debug + Send + Sync {
    /// The name in reports.
    fn name(&self) -> &str;

    /// Runs the test. It is not run again when it fails: a person is asked.
    ///
    /// # Errors
    /// Why side B is not good enough.
    async fn run(&self) -> Result<()>;
}
