//! Programs as steps of a migration.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::data_set::thirty_seconds;
use super::units;
use super::workload::Start;

/// A change that programs make and take back. They run without a shell, with the variables
/// `LEPTON_OWNER`, `LEPTON_STEP` and `LEPTON_KEY`. Each may run again after a crash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct StepSpec {
    /// The name, unique among the steps.
    pub name: String,
    /// When the change is made.
    #[serde(default)]
    pub start: Start,
    /// Makes the change.
    pub apply: Vec<String>,
    /// Succeeds once the change is in effect. Without it, the change is in effect when `apply` has
    /// succeeded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observe: Vec<String>,
    /// Takes the change back, also if it was never made.
    pub undo: Vec<String>,
    /// After this time a program has failed.
    #[serde(default = "thirty_seconds", with = "units::time")]
    pub timeout: Duration,
}
