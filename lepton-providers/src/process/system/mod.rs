//! Information of the system about processes, and signals to them.
//!
//! - `identity`: a process by number, start time and boot, and signals by pidfd
//! - `members`: the processes that belong to a replica, by session and marker

mod identity;
mod members;

pub(super) use identity::{Identity, boot_id, monotonic, uptime};
pub(super) use members::{Members, Scope};
