//! Commands that print credentials.
//!
//! They run without a shell. What they print is a secret and never appears in an error.
//! What they report about a failure does, except for what could be a secret.

use std::future::pending;
use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use futures_util::future::{Either, select};
use lepton_core::{Error, SharedEnv};
use secrecy::zeroize::Zeroizing;
use tokio::net::unix::pipe::Receiver;

use super::words::first_line;
use crate::wire::secrets::Secrets;

/// The most output of a command that is accepted, in bytes.
const MOST_OUTPUT: usize = 64 << 10;
/// The most of its error output that is kept, in bytes.
const MOST_SAID: usize = 4 << 10;
/// The shortest word of its output that is treated as a secret, in bytes.
const SHORTEST_WORD: usize = 8;
/// The maximum number of such words that are searched for.
const MOST_WORDS: usize = 64;
/// The timeout of a command.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest interval between two checks whether it has ended.
const LOOK: Duration = Duration::from_millis(100);

/// Why a command returned nothing.
#[derive(Debug)]
pub(crate) struct Failed {
    why: &'static str,
    source: Option<Error>,
    /// The first line of its error output.
    said: Option<String>,
}

impl Failed {
    /// The error that `name` makes from it.
    pub(crate) fn of(self, name: impl FnOnce(&'static str) -> Error) -> Error {
        let error = match self.said {
            Some(said) => name(self.why).with_context("stderr", said),
            None => name(self.why),
        };
        match self.source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }
}

fn failed(why: &'static str) -> Failed {
    Failed { why, source: None, said: None }
}

fn because(why: &'static str, source: io::Error) -> Failed {
    Failed { source: Some(Error::io("the system refused", source)), ..failed(why) }
}

/// Runs a command and returns what it prints. It is killed when it takes too long, or
/// when the future is dropped.
pub(crate) async fn output(env: &SharedEnv, command: &[String]) -> Result<Zeroizing<Vec<u8>>, Failed> {
    output_within(env, command, PATIENCE).await
}

async fn output_within(env: &SharedEnv, command: &[String], patience: Duration) -> Result<Zeroizing<Vec<u8>>, Failed> {
    let mut running = Running::start(command)?;
    let mut stdout = Pipe::new(running.0.stdout.take().map(OwnedFd::from), MOST_OUTPUT + 1)?;
    let mut stderr = Pipe::new(running.0.stderr.take().map(OwnedFd::from), MOST_SAID)?;
    let ended = {
        let working = Box::pin(work(env, &mut running, &mut stdout));
        let listening = Box::pin(stderr.listen());
        match select(select(working, listening), env.sleep(patience)).await {
            Either::Left((Either::Left((ended, _)), _)) => ended,
            Either::Left((Either::Right(_), _)) | Either::Right(_) => Err(failed("took longer than a minute")),
        }
    };
    drop(running);
    // The last of the error output may not have been read yet.
    stderr.hear();
    let failed = match ended {
        Ok(status) if status.success() => return Ok(stdout.kept),
        Ok(_) => failed("ended with a failure"),
        Err(failed) => failed,
    };
    Err(Failed { said: first_line(&stderr.kept, &printed(&stdout.kept)), ..failed })
}

/// The output of a command that failed, as secrets: the strings of its JSON, or its
/// words.
fn printed(output: &[u8]) -> Secrets {
    fn texts(value: &serde_json::Value, secrets: Secrets) -> Secrets {
        match value {
            serde_json::Value::String(text) => secrets.text(text),
            serde_json::Value::Array(values) => values.iter().fold(secrets, |all, value| texts(value, all)),
            serde_json::Value::Object(fields) => fields.values().fold(secrets, |all, value| texts(value, all)),
            _ => secrets,
        }
    }
    if let Ok(value) = serde_json::from_slice(output) {
        return texts(&value, Secrets::default());
    }
    let text = Zeroizing::new(String::from_utf8_lossy(output).into_owned());
    let words = text.split(|letter: char| letter.is_whitespace() || "\"'{}[],".contains(letter));
    words.filter(|word| word.len() >= SHORTEST_WORD).take(MOST_WORDS).fold(Secrets::default(), Secrets::text)
}

/// Reads the output of a command until it ends, even if a process that it left behind
/// keeps the output open.
async fn work(env: &SharedEnv, running: &mut Running, stdout: &mut Pipe) -> Result<ExitStatus, Failed> {
    let status = {
        let hearing = Box::pin(heard(stdout));
        let ending = Box::pin(running.ended(env));
        match select(hearing, ending).await {
            Either::Left((heard, ending)) => {
                heard?;
                ending.await?
            }
            Either::Right((status, _)) => status?,
        }
    };
    stdout.hear();
    if stdout.kept.len() > MOST_OUTPUT {
        return Err(failed("prints too much"));
    }
    Ok(status)
}

async fn heard(stdout: &mut Pipe) -> Result<(), Failed> {
    while stdout.some().await.map_err(|error| because("cannot be read from", error))? > 0 {
        if stdout.kept.len() > MOST_OUTPUT {
            return Err(failed("prints too much"));
        }
    }
    Ok(())
}

/// A running command, which is killed on drop.
struct Running(Child);

impl Running {
    fn start(command: &[String]) -> Result<Self, Failed> {
        let (program, arguments) = command.split_first().ok_or_else(|| failed("is empty"))?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().map(Self).map_err(|error| because("cannot be started", error))
    }

