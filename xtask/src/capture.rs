//! Runs programs, and captures their output while a suite runs.

use std::fs::File;
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long to wait for remaining output after a program has ended: a child process that it
/// left running may still hold the pipe.
const REST: Duration = Duration::from_secs(5);

/// The file to which the output of the running suite is also written.
static CURRENT: Mutex<Option<PathBuf>> = Mutex::new(None);

/// Sets the file to which program output is also written from now on.
pub(crate) fn set(file: Option<PathBuf>) {
    *CURRENT.lock().unwrap_or_else(PoisonError::into_inner) = file;
}

/// Runs a program; while a suite runs, its output is also captured.
pub(crate) fn status(command: &mut Command) -> std::io::Result<ExitStatus> {
    let Some(mut kept) = current()? else { return command.status() };
    captured(command, move |printed| {
        // If standard output is closed, the tests still continue.
        let _ = std::io::stdout().write_all(printed);
        kept.write_all(printed)
    })
}

/// Runs a program and prints all of its output when it has ended, for programs that run
/// concurrently.
pub(crate) fn whole(command: &mut Command) -> std::io::Result<ExitStatus> {
    let printed = Arc::new(Mutex::new(Vec::new()));
    let writer = Arc::clone(&printed);
    let status = captured(command.stdin(Stdio::null()), move |bytes| {
        writer.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(())
    })?;
    let printed = printed.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = std::io::stdout().write_all(&printed);
    if let Some(mut kept) = current()? {
        kept.write_all(&printed)?;
    }
    Ok(status)
}

/// The file of the running suite.
fn current() -> std::io::Result<Option<File>> {
    let file = CURRENT.lock().unwrap_or_else(PoisonError::into_inner).clone();
    file.map(|file| File::options().append(true).open(file)).transpose()
}

/// Runs a program and passes on its output as it arrives.
fn captured(
    command: &mut Command,
    mut take: impl FnMut(&[u8]) -> std::io::Result<()> + Send + 'static,
) -> std::io::Result<ExitStatus> {
    let (mut reader, writer) = std::io::pipe()?;
    if std::io::stdout().is_terminal() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    let spawned = command.stdout(writer.try_clone()?).stderr(writer).spawn();
    // The command holds the write end of the pipe, which must be closed.
    command.stdout(Stdio::inherit()).stderr(Stdio::inherit());
    let mut child = spawned?;
    let (end, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 1 << 16];
        while let Ok(len @ 1..) = reader.read(&mut buffer) {
            if take(&buffer[..len]).is_err() {
                break;
            }
        }
        // The receiver may have given up waiting.
        let _ = end.send(());
    });
    let status = child.wait();
    // If the rest does not arrive in time, go on without it.
    let _ = ended.recv_timeout(REST);
    status
}
