//! What the supervisor is about to do with a replica, or has done.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lepton_core::Result;
use lepton_core::deployment::RevisionId;
use serde::{Deserialize, Serialize};

use super::files::{damaged, read_json, write_json};
use super::workload::Applied;
use crate::process::system::Identity;

/// The record of a replica. It is written before each effect, so that another supervisor can
/// continue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::process) struct Record {
    /// The id, which no other replica has had.
    pub(in crate::process) id: String,
    /// The revision that counts, which is a later one than that of `applied` if both run alike.
    pub(in crate::process) revision: RevisionId,
    /// What it runs.
    pub(in crate::process) applied: Applied,
    /// The number of the last start.
    pub(in crate::process) attempt: u32,
    /// Whether the process of that start may live.
    pub(in crate::process) live: bool,
    /// The numbers of its ports.
    pub(in crate::process) ports: BTreeMap<String, u16>,
    /// How often it was restarted.
    pub(in crate::process) restarts: u32,
    /// How often in a row it ended soon.
    pub(in crate::process) failures: u32,
    /// The boot to which the times belong.
    pub(in crate::process) boot: String,
    /// The next start, in milliseconds since the boot.
    pub(in crate::process) not_before_ms: u64,
    /// How it is being stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::process) stop: Option<Stop>,
    /// How it ended last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::process) ended: Option<Ended>,
}

/// How a replica is being stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::process) struct Stop {
    /// Whether it is not started again.
    pub(in crate::process) remove: bool,
    /// Why, if it is restarted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::process) why: Option<String>,
    /// Since when, in milliseconds since the boot.
    pub(in crate::process) since_ms: u64,
    /// When the termination signal was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::process) signalled_ms: Option<u64>,
}

/// How a start ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::process) struct Ended {
    /// The description for users.
    pub(in crate::process) what: String,
    /// Whether it was never running, for a reason that is permanent.
    pub(in crate::process) cannot_start: bool,
}

/// The owner of a start. The process of the start and a supervisor that found no process both try
/// to create the file; the first to succeed decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::process) enum Claim {
    /// This process becomes the replica.
    Started(Identity),
    /// No process may become it.
    Revoked {},
}

/// Why the program was not started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::process) struct Failure {
    pub(in crate::process) message: String,
    /// Whether the same start may succeed later without a change by anybody.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::process) transient: bool,
}

impl Record {
    /// Reads the record in the folder of a replica; `None` if there is none.
    pub(in crate::process) fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join("record.json");
        let Some(record) = read_json::<Self>(&path)? else { return Ok(None) };
        if folder.file_name().and_then(|name| name.to_str()) != Some(&record.id) {
            return Err(damaged(&path, "it is the record of another replica"));
        }
        record.applied.spec.check().map_err(|error| damaged(&path, error))?;
        Ok(Some(record))
    }

    /// Replaces the record.
    pub(in crate::process) fn write(&self, folder: &Path) -> Result<()> {
        write_json(&folder.join("record.json"), self, true)
    }

    /// Where the claim of a start is.
    pub(in crate::process) fn claim(folder: &Path, attempt: u32) -> PathBuf {
        folder.join(format!("claim-{attempt}.json"))
    }

    /// The file with the reason of a failed start.
    pub(in crate::process) fn failure(folder: &Path, attempt: u32) -> PathBuf {
        folder.join(format!("failed-{attempt}.json"))
    }
}
