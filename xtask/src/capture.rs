//! Runs programs, and keeps what they print where a suite runs.

use std::fs::File;
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long to wait for what was printed once a program has ended: one that it started and
/// left behind may hold on to its output.
const REST: Duration = Duration::from_secs(5);

/// Where the output of the running suite goes too.
static CURRENT: Mutex<Option<PathBuf>> = Mutex::new(None);

/// What programs print goes to this file too, from now on.
pub(crate) fn set(file: Option<PathBuf>) {
    *CURRENT.lock().unwrap_or_else(PoisonError::into_inner) = file;
}

/// Runs a program; while a suite runs, what it prints is also kept.
pub(crate) fn status(command: &mut Command) -> std::io::Result<ExitStatus> {
    let Some(mut kept) = current()? else { return command.status() };
    captured(command, move |printed| {
        // Where nobody reads what is shown, the tests still go on.
        let _ = std::io::stdout().write_all(printed);
        kept.write_all(printed)
    })
}

/// Runs a program and shows what it printed when it is over, in one piece: for those that run
/// at the same time as others.
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

/// Runs a program and hands over what it prints, as it comes.
fn captured(
    command: &mut Command,
    mut take: impl FnMut(&[u8]) -> std::io::Result<()> + Send + 'static,
) -> std::io::Result<ExitStatus> {
    let (mut reader, writer) = std::io::pipe()?;
    if std::io::stdout().is_terminal() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    let spawned = command.stdout(writer.try_clone()?).stderr(writer).spawn();
    // The command holds the pipe's end, which has to close.
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
        // Nobody waits for it any more.
        let _ = end.send(());
    });
    let status = child.wait();
    // It is over where the rest does not come.
    let _ = ended.recv_timeout(REST);
    status
}
