//! The heartbeat of the supervisor: one that hangs or is stopped falls silent.
//!
//! `supervisor.beat` has the time of the last beat, in milliseconds of the monotonic clock, which
//! every process of the machine shares and which stands still while the machine sleeps. It is
//! written in place, so that a full disk silences nobody.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use lepton_core::Result;

use super::StateDir;
use super::files::{failed, private_file};
use crate::process::system::monotonic;

/// The least time between two beats.
const INTERVAL: Duration = Duration::from_millis(250);

/// The side of the supervisor.
#[derive(Debug)]
pub(in crate::process) struct Beat {
    file: File,
    last: Duration,
}

impl Beat {
    /// The first beat of a supervisor, which has the lock.
    pub(in crate::process) fn first(state_dir: &StateDir) -> Result<Self> {
        let path = state_dir.supervisor_beat();
        let wrong = |error| failed("the heartbeat cannot be written", &path, error);
        let beat = Self { file: private_file(&path).map_err(wrong)?, last: monotonic() };
        beat.write().map_err(wrong)?;
        Ok(beat)
    }

    /// Another beat, unless there has just been one.
    pub(in crate::process) fn again(&mut self) {
        let now = monotonic();
        if now.saturating_sub(self.last) >= INTERVAL {
            self.last = now;
            // A supervisor whose beats cannot be written is replaced by one that reports why.
            let _ = self.write();
        }
    }

    fn write(&self) -> std::io::Result<()> {
        self.file.write_all_at(format!("{:020}\n", self.last.as_millis()).as_bytes(), 0)
    }
}

/// For how long the supervisor has been silent; `None` if that is not known.
pub(in crate::process) fn silence(state_dir: &StateDir) -> Option<Duration> {
    let text = fs::read_to_string(state_dir.supervisor_beat()).ok()?;
    let last = text.strip_suffix('\n').filter(|digits| digits.len() == 20)?.parse().ok()?;
    Some(monotonic().saturating_sub(Duration::from_millis(last)))
}
