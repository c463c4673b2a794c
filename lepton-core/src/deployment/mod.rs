//! Workloads and where they run. **Unstable** until a second, different provider passes its suite.
//!
//! - [`WorkloadSpec`]: what is to run, with the field names of Kubernetes and Compose
//! - [`Deployment`]: the contract of a provider; [`MemoryDeployment`] is the reference
//! - [`wait_until_ready`], [`wait_until_absent`]: the only code that waits for a provider
//! - [`Finding`], [`DeploymentPlan`]: what a provider reports before it changes anything
//! - [`SecretReference`], [`Secrets`]: values that are never in a spec, a journal, a plan or a log

mod contract;
mod excerpt;
mod invalid;
mod memory;
mod observation;
mod plan;
mod probe;
mod secret;
mod spec;
mod wait;

pub use contract::{Deployment, DeploymentCapabilities, LogLine, LogRequest, LogStream, OperationKey};
pub use memory::MemoryDeployment;
pub use observation::{Endpoint, Observation, Reason, ReasonKind, Revision, RevisionId};
pub use plan::{Change, DeploymentPlan, Difference, Finding, Severity};
pub use probe::{Exec, HttpGet, Probe, ProbeAction, TcpSocket};
pub use secret::{SecretReference, Secrets};
pub use spec::{Port, Resources, UpdateStrategy, Volume, WorkloadSpec};
pub use wait::{WaitOptions, wait_until_absent, wait_until_ready};
