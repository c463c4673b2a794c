//! What runs at side B.

use lepton_core::deployment::WorkloadSpec;
use serde::{Deserialize, Serialize};

/// A workload of side B.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct WorkloadEntry {
    /// The URL of the deployment where it runs.
    pub deployment: String,
    /// The name of the port to which the route sends requests. Absent for a workload that gets
    /// none, such as a job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// When it starts.
    #[serde(default)]
    pub start: Start,
    /// The names of workloads and data sets that come first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// Which variables of its environment point at which data set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bindings: Vec<Binding>,
    /// What runs.
    pub spec: WorkloadSpec,
}

impl WorkloadEntry {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Whether it is the workload of this name at this place.
    pub(crate) fn is(&self, deployment: &str, workload: &str) -> bool {
        is_same((&self.deployment, self.name()), (deployment, workload))
    }
}

/// Whether two pairs of place and name are the same workload.
pub(crate) fn is_same(one: (&str, &str), other: (&str, &str)) -> bool {
    (one.0.trim_end_matches('/'), one.1) == (other.0.trim_end_matches('/'), other.1)
}

/// When a workload of side B starts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Start {
    /// Before the switch: it is tested, and writes nothing unless a request tells it to.
    #[default]
    BeforeSwitch,
    /// After side B has become the owner of the writes: jobs, cron and consumers, which write by
    /// themselves.
    AfterSwitch,
}

/// A variable of a workload's environment that points at a data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
#[non_exhaustive]
pub struct Binding {
    /// The variable.
    pub variable: Variable,
    /// The name of the data set.
    pub data_set: String,
}

/// A variable of a workload's environment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Variable {
    /// One of `spec.env`.
    Env(String),
    /// One of `spec.secrets`.
    Secret(String),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    env: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    data_set: String,
}

impl TryFrom<Written> for Binding {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let variable = match (written.env, written.secret) {
            (Some(name), None) => Variable::Env(name),
            (None, Some(name)) => Variable::Secret(name),
            _ => return Err("a binding has exactly one of `env` and `secret`"),
        };
        Ok(Self { variable, data_set: written.data_set })
    }
}

impl From<Binding> for Written {
    fn from(Binding { variable, data_set }: Binding) -> Self {
        let (env, secret) = match variable {
            Variable::Env(name) => (Some(name), None),
            Variable::Secret(name) => (None, Some(name)),
        };
        Self { env, secret, data_set }
    }
}
