//! Commands that print credentials.
//!
//! They run without a shell. What they print is a secret and never appears in an error.
//! What they report about a failure does, except for what could be a secret.

use std::future::pending;
use std::io;
use std::os::fd::AsFd;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use futures_util::future::{Either, select};
use lepton_core::{Error, SharedRuntime};
use secrecy::zeroize::Zeroizing;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

use super::redact::first_line;
use crate::wire::secrets::Secrets;

/// The most output of a command that is accepted, in bytes.
const MOST_OUTPUT: usize = 64 << 10;
/// The most of its error output that is kept, in bytes.
const MOST_ERRORS: usize = 4 << 10;
/// The shortest word of its output that is treated as a secret, in bytes.
const SHORTEST_WORD: usize = 8;
/// The maximum number of such words that are searched for.
const MOST_WORDS: usize = 64;
/// The timeout of a command.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Why a command returned nothing.
#[derive(Debug)]
pub(crate) struct Failure {
    why: &'static str,
    source: Option<Error>,
    /// The first line of its error output.
    stderr: Option<String>,
}

impl Failure {
    fn new(why: &'static str) -> Self {
        Self { why, source: None, stderr: None }
    }

    fn io(why: &'static str, source: io::Error) -> Self {
        Self { source: Some(Error::io("the system refused", source)), ..Self::new(why) }
    }

    /// The error that `name` makes from it.
    pub(crate) fn into_error(self, name: impl FnOnce(&'static str) -> Error) -> Error {
        let error = match self.stderr {
            Some(line) => name(self.why).with_context("stderr", line),
            None => name(self.why),
        };
        match self.source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }
}

/// Runs a command and returns what it prints. It is killed when it takes too long, or
/// when the future is dropped.
pub(crate) async fn output(env: &SharedRuntime, command: &[String]) -> Result<Zeroizing<Vec<u8>>, Failure> {
    output_within(env, command, TIMEOUT).await
}

async fn output_within(
    env: &SharedRuntime,
    command: &[String],
    timeout: Duration,
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut child = start(command)?;
    let mut stdout = Pipe::new(child.stdout.take(), MOST_OUTPUT + 1)?;
    let mut stderr = Pipe::new(child.stderr.take(), MOST_ERRORS)?;
    let ended = {
        let (running, draining) = (pin!(run(&mut child, &mut stdout)), pin!(stderr.drain()));
        match select(select(running, draining), env.sleep(timeout)).await {
            Either::Left((Either::Left((ended, _)), _)) => ended,
            Either::Left((Either::Right(_), _)) | Either::Right(_) => Err(Failure::new("took longer than a minute")),
        }
    };
    let failure = match ended {
        Ok(status) if status.success() => return Ok(stdout.kept),
        Ok(_) => Failure::new("ended with a failure"),
        Err(failure) => {
            // It may have ended already, which does no harm.
            let _ = child.kill().await;
            failure
        }
    };
    // The last of the error output may not have been read yet.
    stderr.read_available();
    Err(Failure { stderr: first_line(&stderr.kept, &printed(&stdout.kept)), ..failure })
}

/// Splits the words of a command as botocore does, with Python's `shlex.split`: with quotes and backslashes
/// only. `None` if a quote is not closed. A splitter for shells would also know comments
/// and escaped dollar signs.
pub(crate) fn split(command: &str) -> Option<Vec<String>> {
    let mut words: Vec<String> = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut characters = command.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), close) if open == close => quote = None,
            (Some('\''), other) => word.get_or_insert_default().push(other),
            (Some(_), '\\') => match characters.next()? {
                escaped @ ('"' | '\\') => word.get_or_insert_default().push(escaped),
                other => word.get_or_insert_default().extend(['\\', other]),
            },
            (Some(_), other) => word.get_or_insert_default().push(other),
            (None, open @ ('"' | '\'')) => {
                word.get_or_insert_default();
                quote = Some(open);
            }
            (None, '\\') => word.get_or_insert_default().push(characters.next()?),
            (None, space) if space.is_whitespace() => words.extend(word.take()),
            (None, other) => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

