//! Runs hooks and tests.

use std::future::pending;
use std::pin::pin;
use std::process::Stdio;

use futures_util::future::{Either, select};
use lepton_core::resolver::ProgramRun;
use lepton_core::{Error, ErrorKind, Result, Retry, SharedEnv};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

use crate::auth::redact::first_line;
use crate::wire::secrets::Secrets;

/// The most of the error output that is kept, in bytes.
const MOST: usize = 4 << 10;

/// Runs a program to its end. If it takes too long, or if the future is dropped, it is killed.
pub(super) async fn run(env: &SharedEnv, program: ProgramRun) -> Result<()> {
    let Some((name, arguments)) = program.command.split_first() else {
        return Err(Error::invalid_input("a program to run has no command"));
    };
    let failed =
        |why: &str| Error::new(ErrorKind::Unavailable, format!("the program {name} {why}")).with_retry(Retry::Now);
    let mut command = Command::new(name);
    command.args(arguments).envs(&program.env).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let spawned = command.process_group(0).kill_on_drop(true).spawn();
    let mut child = spawned
        .map_err(|error| Error::io(format!("the program {name} cannot be started"), error).with_retry(Retry::Never))?;
    let group = Group(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw));
    let mut printed = Vec::new();
    let mut stderr = child.stderr.take();
    let ended = {
        let (waiting, draining) = (pin!(child.wait()), pin!(drain(stderr.as_mut(), &mut printed)));
        match select(select(waiting, draining), env.sleep(program.timeout)).await {
            Either::Left((Either::Left((status, _)), _)) => Some(status),
            Either::Left((Either::Right(_), _)) | Either::Right(_) => None,
        }
    };
    let error = match ended {
        Some(Ok(status)) if status.success() => {
            group.leave();
            return Ok(());
        }
        Some(Ok(status)) => failed(&format!("ended with {status}")),
        Some(Err(error)) => failed("cannot be waited for").with_source(error),
        None => failed(&format!("has not ended after {:?}", program.timeout)),
    };
    Err(match first_line(&printed, &Secrets::default()) {
        Some(line) => error.with_context("stderr", line),
        None => error,
    })
}

/// The process group of a program, which is killed when this is dropped.
struct Group(Option<Pid>);

impl Group {
    /// Leaves what the program has started in the background.
    fn leave(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may have ended already.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Reads the error output, so that the program is not held up, and keeps its beginning. Never
/// returns, because only the end of the program matters.
async fn drain(end: Option<&mut (impl AsyncRead + Unpin)>, kept: &mut Vec<u8>) {
    let mut buffer = [0; 4096];
    if let Some(end) = end {
        while let Ok(len @ 1..) = end.read(&mut buffer).await {
            let room = MOST - kept.len();
            kept.extend_from_slice(&buffer[..len.min(room)]);
        }
    }
    pending::<()>().await;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lepton_core::SystemEnv;

    use super::*;

    fn shell(script: &str) -> ProgramRun {
        let command = ["sh", "-c", script].map(str::to_owned).to_vec();
        ProgramRun::new(command, Duration::from_secs(20)).env([("LEPTON_SIDE".to_owned(), "a".to_owned())])
    }

    #[tokio::test]
    async fn a_program_succeeds_or_says_why_not() {
        let env = SystemEnv::shared();
        run(&env, shell("test $LEPTON_SIDE = a")).await.unwrap();
        let error = run(&env, shell("echo no policy >&2; yes >&2 & sleep 0.1; exit 3")).await.unwrap_err();
        assert!(error.to_string().contains("exit status: 3"), "{error}");
        let missing = ProgramRun::new(vec!["/does/not/exist".to_owned()], Duration::from_secs(1));
        assert_eq!(run(&env, missing).await.unwrap_err().retry(), Retry::Never);
        assert!(run(&env, ProgramRun::new(Vec::new(), Duration::ZERO)).await.is_err());
    }

    #[tokio::test]
    async fn a_program_that_hangs_is_killed_with_its_children() {
        let env = SystemEnv::shared();
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
