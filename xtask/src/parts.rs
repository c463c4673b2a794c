//! The parts of a suite and how long each takes, for the closing table.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The parts of the running suite, in the order in which they ended.
static PARTS: Mutex<Vec<(String, Duration)>> = Mutex::new(Vec::new());

/// Runs one part of a suite and records how long it took.
pub(crate) fn part<T>(name: impl Into<String>, work: impl FnOnce() -> T) -> T {
    let begin = Instant::now();
    let done = work();
    PARTS.lock().unwrap_or_else(PoisonError::into_inner).push((name.into(), begin.elapsed()));
    done
}

/// Returns the parts since the last call.
pub(crate) fn take() -> Vec<(String, Duration)> {
    std::mem::take(&mut *PARTS.lock().unwrap_or_else(PoisonError::into_inner))
}
