//! What is wanted of a workload.

use std::path::{Path, PathBuf};

use lepton_core::deployment::{OperationKey, RevisionId, Secrets, UpdateStrategy, WorkloadSpec};
use lepton_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use super::files::{VERSION, damaged, read_versioned, write_json};
use super::state_dir::StateDir;

/// How many revisions are kept.
const REVISIONS: usize = 10;

/// How many keys are remembered. Only an attempt that received no reply uses a key again.
const KEYS: usize = 1000;

/// The file of a workload. Drivers write it, under the lock of the state folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::process) struct Workload {
    version: u32,
    /// How often it was changed.
    pub(in crate::process) generation: u64,
    /// Who made it.
    pub(in crate::process) owner: String,
    /// The number of replicas.
    pub(in crate::process) desired: u32,
    /// Whether it is being deleted.
    pub(in crate::process) deleted: bool,
    /// The number of the next revision.
    next: u64,
    /// The revisions, the latest last; never empty.
    pub(in crate::process) revisions: Vec<Applied>,
    /// The keys that were used, the latest last.
    pub(in crate::process) keys: Vec<UsedKey>,
}

/// A revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::process) struct Applied {
    /// Its id.
    pub(in crate::process) id: RevisionId,
    /// When it was applied, in milliseconds since 1970.
    pub(in crate::process) applied_ms: u64,
    /// What was applied.
    pub(in crate::process) spec: WorkloadSpec,
    /// Its secrets, if it has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::process) secrets: Option<KeptSecrets>,
}

/// Where the values of secrets are kept, and a digest by which a change is seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::process) struct KeptSecrets {
    /// The keyed digest of the values.
    pub(in crate::process) digest: String,
    /// The file with the values, outside of the state folder.
    pub(in crate::process) file: PathBuf,
}

/// A key that was used, with the revision and the spec for which it was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::process) struct UsedKey {
    pub(in crate::process) key: OperationKey,
    pub(in crate::process) revision: RevisionId,
    /// A digest of the spec.
    pub(in crate::process) spec: String,
}

impl Workload {
    /// A workload without a revision, which is to get one.
    pub(in crate::process) fn new(owner: &str) -> Self {
        let (revisions, keys) = (Vec::new(), Vec::new());
        Self {
            version: VERSION,
            generation: 0,
            owner: owner.to_owned(),
            desired: 0,
            deleted: false,
            next: 1,
            revisions,
            keys,
        }
    }

    /// The path of its file.
    pub(in crate::process) fn path(folder: &Path) -> PathBuf {
        folder.join("workload.json")
    }

    /// Reads the workload with this name; `None` if there is none.
    ///
    /// # Errors
    /// `invalid_input` for a file that is damaged, `unsupported` for one of another version.
    pub(in crate::process) fn read(state_dir: &StateDir, name: &str) -> Result<Option<Self>> {
        let path = Self::path(&state_dir.workload(name));
        let Some(workload) = read_versioned::<Self>(&path)? else { return Ok(None) };
        workload.check(name, &path)?;
        Ok(Some(workload))
    }

    /// Replaces the file in this folder, as a change.
    pub(in crate::process) fn write(&mut self, folder: &Path) -> Result<()> {
        self.generation = self.generation.saturating_add(1);
        write_json(&Self::path(folder), self, true)
    }

    fn check(&self, name: &str, path: &Path) -> Result<()> {
        if self.revisions.is_empty() {
            return Err(damaged(path, "it has no revision"));
        }
        for applied in &self.revisions {
            applied.spec.check().map_err(|error| damaged(path, error))?;
            if applied.spec.name != name {
                return Err(damaged(path, "it is the file of another workload"));
            }
        }
        Ok(())
    }

    /// The revision that was applied last.
    ///
    /// # Errors
    /// `unexpected` for a workload that was made without one.
    pub(in crate::process) fn last(&self) -> Result<&Applied> {
        self.revisions.last().ok_or_else(|| Error::new(ErrorKind::Unexpected, "the workload has no revision"))
    }

    /// The id that the next revision will have.
    pub(in crate::process) fn next_id(&self) -> RevisionId {
        RevisionId::new(self.next.to_string())
    }

    /// Adds a revision, and sets the number of replicas to that of its spec.
    pub(in crate::process) fn add(&mut self, applied: Applied) {
        self.next = self.next.saturating_add(1);
        self.desired = applied.spec.replicas;
        self.revisions.push(applied);
        let surplus = self.revisions.len().saturating_sub(REVISIONS);
        self.revisions.drain(..surplus);
    }

    /// Records the use of a key.
    pub(in crate::process) fn note(&mut self, used: UsedKey) {
        self.keys.push(used);
        let surplus = self.keys.len().saturating_sub(KEYS);
        self.keys.drain(..surplus);
    }

    /// The maximum number of revisions that are stored.
    pub(in crate::process) fn max_revisions() -> usize {
        REVISIONS
    }
}

impl Applied {
    /// Whether replicas of both would be alike, so that none needs to be replaced.
    pub(in crate::process) fn runs_as(&self, other: &Self) -> bool {
        let bare = |applied: &Self| {
            let mut spec = applied.spec.clone();
            (spec.replicas, spec.strategy) = (0, UpdateStrategy::Recreate);
            spec.labels.clear();
            (spec, applied.secrets.as_ref().map(|secrets| secrets.digest.clone()))
        };
        bare(self) == bare(other)
    }
}

impl UsedKey {
    /// A key for this spec.
    pub(in crate::process) fn new(
        key: &OperationKey,
        revision: &RevisionId,
        spec: &WorkloadSpec,
        secret: &[u8],
    ) -> Self {
        Self { key: key.clone(), revision: revision.clone(), spec: Self::digest(spec, secret) }
    }

    /// The digest of a spec.
    pub(in crate::process) fn digest(spec: &WorkloadSpec, secret: &[u8]) -> String {
        // A spec is made of strings, numbers and maps with string keys, which JSON holds.
        let text = serde_json::to_string(spec).unwrap_or_default();
        Secrets::new().with("spec", text).keyed_digest(secret)
    }
}
