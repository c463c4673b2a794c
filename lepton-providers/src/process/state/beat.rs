//! The heartbeat of the supervisor: one that hangs or is stopped falls silent.
//!
//! `supervisor.beat` has the time of the last beat, in milliseconds of the monotonic clock, which
//! every process of the machine shares and which stands still while the machine sleeps. It is
//! written in place, so that a full disk silences nobody and no reader finds an empty file.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lepton_core::Result;

use super::StateDir;
use super::files::{failed, kept_file};
use crate::process::system::monotonic;

/// The least time between two beats, in milliseconds.
const INTERVAL_MS: u64 = 250;

/// The length of the file.
const LENGTH: usize = 21;

/// The side of the supervisor.
#[derive(Debug)]
pub(in crate::process) struct Beat {
    file: File,
    /// The time of the last beat, in milliseconds.
    last: AtomicU64,
}

impl Beat {
    /// The first beat of a supervisor, which has the lock.
    pub(in crate::process) fn first(state_dir: &StateDir) -> Result<Self> {
        let path = state_dir.supervisor_beat();
        let wrong = |error| failed("the heartbeat cannot be written", &path, error);
        let beat = Self { file: kept_file(&path).map_err(wrong)?, last: AtomicU64::new(now()) };
        beat.write().and_then(|()| beat.file.set_len(LENGTH as u64)).map_err(wrong)?;
        Ok(beat)
    }

    /// Another beat, unless there has just been one. It is called before each piece of work of the
    /// loop, so that it is not the number of the replicas that makes a supervisor silent.
    pub(in crate::process) fn again(&self) {
        let now = now();
        if now.saturating_sub(self.last.load(Ordering::Relaxed)) >= INTERVAL_MS {
            self.last.store(now, Ordering::Relaxed);
            // A supervisor whose beats cannot be written is replaced by one that reports why.
            let _ = self.write();
        }
    }

    fn write(&self) -> std::io::Result<()> {
        self.file.write_all_at(format!("{:020}\n", self.last.load(Ordering::Relaxed)).as_bytes(), 0)
    }
}

fn now() -> u64 {
    u64::try_from(monotonic().as_millis()).unwrap_or(u64::MAX)
}

/// For how long the supervisor has been silent; `None` if that is not known.
pub(in crate::process) fn silence(state_dir: &StateDir) -> Option<Duration> {
    let text = fs::read_to_string(state_dir.supervisor_beat()).ok()?;
    let last = text.strip_suffix('\n').filter(|digits| digits.len() + 1 == LENGTH)?.parse().ok()?;
    Some(monotonic().saturating_sub(Duration::from_millis(last)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_supervisor_leaves_no_moment_without_a_beat() {
        let folder = tempfile::tempdir().unwrap();
        let state_dir = StateDir::create(&folder.path().join("place"), 1, |_| {}).unwrap().unwrap();
        assert_eq!(silence(&state_dir), None);
        fs::write(state_dir.supervisor_beat(), "x".repeat(100)).unwrap();
        Beat::first(&state_dir).unwrap();
        std::thread::scope(|scope| {
            let begins = scope.spawn(|| (0..500).for_each(|_| drop(Beat::first(&state_dir).unwrap())));
            while !begins.is_finished() {
                assert!(silence(&state_dir).is_some());
            }
        });
    }
}
