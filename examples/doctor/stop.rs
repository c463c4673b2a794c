//! Stops the examination on signals.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::say::complain;
use crate::signals::Signals;

/// The exit code of a stopped program; `--help` lists it too.
pub(crate) const CANCELLED: u8 = 130;

/// The state shared by the signal handler and the examination.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    /// A signal has asked the program to stop.
    pub(crate) wanted: AtomicBool,
    /// There may be something to delete.
    pub(crate) written: AtomicBool,
}

/// Exits immediately while there is nothing to delete; otherwise after the deletion, or at the
/// second signal.
pub(crate) async fn stop_on_signals(mut signals: Signals, stop: Arc<Stop>) {
    signals.next().await;
    stop.wanted.store(true, Ordering::SeqCst);
    if stop.written.load(Ordering::SeqCst) {
        complain!("stopping: the probe is still deleted; press Ctrl-C again, or send another signal, to stop at once");
        signals.next().await;
    }
    std::process::exit(CANCELLED.into());
}
