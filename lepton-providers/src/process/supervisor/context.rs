//! What the parts of a supervisor share.

use std::sync::Arc;
use std::time::Duration;

use lepton_core::SharedEnv;

use crate::process::state::{Settings, StateDir};
use crate::process::system::{boot_id, uptime};

/// The state folder, and the moment of a step.
#[derive(Debug, Clone)]
pub(super) struct Context {
    pub(super) env: SharedEnv,
    pub(super) state_dir: Arc<StateDir>,
    pub(super) settings: Settings,
    /// This boot of the machine.
    pub(super) boot: String,
}

impl Context {
    pub(super) fn new(env: SharedEnv, state_dir: StateDir, settings: Settings) -> std::io::Result<Self> {
        Ok(Self { env, state_dir: Arc::new(state_dir), settings, boot: boot_id()? })
    }

    /// Milliseconds since the boot: a clock that supervisors share.
    pub(super) fn now_ms(&self) -> u64 {
        millis(uptime())
    }
}

/// Whole milliseconds.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
