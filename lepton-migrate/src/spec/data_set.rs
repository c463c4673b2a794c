//! The data that move.

use std::fmt;
use std::time::Duration;

use lepton_data::TransferConfig;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{settings, units};

/// A data set: the objects below a folder of a store, at both sides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct DataSetSpec {
    /// The name, unique among the data sets and the workloads. The same rule as for the name of a
    /// workload.
    pub name: String,
    /// The URL of the data at side A, opened with Lepton's own credentials.
    pub a: String,
    /// The URL of the data at side B, opened with Lepton's own credentials.
    pub b: String,
    /// The pause between two rounds.
    #[serde(default = "one_second", with = "units::time")]
    pub pause: Duration,
    /// The data set may have no objects. Otherwise its verdict is then that there were no data,
    /// which never passes.
    #[serde(default)]
    pub may_be_empty: bool,
    /// The first copy may replace and delete objects that side B already has. Otherwise an object
    /// there that the migration has not written is kept, and the migration stops with its key.
    #[serde(default)]
    pub replace_existing: bool,
    /// The settings of the transfers. A followed data set is always a mirror of changed objects,
    /// under the same names, compared by their bytes; settings that would change this are refused.
    #[serde(default = "settings::followed", deserialize_with = "settings::deserialize")]
    pub settings: TransferConfig,
    /// How the application's writers are made to stop.
    pub writers: WritersSpec,
}

fn one_second() -> Duration {
    Duration::from_secs(1)
}

pub(super) fn thirty_seconds() -> Duration {
    Duration::from_secs(30)
}

/// How the application's writers are made to stop writing to a side, and how that is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WritersSpec {
    /// Only the router sends writes. That is an assumption which nothing proves; plan and report
    /// state it.
    RouterOnly,
    /// A program changes a policy or a key of the store. It is run with the variables
    /// `LEPTON_SIDE` (`a` or `b`), `LEPTON_WRITES` (`deny` or `allow`) and `LEPTON_EPOCH`, the number
    /// of the last fence. The proof is a write with the application's credentials.
    Command {
        /// The program and its arguments; no shell reads them.
        command: Vec<String>,
        /// After this time the program has failed.
        timeout: Duration,
        /// The data set at side A, opened with the application's credentials.
        a: String,
        /// The data set at side B, opened with the application's credentials.
        b: String,
    },
    /// The workload that writes is scaled to 0, and back.
    Scale {
        /// The writer at side A.
        a: ScaleSpec,
        /// The writer at side B.
        b: ScaleSpec,
    },
}

/// A workload that is scaled to 0 so that it stops writing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ScaleSpec {
    /// The URL of the deployment.
    pub deployment: String,
    /// The name of the workload in it.
    pub workload: String,
    /// How many replicas it has when it may write.
    pub replicas: u32,
}

const ROUTER_ONLY: &str = "router_only";

/// The form in a file of everything but [`WritersSpec::RouterOnly`].
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    command: Option<Vec<String>>,
    #[serde(default = "thirty_seconds", with = "units::time")]
    timeout: Duration,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    a: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    b: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scale: Option<Scale>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scale {
    a: ScaleSpec,
    b: ScaleSpec,
}

impl Written {
    fn writers(self) -> Result<WritersSpec, &'static str> {
        match (self.command, self.a, self.b, self.scale) {
            (Some(command), Some(a), Some(b), None) => {
                Ok(WritersSpec::Command { command, timeout: self.timeout, a, b })
            }
            (None, None, None, Some(Scale { a, b })) => Ok(WritersSpec::Scale { a, b }),
            (Some(_), _, _, Some(_)) => Err("`command` and `scale` are both given; use one of them"),
            (Some(_), _, _, None) => Err(
                "`command` needs `a` and `b`: the data set opened with the application's credentials, for the proof",
            ),
            (None, _, _, Some(_)) => Err("`a` and `b` belong to `command`; `scale` has its own"),
            (None, _, _, None) => Err("neither `command` nor `scale` is given; use one of them, or \"router_only\""),
        }
    }
}

impl<'de> Deserialize<'de> for WritersSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = WritersSpec;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"router_only\", or a table with `command`, `a` and `b`, or one with `scale`")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<WritersSpec, E> {
                match text {
                    ROUTER_ONLY => Ok(WritersSpec::RouterOnly),
                    _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<WritersSpec, A::Error> {
                Written::deserialize(MapAccessDeserializer::new(map))?.writers().map_err(A::Error::custom)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

impl Serialize for WritersSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let none = Written::default();
        match self.clone() {
            Self::RouterOnly => serializer.serialize_str(ROUTER_ONLY),
            Self::Command { command, timeout, a, b } => {
                Written { command: Some(command), timeout, a: Some(a), b: Some(b), ..none }.serialize(serializer)
            }
            Self::Scale { a, b } => Written { scale: Some(Scale { a, b }), ..none }.serialize(serializer),
        }
    }
}