    async fn ended(&mut self, env: &SharedEnv) -> Result<ExitStatus, Failed> {
        let mut wait = Duration::from_millis(1);
        loop {
            let status = self.0.try_wait().map_err(|error| because("cannot be waited for", error))?;
            if let Some(status) = status {
                return Ok(status);
            }
            env.sleep(wait).await;
            wait = LOOK.min(wait * 2);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already, which does no harm. A killed process ends
        // immediately: waiting for it here leaves no zombie behind, even if the runtime
        // is shutting down.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The output of a command, up to the limit that is kept.
struct Pipe {
    end: Receiver,
    kept: Zeroizing<Vec<u8>>,
    most: usize,
}

impl Pipe {
    fn new(end: Option<OwnedFd>, most: usize) -> Result<Self, Failed> {
        let end = end.ok_or_else(|| failed("has no output"))?;
        let end = Receiver::from_owned_fd(end).map_err(|error| because("cannot be read from", error))?;
        // The capacity never grows, so that no copy of a secret is left in freed memory.
        Ok(Self { end, kept: Zeroizing::new(Vec::with_capacity(most)), most })
    }

    /// Waits for more output and stores it. Returns its length, 0 at the end.
    async fn some(&mut self) -> io::Result<usize> {
        loop {
            self.end.readable().await?;
            match self.take() {
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                taken => return taken,
            }
        }
    }

    fn take(&mut self) -> io::Result<usize> {
        let mut buffer = Zeroizing::new([0; 4096]);
        let taken = self.end.try_read(&mut *buffer)?;
        self.keep(&buffer[..taken]);
        Ok(taken)
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = self.most - self.kept.len();
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// Reads without end, because a process that the command left behind may keep the
    /// pipe open.
    async fn listen(&mut self) {
        while matches!(self.some().await, Ok(1..)) {}
        pending::<()>().await;
    }

    /// Reads what is available. This asks the system directly, because the runtime may
    /// not have noticed yet.
    fn hear(&mut self) {
        let mut buffer = Zeroizing::new([0; 4096]);
        while self.kept.len() < self.most {
            match rustix::io::read(&self.end, &mut *buffer) {
                Ok(taken @ 1..) => self.keep(&buffer[..taken]),
                _ => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use lepton_core::{EnvExt as _, ErrorKind, SystemEnv};

    use super::*;

    fn shell(script: &str) -> Vec<String> {
        ["sh", "-c", script].map(str::to_owned).to_vec()
    }

    async fn failure(script: &str, patience: Duration) -> Error {
        let failed = output_within(&SystemEnv::shared(), &shell(script), patience).await.unwrap_err();
        failed.of(|why| Error::new(ErrorKind::Unauthenticated, why))
    }

    #[tokio::test]
    async fn what_is_printed_is_given_and_the_most_is_kept_to() {
        let env = SystemEnv::shared();
        let printed = output(&env, &shell("printf abc; printf warning >&2; exec 1>&-; sleep 0.01")).await.unwrap();
        assert_eq!(**printed, *b"abc");
        let most = output(&env, &shell("head -c 65536 /dev/zero; head -c 1000000 /dev/zero >&2")).await.unwrap();
        assert_eq!(most.len(), MOST_OUTPUT);
        assert_eq!(failure("yes", PATIENCE).await.message(), "prints too much");
    }

    #[tokio::test]
    async fn what_a_command_leaves_behind_is_not_waited_for() {
        let printed = output(&SystemEnv::shared(), &shell("sleep 1000 & echo $!")).await.unwrap();
        let left = std::str::from_utf8(&printed).unwrap().trim();
        assert!(Path::new("/proc").join(left).exists());
        assert!(Command::new("kill").arg(left).status().unwrap().success());
    }

    #[tokio::test]
    async fn the_first_line_of_what_it_says_is_told() {
        let error = failure("echo; echo 'the session has expired' >&2; echo more >&2; exit 3", PATIENCE).await;
        assert_eq!(error.message(), "ended with a failure");
        assert_eq!(error.context("stderr"), Some("the session has expired"));
        assert_eq!(failure("exit 3", PATIENCE).await.context("stderr"), None);
        let slow = failure("echo 'asking' >&2; exec sleep 1000", Duration::from_millis(300)).await;
        assert_eq!(slow.message(), "took longer than a minute");
    }

    /// The process whose id is in a file, once the file exists.
    async fn process(file: &Path) -> std::path::PathBuf {
        loop {
            match std::fs::read_to_string(file) {
                Ok(number) if number.ends_with('\n') => return Path::new("/proc").join(number.trim()),
                _ => tokio::task::yield_now().await,
            }
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn nothing_is_left_of_a_command_that_nobody_waits_for() {
        for script in ["exec sleep 1000", "exec 1>&-; exec sleep 1000"] {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("pid");
            let command = shell(&format!("echo $$ > {}; {script}", file.display()));
            let env = SystemEnv::shared();
            let waiting = Box::pin(output(&env, &command));
            let started = Box::pin(process(&file));
            let Either::Right((process, waiting)) = select(waiting, started).await else { panic!("it ended") };
            assert!(process.exists());
            drop(waiting);
            assert!(!process.exists(), "{script}: a process, or what is left of a dead one");
        }
    }

    #[test]
    fn a_runtime_that_stops_stops_the_command() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let command = shell(&format!("echo $$ > {}; exec sleep 1000", file.display()));
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let process = runtime.block_on(async {
            let env = SystemEnv::shared();
            drop(env.clone().spawn_task(async move { output(&env, &command).await.is_ok() }));
            process(&file).await
        });
        assert!(process.exists());
        drop(runtime);
        assert!(!process.exists());
    }
}