fn start(command: &[String]) -> Result<Child, Failure> {
    let (program, arguments) = command.split_first().ok_or_else(|| Failure::new("is empty"))?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command.spawn().map_err(|error| Failure::io("cannot be started", error))
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
async fn run<R: AsyncRead + AsFd + Unpin>(child: &mut Child, stdout: &mut Pipe<R>) -> Result<ExitStatus, Failure> {
    let wait_failed = |error| Failure::io("cannot be waited for", error);
    let status = {
        let (reading, waiting) = (pin!(read_all(stdout)), pin!(child.wait()));
        match select(reading, waiting).await {
            Either::Left((read, waiting)) => {
                read?;
                waiting.await.map_err(wait_failed)?
            }
            Either::Right((status, _)) => status.map_err(wait_failed)?,
        }
    };
    stdout.read_available();
    if stdout.kept.len() > MOST_OUTPUT {
        return Err(Failure::new("prints too much"));
    }
    Ok(status)
}

async fn read_all<R: AsyncRead + AsFd + Unpin>(stdout: &mut Pipe<R>) -> Result<(), Failure> {
    while stdout.read().await.map_err(|error| Failure::io("cannot be read from", error))? > 0 {
        if stdout.kept.len() > MOST_OUTPUT {
            return Err(Failure::new("prints too much"));
        }
    }
    Ok(())
}

/// The output of a command, up to the limit that is kept.
struct Pipe<R> {
    end: R,
    kept: Zeroizing<Vec<u8>>,
    most: usize,
}

impl<R: AsyncRead + AsFd + Unpin> Pipe<R> {
    fn new(end: Option<R>, most: usize) -> Result<Self, Failure> {
        let end = end.ok_or_else(|| Failure::new("has no output"))?;
        // The capacity never grows, so that no copy of a secret is left in freed memory.
        Ok(Self { end, kept: Zeroizing::new(Vec::with_capacity(most)), most })
    }

    /// Waits for more output and stores it. Returns its length, 0 at the end.
    async fn read(&mut self) -> io::Result<usize> {
        let mut buffer = Zeroizing::new([0; 4096]);
        let len = self.end.read(&mut *buffer).await?;
        self.keep(&buffer[..len]);
        Ok(len)
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = self.most - self.kept.len();
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// Reads all output, so that the command is not held up. Never returns, because only
    /// the end of the command matters.
    async fn drain(&mut self) {
        while matches!(self.read().await, Ok(1..)) {}
        pending::<()>().await;
    }

    /// Reads what is available. This asks the system directly, because the runtime may
    /// not have noticed yet.
    fn read_available(&mut self) {
        let mut buffer = Zeroizing::new([0; 4096]);
        while self.kept.len() < self.most {
            match rustix::io::read(&self.end, &mut *buffer) {
                Ok(len @ 1..) => self.keep(&buffer[..len]),
                _ => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use lepton_core::{ErrorKind, RuntimeExt as _, SystemRuntime};
    use proptest::prelude::*;

    use super::*;

    fn shell(script: &str) -> Vec<String> {
        ["sh", "-c", script].map(str::to_owned).to_vec()
    }

    async fn failure(script: &str, timeout: Duration) -> Error {
        let failed = output_within(&SystemRuntime::shared(), &shell(script), timeout).await.unwrap_err();
        failed.into_error(|why| Error::new(ErrorKind::Unauthenticated, why))
    }

    #[tokio::test]
    async fn output_is_returned_up_to_the_limit() {
        let env = SystemRuntime::shared();
        let printed = output(&env, &shell("printf abc; printf warning >&2; exec 1>&-; sleep 0.01")).await.unwrap();
        assert_eq!(**printed, *b"abc");
        let most = output(&env, &shell("head -c 65536 /dev/zero; head -c 1000000 /dev/zero >&2")).await.unwrap();
        assert_eq!(most.len(), MOST_OUTPUT);
        assert_eq!(failure("yes", TIMEOUT).await.message(), "prints too much");
    }

    #[tokio::test]
    async fn children_of_a_command_are_not_waited_for() {
        let printed = output(&SystemRuntime::shared(), &shell("sleep 1000 & echo $!")).await.unwrap();
        let left = std::str::from_utf8(&printed).unwrap().trim();
        assert!(Path::new("/proc").join(left).exists());
        assert!(std::process::Command::new("kill").arg(left).status().unwrap().success());
    }

    #[tokio::test]
    async fn the_first_line_of_stderr_is_reported() {
        let error = failure("echo; echo 'the session has expired' >&2; echo more >&2; exit 3", TIMEOUT).await;
        assert_eq!(error.message(), "ended with a failure");
        assert_eq!(error.context("stderr"), Some("the session has expired"));
        assert_eq!(failure("exit 3", TIMEOUT).await.context("stderr"), None);
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

    /// Waits until a process has ended. It may not have been reaped yet.
    fn wait_for_end(process: &Path) {
        let state = || std::fs::read_to_string(process.join("stat")).ok();
        while state().is_some_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with('Z'))) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_cancelled_command_is_killed() {
        for script in ["exec sleep 1000", "exec 1>&-; exec sleep 1000"] {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("pid");
            let command = shell(&format!("echo $$ > {}; {script}", file.display()));
            let env = SystemRuntime::shared();
            let waiting = Box::pin(output(&env, &command));
            let started = Box::pin(process(&file));
            let Either::Right((process, waiting)) = select(waiting, started).await else { panic!("it ended") };
            assert!(process.exists());
            drop(waiting);
            // The runtime reaps it.
            while process.exists() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }

    #[test]
    fn a_runtime_that_stops_stops_the_command() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let command = shell(&format!("echo $$ > {}; exec sleep 1000", file.display()));
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let process = runtime.block_on(async {
            let env = SystemRuntime::shared();
            drop(env.clone().spawn_task(async move { output(&env, &command).await.is_ok() }));
            process(&file).await
        });
        assert!(process.exists());
        drop(runtime);
        wait_for_end(&process);
    }

    #[test]
    fn words_are_split_as_by_a_shell() {
        assert_eq!(split(r#"a  "b c" 'd"e' f\ g "h\"i\n" """#).unwrap(), ["a", "b c", "d\"e", "f g", "h\"i\\n", ""]);
        assert_eq!(split("a 'b"), None);
    }

    proptest! {
        #[test]
        fn no_command_panics(command in "\\PC*") {
            split(&command);
        }
    }
}
