//! The state folder.
//!
//! ```text
//! place.json            id of the state folder, settings of the supervisor
//! key                   the key of the digests of secrets
//! state.lock            held for a moment to change a workload
//! supervisor.lock       held by the supervisor as long as it lives
//! supervisor.json       the process of the supervisor
//! supervisor.beat       when it last went through its loop
//! supervisor.log        its output
//! workloads/<name>/
//!     workload.json     what is wanted: owner, number, revisions, keys
//!     status.json       what the supervisor sees
//!     replicas/<id>/
//!         record.json   what the supervisor is about to do or has done
//!         claim-<n>.json  the process of the n-th start, written by itself
//!         failed-<n>.json why the n-th start failed
//!         output.log    standard output and error
//! ```
//!
//! `files` writes and locks files; `state_dir` knows the paths; `workload`, `record` and `status`
//! are the contents; `beat` is the heartbeat of the supervisor; `output` is what a replica writes;
//! `secrets` keeps the values of secrets, outside of the folder.

mod beat;
mod files;
mod output;
mod record;
mod secrets;
mod state_dir;
mod status;
#[cfg(test)]
mod tests;
mod workload;

pub(super) use beat::{Beat, silence};
pub(super) use files::{
    create_folder, failed, is_gone, link_json, read_json, remove, sync_folder, try_lock, write_json,
};
pub(super) use output::{output_begins, output_file, read_output, trim_output};
pub(super) use record::{Claim, Ended, Failure, Record, Stop};
pub(super) use secrets::{Values, default_folder, own_folder, read_values, wipe_all, wipe_unused, write_values};
pub(super) use state_dir::{Settings, StateDir, folder_names, is_name, locked};
pub(super) use status::{Seen, Status, StatusReason};
pub(super) use workload::{Applied, KeptSecrets, UsedKey, Workload};
