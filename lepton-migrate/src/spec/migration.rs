//! The whole specification, the route and the policy.

use std::time::Duration;

use lepton_core::deployment::WaitOptions;
use lepton_core::migration::Policy;
use lepton_core::traffic::{HoldLimits, InFlightPolicy};
use serde::{Deserialize, Serialize};

use super::acceptance::TestSpec;
use super::data_set::DataSetSpec;
use super::step::StepSpec;
use super::units;
use super::workload::WorkloadEntry;

/// A whole migration, as a file describes it.
///
/// ```
/// use lepton_migrate::{Format, MigrationSpec};
///
/// let text = r#"
///     name = "shop"
///
///     [traffic]
///     url = "router:/run/shop/control.sock"
///
///     [[data_sets]]
///     name = "items"
///     a = "s3://shop-a"
///     b = "s3://shop-b"
///     writers = "router_only"
/// "#;
/// let spec = MigrationSpec::parse(text, Format::Toml)?;
/// assert!(spec.check()[0].message.contains("assumption"));
///
/// let error = MigrationSpec::parse("name = 1", Format::Toml).unwrap_err();
/// assert!(error.to_string().starts_with("line 1, column 8: name: "));
/// # Ok::<(), lepton_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct MigrationSpec {
    /// The name: the owner of everything that the migration makes. The same rule as for the name
    /// of a workload.
    pub name: String,
    /// The route between the users and the two sides.
    pub traffic: TrafficSpec,
    /// The data that move.
    pub data_sets: Vec<DataSetSpec>,
    /// Programs that change what Lepton has no provider for, such as a DNS record, in order.
    #[serde(default)]
    pub steps: Vec<StepSpec>,
    /// What runs at side B.
    #[serde(default)]
    pub workloads: Vec<WorkloadEntry>,
    /// The acceptance tests of side B, in the order in which they run.
    #[serde(default)]
    pub tests: Vec<TestSpec>,
    /// What the migration does without a command.
    #[serde(default)]
    pub policy: PolicySpec,
    /// The workloads of side A that the plan owns. A decommission deletes them, and nothing else.
    #[serde(default)]
    pub decommission: Vec<OwnedWorkload>,
}

/// A workload of side A that the plan owns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct OwnedWorkload {
    /// The URL of the deployment.
    pub deployment: String,
    /// The name of the workload in it.
    pub workload: String,
}

/// The route between the users and the two sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TrafficSpec {
    /// The route, such as `router:/run/shop/control.sock`.
    pub url: String,
    /// The limits of each hold.
    #[serde(default, with = "hold")]
    pub hold: HoldLimits,
    /// What happens to writes in flight at a fence.
    #[serde(default = "wait", with = "in_flight")]
    pub in_flight: InFlightPolicy,
}

fn wait() -> InFlightPolicy {
    InFlightPolicy::Wait
}

/// What the migration does without a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PolicySpec {
    /// How many fences may be given up before a person is asked.
    pub fences: u32,
    /// What starts the fence once the tests have passed.
    pub cut_over: CutOver,
    /// The largest age of a data set's last round before the workloads of side B are made.
    #[serde(with = "units::time")]
    pub lag: Duration,
    /// How long a workload may take to become ready.
    #[serde(with = "units::time")]
    pub ready_within: Duration,
}

impl Default for PolicySpec {
    fn default() -> Self {
        Self {
            fences: Policy::default().fences,
            cut_over: CutOver::default(),
            lag: Duration::from_secs(30),
            ready_within: WaitOptions::default().deadline,
        }
    }
}

/// What starts the fence once the tests have passed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CutOver {
    /// A command of the user.
    #[default]
    Command,
    /// The driver does, at once.
    Auto,
}

/// The limits of a hold, with durations and sizes in the form of a file.
mod hold {
    use super::{Deserialize, Duration, HoldLimits, Serialize, units};
    use serde::{Deserializer, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Written {
        #[serde(with = "units::time")]
        time: Duration,
        #[serde(with = "units::time")]
        silence: Duration,
        requests: usize,
        #[serde(with = "units::size")]
        bytes: u64,
    }

    impl Default for Written {
        fn default() -> Self {
            Self::from(&HoldLimits::default())
        }
    }

    impl From<&HoldLimits> for Written {
        fn from(limits: &HoldLimits) -> Self {
            let HoldLimits { requests, bytes, time, silence, .. } = *limits;
            Self { time, silence, requests, bytes }
        }
    }

    pub(super) fn serialize<S: Serializer>(limits: &HoldLimits, serializer: S) -> Result<S::Ok, S::Error> {
        Written::from(limits).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HoldLimits, D::Error> {
        let written = Written::deserialize(deserializer)?;
        let mut limits = HoldLimits::default();
        (limits.time, limits.silence) = (written.time, written.silence);
        (limits.requests, limits.bytes) = (written.requests, written.bytes);
        Ok(limits)
    }
}

/// What happens to writes in flight: `"wait"` or `{ cut = "10s" }`.
mod in_flight {
    use super::{Deserialize, Duration, InFlightPolicy, Serialize, units};
    use serde::{Deserializer, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Written {
        Wait,
        Cut(#[serde(with = "units::time")] Duration),
    }

    pub(super) fn serialize<S: Serializer>(policy: &InFlightPolicy, serializer: S) -> Result<S::Ok, S::Error> {
        match policy {
            InFlightPolicy::Cut(after) => Written::Cut(*after),
            _ => Written::Wait,
        }
        .serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<InFlightPolicy, D::Error> {
        Ok(match Written::deserialize(deserializer)? {
            Written::Wait => InFlightPolicy::Wait,
            Written::Cut(after) => InFlightPolicy::Cut(after),
        })
    }
}
