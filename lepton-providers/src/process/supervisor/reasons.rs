//! Why a replica is not ready.

use std::error::Error as _;
use std::io;
use std::path::Path;

use lepton_core::deployment::ReasonKind;
use lepton_core::{Error, ErrorKind};
use rustix::io::Errno;

use super::output;
use crate::process::state::{Record, StatusReason};

/// How many lines of its output a reason quotes.
const QUOTED: usize = 5;

/// Why a start could not be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StartError {
    pub(super) message: String,
    /// Whether only a change can end it.
    pub(super) permanent: bool,
}

impl StartError {
    pub(super) fn new(error: &Error) -> Self {
        let source = error.source().and_then(|source| source.downcast_ref());
        let permanent = error.kind() == ErrorKind::NotFound || source.is_some_and(is_permanent);
        Self { message: error.full_message(), permanent }
    }
}

/// Whether a program that could not be started for this reason cannot be started until somebody
/// changes something. A lack of memory, processes or open files passes by itself, as does a program
/// that is just being written.
pub(super) fn is_permanent(error: &io::Error) -> bool {
    const PERMANENT: [Errno; 13] = [
        Errno::NOENT,
        Errno::ACCESS,
        Errno::PERM,
        Errno::NOEXEC,
        Errno::NOTDIR,
        Errno::ISDIR,
        Errno::LOOP,
        Errno::NAMETOOLONG,
        Errno::TOOBIG,
        Errno::INVAL,
        Errno::LIBBAD,
        Errno::NODEV,
        Errno::NXIO,
    ];
    match Errno::from_io_error(error) {
        Some(errno) => PERMANENT.contains(&errno),
        None => error.kind() == io::ErrorKind::NotFound,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_by_itself_is_not_permanent() {
        let errors = |errnos: &[Errno]| errnos.iter().map(|errno| io::Error::from(*errno)).collect::<Vec<_>>();
        let start = |error| StartError::new(&Error::io("the process cannot be started", error)).permanent;
        for error in errors(&[Errno::NOENT, Errno::ACCESS, Errno::NOEXEC, Errno::NOTDIR]) {
            assert!(is_permanent(&error) && start(error));
        }
        for error in errors(&[Errno::AGAIN, Errno::NOMEM, Errno::MFILE, Errno::NFILE, Errno::TXTBSY]) {
            assert!(!is_permanent(&error) && !start(error));
        }
        assert!(start(io::Error::new(io::ErrorKind::NotFound, "there is no working directory")));
        assert!(!start(io::Error::other("something else")));
    }
}
