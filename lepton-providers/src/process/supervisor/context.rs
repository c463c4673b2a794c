//! What the parts of a supervisor share.

use std::sync::Arc;
use std::time::Duration;

use lepton_core::SharedEnv;

use crate::process::state::{Place, Settings};
use crate::process::system::{boot_id, uptime};

/// The place, and the moment of a step.
#[derive(Debug, Clone)]
pub(super) struct Context {
    pub(super) env: SharedEnv,
    pub(super) place: Arc<Place>,
    pub(super) settings: Settings,
    /// This boot of the machine.
    pub(super) boot: String,
}

impl Context {
    pub(super) fn new(env: SharedEnv, place: Place, settings: Settings) -> std::io::Result<Self> {
        Ok(Self { env, place: Arc::new(place), settings, boot: boot_id()? })
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
