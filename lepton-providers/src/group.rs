//! The process group of a program.

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Child;

/// The process group that a program leads, which is killed when this is dropped. It must not
/// outlive the `Child`: once the leader is reaped, its number may mean another group.
#[derive(Debug)]
pub(crate) struct Group(Option<Pid>);

impl Group {
    /// The group of a program that was started as the leader of one and not waited for yet.
    pub(crate) fn of(leader: &Child) -> Self {
        Self(leader.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }

    /// Leaves the rest of the group alone. To be called as soon as the leader was waited for.
    pub(crate) fn leave(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // It may have ended already.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}
