//! Stopping, as signals ask for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::say::complain;
use crate::signals::Signals;

/// The exit code of a program that was stopped; it stands in `--help` too.
pub(crate) const CANCELLED: u8 = 130;

/// What signals and the examination know of each other.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    /// Somebody wants to stop.
    pub(crate) wanted: AtomicBool,
    /// There may be something to delete.
    pub(crate) written: AtomicBool,
}

/// Ends at once while there is nothing to delete; else when it is deleted, or at the second
/// signal.
pub(crate) async fn stop_on_signals(mut signals: Signals, stop: Arc<Stop>) {
    signals.next().await;
    stop.wanted.store(true, Ordering::SeqCst);
    if stop.written.load(Ordering::SeqCst) {
        complain!("stopping: the probe is still deleted; press Ctrl-C again, or send another signal, to stop at once");
        signals.next().await;
    }
    std::process::exit(CANCELLED.into());
}
