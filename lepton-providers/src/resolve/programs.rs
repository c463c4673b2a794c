//! Runs hooks and tests.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::process::{ExitStatus, Stdio};

use futures_util::future::{Either, select};
use lepton_core::resolver::ProgramRun;
use lepton_core::{Error, ErrorKind, Result, RetryClass, SharedRuntime};
use tokio::process::Command;

use crate::auth::redact::first_line;
use crate::group::Group;
use crate::wire::secrets::Secrets;

/// The most of the error output that is read, in bytes.
const MOST: usize = 4 << 10;

/// Runs a program to its end. If it takes too long, or if the future is dropped, it is killed
/// with its process group. What it has left in the background when it ends stays.
pub(super) async fn run(env: &SharedRuntime, program: ProgramRun) -> Result<()> {
    let Some(name) = program.command.first() else {
        return Err(Error::invalid_input("a program to run has no command"));
    };
    // A file, not a pipe: what stays in the background can go on writing to it.
    let printed =
        tempfile::tempfile().map_err(|error| Error::io("there is no room for the error output of a program", error))?;
    let why = match ended(env, &program, &printed).await {
        Ok(Some(status)) if status.success() => return Ok(()),
        Ok(Some(status)) => format!("ended with {status}"),
        Ok(None) => format!("has not ended after {:?}", program.timeout),
        Err(error) => {
            let message = format!("the program {name} cannot be run");
            return Err(Error::io(message, error).with_retry(RetryClass::Never));
        }
    };
    let error = Error::new(ErrorKind::Unavailable, format!("the program {name} {why}")).with_retry(RetryClass::Now);
    Err(match first_line(&beginning(&printed), &Secrets::default()) {
        Some(line) => error.with_context("stderr", line),
        None => error,
    })
}

/// Starts the program and waits for its end; `None` if it takes too long.
async fn ended(env: &SharedRuntime, program: &ProgramRun, stderr: &File) -> io::Result<Option<ExitStatus>> {
    let (name, arguments) = program.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(name);
    command.args(arguments).envs(&program.env).process_group(0).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr.try_clone()?);
    let mut child = command.spawn()?;
    // Dropped before the child, which is reaped afterwards.
    let group = Group::of(&child);
    let waited = select(Box::pin(child.wait()), env.sleep(program.timeout)).await;
    match waited {
        Either::Left((status, _)) => {
            group.leave();
            status.map(Some)
        }
        Either::Right(_) => Ok(None),
    }
}

/// The beginning of the error output, empty if it cannot be read.
fn beginning(printed: &File) -> Vec<u8> {
    let mut bytes = vec![0; MOST];
    let len = printed.read_at(&mut bytes, 0).unwrap_or(0);
    bytes.truncate(len);
    bytes
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lepton_core::SystemRuntime;

    use super::*;

    fn shell(script: &str) -> ProgramRun {
        let command = ["sh", "-c", script].map(str::to_owned).to_vec();
        ProgramRun::new(command, Duration::from_secs(20)).env([("LEPTON_SIDE".to_owned(), "a".to_owned())])
    }

    #[tokio::test]
    async fn a_program_succeeds_or_says_why_not() {
        let env = SystemRuntime::shared();
        run(&env, shell("test $LEPTON_SIDE = a")).await.unwrap();
        for _ in 0..20 {
            let error = run(&env, shell("echo no policy >&2; exit 3")).await.unwrap_err();
            assert!(error.to_string().contains("exit status: 3"), "{error}");
            assert_eq!(error.context("stderr"), Some("no policy"));
        }
        let error = run(&env, shell("head -c 1000000 /dev/zero >&2; exit 4")).await.unwrap_err();
        assert!(error.to_string().contains("exit status: 4"), "the output holds nothing up: {error}");
        let missing = ProgramRun::new(vec!["/does/not/exist".to_owned()], Duration::from_secs(1));
        assert_eq!(run(&env, missing).await.unwrap_err().retry(), RetryClass::Never);
        assert!(run(&env, ProgramRun::new(Vec::new(), Duration::ZERO)).await.is_err());
    }

    /// It keeps the error output of the program, and writes to it after the program has ended.
    #[tokio::test]
    async fn what_a_program_leaves_in_the_background_runs_on() {
        let env = SystemRuntime::shared();
        for (code, succeeds) in [(0, true), (3, false)] {
            let folder = tempfile::tempdir().unwrap();
            let path = |name: &str| folder.path().join(name).display().to_string();
            let (go, part, done) = (path("go"), path("part"), path("done"));
            let wait = format!("until test -e {go}; do sleep 0.01; done");
            let write = format!("trap '' PIPE; if echo late >&2; then echo written; else echo refused; fi > {part}");
            let daemon = shell(&format!("({wait}; {write}; mv {part} {done}) & echo wrong >&2; exit {code}"));
            assert_eq!(run(&env, daemon).await.is_ok(), succeeds);
            std::fs::write(&go, "").unwrap();
            while !folder.path().join("done").exists() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            assert_eq!(std::fs::read_to_string(&done).unwrap(), "written\n");
        }
    }

    #[tokio::test]
    async fn a_program_that_hangs_is_killed_with_its_children() {
        let env = SystemRuntime::shared();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid").display().to_string();
        let mut program = shell(&format!("sleep 600 & echo $! > {file}.part; mv {file}.part {file}; wait"));
        program.timeout = Duration::from_millis(500);
        let error = run(&env, program).await.unwrap_err();
        assert!(error.to_string().contains("has not ended"), "{error}");
        let child = std::fs::read_to_string(&file).unwrap();
        for _ in 0..200 {
            let status = std::fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
            if status.is_empty() || status.contains(") Z ") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the child {child} still runs");
    }
}
