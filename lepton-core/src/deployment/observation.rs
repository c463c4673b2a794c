//! What a provider sees of a workload.

use std::fmt;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::spec::WorkloadSpec;

/// The id of a revision, as the provider gives it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RevisionId(String);

impl RevisionId {
    /// The id with this text.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RevisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A revision: what was applied, and when. Applying its `spec` again is the rollback to it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Revision {
    /// The id.
    pub id: RevisionId,
    /// What was applied.
    pub spec: WorkloadSpec,
    /// When it was applied.
    pub applied: SystemTime,
}

impl Revision {
    /// A revision.
    pub fn new(id: RevisionId, spec: WorkloadSpec, applied: SystemTime) -> Self {
        Self { id, spec, applied }
    }
}

/// The state of a workload at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Observation {
    /// The revision that was applied last.
    pub revision: RevisionId,
    /// The number of replicas that is wanted.
    pub desired: u32,
    /// Replicas of the last revision.
    pub updated: u32,
    /// Replicas of the last revision that are ready.
    pub ready: u32,
    /// Replicas of earlier revisions that still run.
    pub outdated: u32,
    /// How often replicas of the last revision were restarted.
    pub restarts: u32,
    /// Why it is not ready, if it is not, and what else keeps the provider from looking after it.
    pub reasons: Vec<Reason>,
    /// Where its replicas listen, of all revisions.
    pub endpoints: Vec<Endpoint>,
}

impl Observation {
    /// A workload of which no replica runs yet.
    pub fn new(revision: RevisionId, desired: u32) -> Self {
        Self {
            revision,
            desired,
            updated: 0,
            ready: 0,
            outdated: 0,
            restarts: 0,
            reasons: Vec::new(),
            endpoints: Vec::new(),
        }
    }

    /// Whether every wanted replica is of the last revision and ready, and no other one runs.
    pub fn is_ready(&self) -> bool {
        self.updated == self.desired && self.ready == self.desired && self.outdated == 0
    }
}

/// Where one replica listens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Endpoint {
    /// The id of the replica, unique in the workload and never used again.
    pub replica: String,
    /// The name of the port.
    pub port: String,
    /// `host:port`.
    pub address: String,
    /// Whether it should get traffic.
    pub ready: bool,
    /// Whether it ends: it finishes what it has and gets nothing new.
    pub terminating: bool,
}

impl Endpoint {
    /// An endpoint that is neither ready nor ending.
    pub fn new(replica: impl Into<String>, port: impl Into<String>, address: impl Into<String>) -> Self {
        Self { replica: replica.into(), port: port.into(), address: address.into(), ready: false, terminating: false }
    }
}

/// What keeps a workload from being ready.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reason {
    /// The kind.
    pub kind: ReasonKind,
    /// What the provider reports, with the name of the replica.
    pub message: String,
    /// Whether waiting cannot help: somebody must change something.
    pub terminal: bool,
}

impl Reason {
    /// A reason that may pass by itself.
    pub fn new(kind: ReasonKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), terminal: false }
    }

    /// The same reason, which does not pass by itself.
    #[must_use]
    pub fn terminal(mut self) -> Self {
        self.terminal = true;
        self
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.code(), self.message)
    }
}

/// The kind of a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReasonKind {
    /// It is being started or replaced.
    Progressing,
    /// A replica ends again and again.
    CrashLoop,
    /// A program or image cannot be started.
    CannotStart,
    /// An image cannot be pulled.
    ImagePull,
    /// A probe fails.
    ProbeFailed,
    /// There is no machine with room for it.
    Unschedulable,
    /// A quota of the provider is used up.
    Quota,
    /// The provider gave up.
    DeadlineExceeded,
}

impl ReasonKind {
    /// The stable name in reports.
    pub fn code(self) -> &'static str {
        match self {
            Self::Progressing => "progressing",
            Self::CrashLoop => "crash_loop",
            Self::CannotStart => "cannot_start",
            Self::ImagePull => "image_pull",
            Self::ProbeFailed => "probe_failed",
            Self::Unschedulable => "unschedulable",
            Self::Quota => "quota",
            Self::DeadlineExceeded => "deadline_exceeded",
        }
    }
}
