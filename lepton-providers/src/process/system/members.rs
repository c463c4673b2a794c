//! The processes that belong to a replica.
//!
//! A replica may start processes of its own. They are found by the environment that they
//! inherit, which carries the marker of the replica, and, while its first process lives, by
//! their session. A process that leaves the session and clears its environment is not found.

use std::fs;

use rustix::process::Signal;

use super::identity::{Identity, boot_id, stat};

/// The variable that holds the id of the state folder.
const PLACE: &str = "LEPTON_PLACE";
/// The variable that holds the owner of the workload.
const OWNER: &str = "LEPTON_OWNER";
/// The variable that holds the name of the workload.
const WORKLOAD: &str = "LEPTON_WORKLOAD";
/// The variable that holds the id of the replica.
const REPLICA: &str = "LEPTON_REPLICA";

/// Whose processes are meant.
#[derive(Debug, Clone, Copy)]
pub(in crate::process) struct Scope<'a> {
    /// The id of the state folder.
    pub(in crate::process) state_id: &'a str,
    /// The name of the workload.
    pub(in crate::process) workload: &'a str,
}

impl Scope<'_> {
    /// The variables that mark the processes of a replica.
    pub(in crate::process) fn markers(&self, owner: &str, replica: &str) -> [(&'static str, String); 4] {
        [
            (PLACE, self.state_id.to_owned()),
            (OWNER, owner.to_owned()),
            (WORKLOAD, self.workload.to_owned()),
            (REPLICA, replica.to_owned()),
        ]
    }
}

/// Processes that live.
#[derive(Debug, Default)]
pub(in crate::process) struct Members(Vec<Identity>);

impl Members {
    /// The processes of one replica, or of all replicas of a workload. `first` is the first
    /// process of the replica, whose session counts as long as it lives.
    pub(in crate::process) fn find(scope: Scope<'_>, replica: Option<&str>, first: Option<&Identity>) -> Self {
        let (Ok(entries), Ok(boot)) = (fs::read_dir("/proc"), boot_id()) else { return Self::default() };
        let session = first.filter(|first| first.is_alive()).map(|first| first.pid);
        let own = std::process::id().cast_signed();
        let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let mut found = Vec::new();
        for pid in numbers.filter(|pid| *pid != own) {
            let Some(stat) = stat(pid).filter(|stat| !stat.is_dead()) else { continue };
            if session == Some(stat.session) || is_marked(pid, scope, replica) {
                found.push(Identity { pid, start: stat.start, boot: boot.clone() });
            }
        }
        Self(found)
    }

    /// Whether there is none.
    pub(in crate::process) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sends a signal to each.
    pub(in crate::process) fn signal(&self, signal: Signal) {
        for member in &self.0 {
            // One that has just ended needs no signal.
            let _ = member.signal(signal);
        }
    }
}

/// Whether the environment of a process has the markers.
fn is_marked(pid: i32, scope: Scope<'_>, replica: Option<&str>) -> bool {
    let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else { return false };
    let has = |name: &str, value: &str| {
        environment.split(|byte| *byte == 0).any(|entry| {
            entry.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"=")) == Some(value.as_bytes())
        })
    };
    has(PLACE, scope.state_id) && has(WORKLOAD, scope.workload) && replica.is_none_or(|replica| has(REPLICA, replica))
}
