//! The provider on systems other than Linux, where it does not exist.

use std::path::Path;
use std::process::ExitCode;

use async_trait::async_trait;
use lepton_core::deployment::{
    Deployment, DeploymentCapabilities, DeploymentPlan, Finding, LogRequest, LogStream, Observation, OperationKey,
    Revision, RevisionId, Secrets, WorkloadSpec,
};
use lepton_core::{Error, Result, SharedRuntime};

use super::options::Options;

/// Child processes of this machine as a place for workloads; on this system there is none.
#[derive(Debug, Clone)]
pub enum ProcessDeployment {}

impl ProcessDeployment {
    pub(super) async fn open(options: Options, _: SharedRuntime) -> Result<Self> {
        drop(options);
        Err(unsupported())
    }
}

fn unsupported() -> Error {
    Error::unsupported("workloads as processes of this machine are supported on Linux only")
}

/// Returns `None`: on this system no program is started as a supervisor.
pub fn supervise_if_asked() -> Option<ExitCode> {
    None
}

/// Fails.
///
/// # Errors
/// `unsupported`.
pub fn supervise(_: &Path) -> Result<()> {
    Err(unsupported())
}

#[async_trait]
impl Deployment for ProcessDeployment {
    fn capabilities(&self) -> &DeploymentCapabilities {
        match *self {}
    }

    fn url(&self) -> &str {
        match *self {}
    }

    async fn preflight(&self, _: &WorkloadSpec) -> Result<Vec<Finding>> {
        match *self {}
    }

    async fn plan(&self, _: &WorkloadSpec, _: &Secrets) -> Result<DeploymentPlan> {
        match *self {}
    }

    async fn apply(&self, _: &WorkloadSpec, _: &Secrets, _: &OperationKey) -> Result<RevisionId> {
        match *self {}
    }

    async fn observe(&self, _: &str) -> Result<Option<Observation>> {
        match *self {}
    }

    async fn revisions(&self, _: &str) -> Result<Vec<Revision>> {
        match *self {}
    }

    async fn scale(&self, _: &str, _: u32) -> Result<()> {
        match *self {}
    }

    fn logs(&self, _: &str, _: LogRequest) -> LogStream {
        match *self {}
    }

    async fn delete(&self, _: &str) -> Result<()> {
        match *self {}
    }

    async fn find(&self, _: &str) -> Result<Vec<String>> {
        match *self {}
    }
}
