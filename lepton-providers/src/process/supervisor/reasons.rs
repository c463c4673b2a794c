//! Why a replica is not ready.

use std::path::Path;

use lepton_core::deployment::ReasonKind;
use lepton_core::{Error, ErrorKind};

use super::output;
use crate::process::state::{Record, StatusReason};

/// How many lines of its output a reason quotes.
const QUOTED: usize = 5;

/// Why a start could not be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StartError {
    pub(super) message: String,
    /// Whether it does not pass by itself.
    pub(super) permanent: bool,
}

impl StartError {
    pub(super) fn new(error: &Error) -> Self {
        Self { message: error.report(), permanent: error.kind() == ErrorKind::NotFound }
    }
}

/// Why a replica is not ready; `probe` is the failure of the probe that keeps it from being so.
pub(super) fn reason(
    record: &Record,
    folder: &Path,
    start_error: Option<&StartError>,
    probe: Option<String>,
) -> StatusReason {
    let status_reason = |kind, message: &str| StatusReason::new(kind, format!("replica {}: {message}", record.id));
    if let Some(start_error) = start_error {
        let status_reason = status_reason(ReasonKind::CannotStart, &start_error.message);
        return if start_error.permanent { status_reason.terminal() } else { status_reason };
    }
    match (&record.ended, probe) {
        (Some(ended), _) if ended.cannot_start => status_reason(ReasonKind::CannotStart, &ended.what).terminal(),
        (Some(ended), _) if record.failures > 1 => {
            let lines = output::tail(folder, QUOTED);
            status_reason(ReasonKind::CrashLoop, &crash(&ended.what, record.restarts, &lines))
        }
        (_, Some(failure)) => status_reason(ReasonKind::ProbeFailed, &failure),
        (_, None) => status_reason(ReasonKind::Progressing, "it is being started"),
    }
}

fn crash(what: &str, restarts: u32, lines: &[String]) -> String {
    let mut text = format!("{what}; it was restarted {restarts} times; the end of its output:");
    for line in lines {
        text.push_str("\n    ");
        text.push_str(line);
    }
    text
}
