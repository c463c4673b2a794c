//! What a suite prints, kept in a file and searched for the secrets of the test servers.

use std::fs::{self, File};
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::process::root;
use crate::services::SECRETS;

#[allow(unreachable_pub, reason = "the tests use it too")]
#[path = "../../tests/support/search.rs"]
mod search;

use search::Search;

/// How long to wait for what was printed once a program has ended: one that it started and
/// left behind may hold on to its output.
const REST: Duration = Duration::from_secs(5);

/// Where the output of the running suite goes too.
static CURRENT: Mutex<Option<PathBuf>> = Mutex::new(None);

/// Runs a suite, keeps what its programs print in `target/test-output`, and searches that.
/// A secret in it is a failure that names the file, the line and which secret it is.
pub(crate) fn kept(suite: &str, run: fn() -> Result<()>) -> Result<()> {
    let folder = root().join("target/test-output");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let file = folder.join(format!("{suite}.log"));
    File::create(&file).with_context(|| format!("cannot create {}", file.display()))?;
    set(Some(file.clone()));
    let result = run();
    set(None);
    match (result, searched(&file, &Search::new(SECRETS))) {
        (Ok(()), searched) => searched,
        (Err(error), Ok(())) => Err(error),
        (Err(error), Err(secrets)) => Err(error.context(secrets)),
    }
}

fn set(file: Option<PathBuf>) {
    *CURRENT.lock().unwrap_or_else(PoisonError::into_inner) = file;
}

fn searched(file: &Path, search: &Search) -> Result<()> {
    let text = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let found = search.found(&text);
    if found.is_empty() {
        return Ok(());
    }
    let line = |at: usize| 1 + text[..at].iter().filter(|byte| **byte == b'\n').count();
    let found: Vec<_> = found.iter().map(|(name, at)| format!("line {} has {name}", line(*at))).collect();
    bail!("a secret was printed: {}: {}", file.display(), found.join(", "))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_secret_is_told_by_name_and_not_shown() {
        let folder = std::env::temp_dir().join(format!("lepton-test-transcript-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("suite.log");
        File::create(&file).unwrap();
        set(Some(file.clone()));
        let printed = |text: &str| status(Command::new("sh").args(["-c", "echo $0 >&2", text])).unwrap().success();
        // One that nobody else looks for: this is printed in a suite.
        let (name, secret) = ("the secret of this test", "printed-on-purpose");
        let search = Search::new([(name, secret)]);
        assert!(printed("harmless") && searched(&file, &search).is_ok());
        assert!(printed(secret));
        set(None);
        let told = searched(&file, &search).unwrap_err().to_string();
        fs::remove_dir_all(&folder).unwrap();
        assert!(told.contains("suite.log") && told.contains("line 2") && told.contains(name), "{told}");
        assert!(!told.contains(secret), "{told}");
    }
}
