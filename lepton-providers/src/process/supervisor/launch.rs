//! How a replica starts.
//!
//! The supervisor starts its own program with a hidden argument, and that process becomes the
//! replica. It first leaves the session of the supervisor and claims the start by creating the
//! claim file, with its own number and start time, which the replica keeps; only then does it
//! execute the program. So there is never a replica of which there is no record. A supervisor
//! that takes over and finds no claim creates the file itself, and the late process exits.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use lepton_core::{Error, ErrorKind, Result};
use rustix::fs::{FlockOperation, flock};

use super::environment::Environment;
use super::reasons::is_permanent;
use crate::process::overlay::Overlay;
use crate::process::state::{Claim, Failure, Record, failed, link_json, output_file, read_json, write_json};
use crate::process::system::Identity;

/// The hidden argument.
pub(in crate::process) const LAUNCH: &str = "lepton-launch";

/// Starts the process that becomes the replica.
pub(super) fn start(folder: &Path, record: &Record, environment: &Environment) -> Result<Child> {
    let path = output_file(folder);
    let output = || OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
    let directory = Overlay::of(&record.applied.spec)?.folder();
    let spawn = || {
        if !directory.is_dir() {
            let message = format!("there is no working directory {}", directory.display());
            return Err(io::Error::new(io::ErrorKind::NotFound, message));
        }
        let mut command = Command::new("/proc/self/exe");
        environment.apply(&mut command);
        command.arg(LAUNCH).arg(folder).arg(record.attempt.to_string());
        command.args(&record.applied.spec.command).args(&record.applied.spec.args);
        command.current_dir(&directory).stdin(Stdio::null()).stdout(output()?).stderr(output()?).spawn()
    };
    spawn().map_err(|error| failed("the process cannot be started", folder, error))
}

/// What is known of a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Started {
    /// No process has claimed it.
    Unclaimed,
    /// No process can claim it any more.
    Revoked,
    /// This process, which may have ended since.
    By(Identity),
}

/// Who has claimed a start.
pub(super) fn claimed(folder: &Path, attempt: u32) -> Result<Started> {
    Ok(match read_json(&Record::claim(folder, attempt))? {
        None => Started::Unclaimed,
        Some(Claim::Revoked {}) => Started::Revoked,
        Some(Claim::Started(identity)) => Started::By(identity),
    })
}

/// Takes a start away from a process that has not claimed it yet, if there is one.
pub(super) fn revoke(folder: &Path, attempt: u32) -> Result<Started> {
    link_json(&Record::claim(folder, attempt), &Claim::Revoked {}, |_| Ok(()))?;
    claimed(folder, attempt)
}

/// Whether the process that claimed the start has executed the program, or has ended:
/// until then it holds a lock on its claim.
pub(super) fn has_executed(folder: &Path, attempt: u32) -> bool {
    File::open(Record::claim(folder, attempt))
        .is_ok_and(|claim| flock(&claim, FlockOperation::NonBlockingLockShared).is_ok())
}

/// Why the program of a start could not be executed.
pub(super) fn failure(folder: &Path, attempt: u32) -> Option<Failure> {
    read_json(&Record::failure(folder, attempt)).ok()?
}

/// Becomes the replica; returns only if that fails. The arguments are those that [`start`]
/// gives.
pub(in crate::process) fn launch(mut arguments: impl Iterator<Item = std::ffi::OsString>) -> Error {
    let usage = || Error::invalid_input("this argument is for the supervisor only");
    let Some(folder) = arguments.next().map(PathBuf::from) else { return usage() };
    let attempt = arguments.next().and_then(|text| text.to_str()?.parse().ok());
    let (Some(attempt), Some(program)) = (attempt, arguments.next()) else { return usage() };
    match claim(&folder, attempt) {
        Ok(Some(_held)) => {
            // The lock on the claim ends when the program is executed.
            let error = Command::new(&program).args(arguments).exec();
            let message = format!("the program {} cannot be executed: {error}", program.display());
            let failure = Failure { message: message.clone(), transient: !is_permanent(&error) };
            // The supervisor sees the exit code if this fails.
            let _ = write_json(&Record::failure(&folder, attempt), &failure, false);
            Error::io(message, error)
        }
        Ok(None) => Error::new(ErrorKind::Conflict, "the supervisor has withdrawn this start"),
        Err(error) => error,
    }
}

/// Claims a start for this process; `None` if it was withdrawn.
fn claim(folder: &Path, attempt: u32) -> Result<Option<File>> {
    rustix::process::setsid()
        .map_err(|errno| Error::io("the process cannot have a session of its own", errno.into()))?;
    let identity = Identity::own().map_err(|error| Error::io("the process cannot be identified", error))?;
    let mut held = None;
    let claimed = link_json(&Record::claim(folder, attempt), &Claim::Started(identity), |file| {
        flock(&file, FlockOperation::LockExclusive)?;
        held = Some(file);
        Ok(())
    })?;
    Ok(held.filter(|_| claimed))
}
