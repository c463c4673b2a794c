//! Starts a supervisor where none is alive.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lepton_core::{Error, ErrorKind, Result};
use rustix::process::Signal;

use crate::process::state::{StateDir, failed, read_json, silence, try_lock};
use crate::process::supervisor::{INHERITED, PATIENCE};
use crate::process::system::Identity;

/// The variable by which a program that was started as a supervisor knows that it is one.
const GUARD: &str = "LEPTON_SUPERVISOR";

/// Variables for the supervisor itself.
const FOR_DIAGNOSIS: [&str; 2] = ["RUST_BACKTRACE", "RUST_LOG"];

/// After so many supervisors that ended at once, something is wrong with the program.
const TOO_MANY: u32 = 3;

/// The least time between two starts.
const PAUSE: Duration = Duration::from_millis(500);

/// How a supervisor is started.
#[derive(Debug)]
pub(super) struct Summoner {
    program: PathBuf,
    arguments: Vec<OsString>,
    /// The longest silence of a supervisor.
    silence: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    child: Option<Child>,
    /// Supervisors of this driver that were killed, until they have been reaped.
    killed: Vec<Child>,
    /// When the last one was started.
    started: Option<Duration>,
    /// How many have ended by themselves before they were seen alive, one after the other.
    failures: u32,
    last: Option<String>,
}

/// Whether there is a supervisor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Supervision {
    Runs,
    Starting,
    /// It is alive, but has been silent for too long.
    Silent(String),
    /// It ends again and again.
    Fails(String),
}

impl Summoner {
    pub(super) fn new(program: PathBuf, arguments: Vec<OsString>, silence: Duration) -> Self {
        Self { program, arguments, silence, state: Mutex::default() }
    }

    /// The longest silence of a supervisor.
    pub(super) fn silence(&self) -> Duration {
        self.silence
    }

    /// The program.
    pub(super) fn program(&self) -> &std::path::Path {
        &self.program
    }

    /// Starts a supervisor unless one is alive, and replaces one that is silent. `now` is the
    /// uptime of the environment.
    ///
    /// # Errors
    /// Errors of the system, such as `not_found` for a program that does not exist.
    pub(super) fn ensure(&self, state_dir: &StateDir, now: Duration) -> Result<Supervision> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let exit = state.reap();
        // A file that was damaged by a power failure belongs to a supervisor that no longer runs.
        let file = read_json::<Identity>(&state_dir.supervisor_file()).ok().flatten();
        let mut silent = None;
        if let Some(process) = file.filter(Identity::is_alive) {
            let Some(time) = silence(state_dir).filter(|time| *time > self.silence) else {
                state.failures = 0;
                return Ok(Supervision::Runs);
            };
            let why = format!("the supervisor, process {}, has been silent for {} s", process.pid, time.as_secs());
            if Identity::own().is_ok_and(|own| own == process) {
                return Ok(Supervision::Silent(format!("{why}; it is part of this program, which must be restarted")));
            }
            state.replace(state_dir, &process)?;
            silent = Some(format!("{why}; it is being replaced"));
        } else {
            state.end_late(now, self.silence + PATIENCE);
        }
        // A supervisor that was killed does not show that its program is wrong.
        if let Some(exit) = exit.filter(|exit| exit.code().is_some()) {
            state.failures = state.failures.saturating_add(1);
            state.last = Some(format!("the supervisor {} ended with {exit}", self.program.display()));
        }
        let recent = state.started.is_some_and(|started| now.saturating_sub(started) < PAUSE);
        if state.child.is_none() && !(recent && state.failures > 0) {
            state.child = Some(self.start(state_dir)?);
            state.started = Some(now);
        }
        if let Some(why) = silent {
            return Ok(Supervision::Silent(why));
        }
        match &state.last {
            Some(last) if state.failures >= TOO_MANY => Ok(Supervision::Fails(format!(
                "{last}; its output is in {}; its main function must call supervise_if_asked first",
                state_dir.supervisor_log().display()
            ))),
            _ => Ok(Supervision::Starting),
        }
    }

    fn start(&self, state_dir: &StateDir) -> Result<Child> {
        if std::env::var_os(GUARD).is_some() {
            let message = "this program was started as a supervisor, but it uses deployments instead; \
                           its main function must call supervise_if_asked first";
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let path = state_dir.supervisor_log();
        let log = || OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        let (output, errors) = log()
            .and_then(|first| Ok((first, log()?)))
            .map_err(|error| failed("the log cannot be opened", &path, error))?;
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear().current_dir("/");
        for name in INHERITED.into_iter().chain(FOR_DIAGNOSIS) {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.env(GUARD, state_dir.root()).stdin(Stdio::null()).stdout(output).stderr(errors);
        command.spawn().map_err(|error| failed("the supervisor cannot be started", &self.program, error))
    }
}

impl State {
    /// The exit of the last supervisor, once.
    fn reap(&mut self) -> Option<ExitStatus> {
        self.killed.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        let exit = self.child.as_mut()?.try_wait().ok().flatten();
        if exit.is_some() {
            self.child = None;
        }
        exit
    }

    /// Ends a supervisor that is silent. Where nobody has the lock, this process is no supervisor
    /// any more, and is left alone.
    fn replace(&mut self, state_dir: &StateDir, process: &Identity) -> Result<()> {
        if try_lock(&state_dir.supervisor_lock())?.is_none() {
            process.signal(Signal::KILL);
        }
        self.killed.extend(self.child.take_if(|child| child.id().cast_signed() == process.pid));
        Ok(())
    }

    /// Ends a supervisor that should have begun long ago.
    fn end_late(&mut self, now: Duration, limit: Duration) {
        if self.started.is_some_and(|started| now.saturating_sub(started) <= limit) {
            return;
        }
        if let Some(mut child) = self.child.take() {
            // It may have ended just now.
            let _ = child.kill();
            self.killed.push(child);
            self.failures = self.failures.saturating_add(1);
            self.last = Some(format!("a supervisor has not begun within {} s", limit.as_secs()));
        }
    }
}
