//! The signals that ask a program to stop: SIGINT (Ctrl-C), SIGTERM and SIGHUP.

use std::future::pending;
use std::io::Result;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Receives the signals from now on, instead of their default action.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
}

impl Signals {
    pub(crate) fn listen() -> Result<Self> {
        let hangup = if leaves_hangup() { None } else { Some(signal(SignalKind::hangup())?) };
        let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(Self { interrupt, terminate, hangup })
    }

    /// Waits for the next signal. Cancellation safe.
    pub(crate) async fn next(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => drop(hangup.recv().await),
                None => pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = hangup => {}
        }
    }
}

/// Whether SIGHUP must be left alone: `nohup` ignores it, and a handler would undo that. If
/// this cannot be determined, the default action stays.
fn leaves_hangup() -> bool {
    let ignored = || {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
        u64::from_str_radix(mask.trim(), 16).ok()
    };
    let hangup = 1 << (SignalKind::hangup().as_raw_value() - 1);
    ignored().is_none_or(|ignored| ignored & hangup != 0)
}
