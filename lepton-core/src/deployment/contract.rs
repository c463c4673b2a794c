//! What a provider of deployments implements.

use std::fmt::Debug;
use std::time::SystemTime;

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use serde::{Deserialize, Serialize};

use super::observation::{Observation, Revision, RevisionId};
use super::plan::{DeploymentPlan, Finding};
use super::secret::Secrets;
use super::spec::WorkloadSpec;
use crate::Result;

/// Where workloads run: the processes of a machine, a container engine, a cluster.
///
/// No method waits until a workload has become what it should be, and none tries again:
/// [`wait_until_ready`](super::wait_until_ready) waits, the caller retries. Every method is
/// cancellation safe: a dropped call has either taken effect or not, and
/// [`find`](Self::find) tells which.
#[async_trait]
pub trait Deployment: Debug + Send + Sync {
    /// What this provider can do.
    fn capabilities(&self) -> &DeploymentCapabilities;

    /// The place, as a URL without credentials.
    fn url(&self) -> &str;

    /// Looks for what would keep this workload from running: a missing image, a taken port, a
    /// permission, a quota. It writes nothing.
    ///
    /// # Errors
    /// Errors of the provider; what is wrong with the workload is a finding.
    async fn preflight(&self, spec: &WorkloadSpec) -> Result<Vec<Finding>>;

    /// What [`apply`](Self::apply) would do now. It writes nothing.
    ///
    /// # Errors
    /// `invalid_input` for a spec that is wrong, `unsupported` for one that this provider cannot
    /// run; errors of the provider.
    async fn plan(&self, spec: &WorkloadSpec, secrets: &Secrets) -> Result<DeploymentPlan>;

    /// Makes the workload what `spec` says, and returns its revision at once.
    ///
    /// It is idempotent by `key`: applied again with the same key it returns the revision that
    /// the first call returned, whatever has been applied since, and whatever values the secrets
    /// have now: a changed value needs another key. With another key but nothing to change it
    /// returns the current revision; a workload that was scaled since is a change. The labels of
    /// the key go into the call that creates.
    ///
    /// # Errors
    /// As [`plan`](Self::plan); `conflict` if the key was used with another spec or if the
    /// workload belongs to another owner. An error with effect `Unknown` is settled by applying
    /// again with the same key.
    async fn apply(&self, spec: &WorkloadSpec, secrets: &Secrets, key: &OperationKey) -> Result<RevisionId>;

    /// The state of a workload now; `None` if there is none with this name.
    ///
    /// # Errors
    /// Errors of the provider.
    async fn observe(&self, name: &str) -> Result<Option<Observation>>;

    /// The revisions that can be applied again, the latest first.
    ///
    /// # Errors
    /// `not_found` if there is no workload with this name.
    async fn revisions(&self, name: &str) -> Result<Vec<Revision>>;

    /// Changes the number of replicas until the next apply that changes something. It makes no
    /// revision.
    ///
    /// # Errors
    /// `not_found` if there is no workload with this name.
    async fn scale(&self, name: &str, replicas: u32) -> Result<()>;

    /// What the replicas have written to their standard output and error.
    fn logs(&self, name: &str, request: LogRequest) -> LogStream;

    /// Begins to delete a workload with all that came along. It is complete when
    /// [`observe`](Self::observe) returns `None`; an absent workload is no error.
    ///
    /// # Errors
    /// Errors of the provider.
    async fn delete(&self, name: &str) -> Result<()>;

    /// The names of the workloads of this owner, also of those whose creation was never
    /// answered.
    ///
    /// # Errors
    /// Errors of the provider.
    async fn find(&self, owner: &str) -> Result<Vec<String>>;
}

/// Lines of a log.
pub type LogStream = BoxStream<'static, Result<LogLine>>;

/// What a provider of deployments can do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeploymentCapabilities {
    /// It runs container images.
    pub images: bool,
    /// It runs programs of the machine.
    pub commands: bool,
    /// It replaces replicas one after the other.
    pub rolling_update: bool,
    /// It keeps volumes.
    pub volumes: bool,
    /// It limits processor time and memory.
    pub resources: bool,
    /// How many revisions it keeps.
    pub revisions: usize,
}

impl DeploymentCapabilities {
    /// A provider that can do nothing yet.
    pub fn new() -> Self {
        Self { images: false, commands: false, rolling_update: false, volumes: false, resources: false, revisions: 1 }
    }
}

impl Default for DeploymentCapabilities {
    fn default() -> Self {
        Self::new()
    }
}

/// Who asks for an effect, and for which one. It goes as labels into the call that creates, so
/// that what a lost reply has made is found again.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct OperationKey {
    /// The migration, or another owner: the label `lepton/owner`.
    pub owner: String,
    /// The step of the owner: the label `lepton/step`.
    pub step: String,
    /// The attempt that is meant, unique to the owner: the label `lepton/key`.
    pub key: String,
}

impl OperationKey {
    /// The key of one effect.
    pub fn new(owner: impl Into<String>, step: impl Into<String>, key: impl Into<String>) -> Self {
        Self { owner: owner.into(), step: step.into(), key: key.into() }
    }

    /// Its labels.
    pub fn labels(&self) -> [(&'static str, &str); 3] {
        [("lepton/owner", &self.owner), ("lepton/step", &self.step), ("lepton/key", &self.key)]
    }
}

/// Which lines of a log are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogRequest {
    /// Go on with the lines to come; the stream then ends only with the workload.
    pub follow: bool,
    /// Only lines written since then.
    pub since: Option<SystemTime>,
    /// Only this many of the last lines of each replica.
    pub tail: Option<usize>,
}

impl LogRequest {
    /// The last lines of each replica.
    pub fn tail(lines: usize) -> Self {
        Self { tail: Some(lines), ..Self::default() }
    }

    /// Goes on with the lines to come.
    #[must_use]
    pub fn follow(mut self) -> Self {
        self.follow = true;
        self
    }

    /// Only lines written since then.
    #[must_use]
    pub fn since(mut self, time: SystemTime) -> Self {
        self.since = Some(time);
        self
    }
}

/// A line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogLine {
    /// The replica.
    pub replica: String,
    /// When it was written, if that is known.
    pub time: Option<SystemTime>,
    /// The line, without its end.
    pub text: String,
}

impl LogLine {
    /// A line.
    pub fn new(replica: impl Into<String>, time: Option<SystemTime>, text: impl Into<String>) -> Self {
        Self { replica: replica.into(), time, text: text.into() }
    }
}
