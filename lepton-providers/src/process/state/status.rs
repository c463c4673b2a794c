//! What the supervisor sees, for drivers to read.

use std::collections::BTreeMap;
use std::path::Path;

use lepton_core::Result;
use lepton_core::deployment::{Reason, ReasonKind, RevisionId};
use serde::{Deserialize, Serialize};

use super::files::{read_json, write_json};
use crate::process::system::Identity;

/// The state of a workload.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::process) struct Status {
    /// The generation of the workload that it belongs to.
    pub(in crate::process) generation: u64,
    /// Its replicas.
    pub(in crate::process) replicas: Vec<Seen>,
    /// What keeps the supervisor from working on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::process) problem: Option<String>,
}

/// The state of a replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::process) struct Seen {
    pub(in crate::process) id: String,
    pub(in crate::process) revision: RevisionId,
    pub(in crate::process) attempt: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::process) process: Option<Identity>,
    pub(in crate::process) ready: bool,
    pub(in crate::process) terminating: bool,
    pub(in crate::process) restarts: u32,
    pub(in crate::process) ports: BTreeMap<String, u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::process) reason: Option<StatusReason>,
}

/// Why a replica is not ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::process) struct StatusReason {
    kind: String,
    message: String,
    terminal: bool,
}

/// The kinds of reasons that this provider gives.
const KINDS: [ReasonKind; 4] =
    [ReasonKind::Progressing, ReasonKind::CrashLoop, ReasonKind::CannotStart, ReasonKind::ProbeFailed];

impl StatusReason {
    pub(in crate::process) fn new(kind: ReasonKind, message: impl Into<String>) -> Self {
        Self { kind: kind.code().to_owned(), message: message.into(), terminal: false }
    }

    /// The same reason as a permanent one.
    pub(in crate::process) fn terminal(mut self) -> Self {
        self.terminal = true;
        self
    }

    pub(in crate::process) fn reason(&self) -> Reason {
        let kind = KINDS.into_iter().find(|kind| kind.code() == self.kind).unwrap_or(ReasonKind::Progressing);
        let reason = Reason::new(kind, self.message.clone());
        if self.terminal { reason.terminal() } else { reason }
    }
}

impl Status {
    /// Reads the status in the folder of a workload.
    pub(in crate::process) fn read(folder: &Path) -> Result<Option<Self>> {
        read_json(&folder.join("status.json"))
    }

    /// Replaces it. It is not flushed: after a reboot nothing of it holds.
    pub(in crate::process) fn write(&self, folder: &Path) -> Result<()> {
        write_json(&folder.join("status.json"), self, false)
    }
}
