//! Why a replica is not ready.

use std::path::Path;

use lepton_core::deployment::ReasonKind;
use lepton_core::{Error, ErrorKind};

use super::output;
use crate::process::state::{Record, Told};

/// How many lines of its output a reason quotes.
const QUOTED: usize = 5;

/// Why a start could not be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hindrance {
    pub(super) why: String,
    /// Whether it does not pass by itself.
    pub(super) lasts: bool,
}

impl Hindrance {
    pub(super) fn new(error: &Error) -> Self {
        Self { why: error.report(), lasts: error.kind() == ErrorKind::NotFound }
    }
}

/// Why a replica is not ready; `probe` is the failure of the probe that keeps it from being so.
pub(super) fn reason(record: &Record, folder: &Path, hindrance: Option<&Hindrance>, probe: Option<String>) -> Told {
    let told = |kind, why: &str| Told::new(kind, format!("replica {}: {why}", record.id));
    if let Some(hindrance) = hindrance {
        let told = told(ReasonKind::CannotStart, &hindrance.why);
        return if hindrance.lasts { told.terminal() } else { told };
    }
    match (&record.ended, probe) {
        (Some(ended), _) if ended.cannot_start => told(ReasonKind::CannotStart, &ended.what).terminal(),
        (Some(ended), _) if record.failures > 1 => {
            let lines = output::tail(folder, QUOTED);
            told(ReasonKind::CrashLoop, &crash(&ended.what, record.restarts, &lines))
        }
        (_, Some(failure)) => told(ReasonKind::ProbeFailed, &failure),
        (_, None) => told(ReasonKind::Progressing, "it is being started"),
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
