//! What the parts of a supervisor share.

use std::sync::Arc;
use std::time::Duration;

use lepton_core::{Error, Result, SharedRuntime};

use crate::process::state::{Beat, Settings, StateDir};
use crate::process::system::{boot_id, uptime};

/// The state folder, and the moment of a step.
#[derive(Debug, Clone)]
pub(super) struct Context {
    pub(super) env: SharedRuntime,
    pub(super) state_dir: Arc<StateDir>,
    pub(super) settings: Settings,
    /// This boot of the machine.
    pub(super) boot: String,
    /// The heartbeat of this supervisor.
    pub(super) beat: Arc<Beat>,
}

impl Context {
    /// The caller has the lock of the supervisor, whose first beat this is.
    pub(super) fn new(env: SharedRuntime, state_dir: StateDir, settings: Settings) -> Result<Self> {
        let boot = boot_id().map_err(|error| Error::io("the boot cannot be identified", error))?;
        let beat = Arc::new(Beat::first(&state_dir)?);
        Ok(Self { env, state_dir: Arc::new(state_dir), settings, boot, beat })
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
