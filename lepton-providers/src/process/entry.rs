//! Where a program becomes a supervisor or a replica.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use lepton_core::{Error, ErrorKind, Result, SystemRuntime};

use super::supervisor::{LAUNCH, SUPERVISE, launch, run};

/// The exit code of a supervisor or a start that has failed.
const FAILED: u8 = 125;

/// Becomes the supervisor of a state folder, or a replica, if this program was started for
/// that; otherwise it returns `None` at once. The first line of a program that uses this
/// provider:
///
/// ```no_run
/// # use std::process::ExitCode;
/// fn main() -> ExitCode {
///     if let Some(code) = lepton_providers::process::supervise_if_asked() {
///         return code;
///     }
///     // The program itself.
///     ExitCode::SUCCESS
/// }
/// ```
pub fn supervise_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let first = arguments.next()?;
    let done = if first == LAUNCH {
        Err(launch(arguments))
    } else if first == SUPERVISE {
        let usage = || Error::invalid_input("the state folder is missing");
        arguments.next().ok_or_else(usage).and_then(|folder| supervise(Path::new(&folder)))
    } else {
        return None;
    };
    Some(match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If the output is closed, the error cannot be reported.
            let _ = writeln!(std::io::stderr(), "{}", error.full_message());
            ExitCode::from(FAILED)
        }
    })
}

/// Supervises the replicas in a state folder, until it has had no workload for a while. It
/// leaves the session of the caller, and may be called within or outside of a runtime. The
/// [module](crate::process) describes how it runs as a service, which also brings the workloads
/// back after a restart of the machine. If it hangs, a driver ends the whole process with SIGKILL
/// and starts another supervisor.
///
/// # Errors
/// `conflict` if another supervisor is at work; `not_found` for a folder that is no state
/// folder; errors of the system.
pub fn supervise(folder: &Path) -> Result<()> {
    // It fails for the leader of a session, which is what this process is to become.
    let _ = rustix::process::setsid();
    let folder = folder.to_path_buf();
    let work = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Error::io("the supervisor has no runtime", error))?;
        // The environment belongs to the runtime.
        runtime.block_on(async { run(SystemRuntime::shared(), &folder).await })
    };
    // A thread of its own, since the caller may be within a runtime.
    let thread = std::thread::Builder::new().name("supervisor".into()).spawn(work);
    let thread = thread.map_err(|error| Error::io("the supervisor has no thread", error))?;
    thread.join().unwrap_or_else(|_| Err(Error::new(ErrorKind::Unexpected, "the supervisor has panicked")))
}
