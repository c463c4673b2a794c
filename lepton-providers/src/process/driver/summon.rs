//! Starts a supervisor where none is alive.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lepton_core::{Error, ErrorKind, Result};

use crate::process::state::{StateDir, failed, read_json};
use crate::process::supervisor::INHERITED;
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
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    child: Option<Child>,
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
    /// It ends again and again.
    Fails(String),
}

impl Summoner {
    pub(super) fn new(program: PathBuf, arguments: Vec<OsString>) -> Self {
        Self { program, arguments, state: Mutex::default() }
    }

    /// The program.
    pub(super) fn program(&self) -> &std::path::Path {
        &self.program
    }

    /// Starts a supervisor unless one is alive. `now` is the uptime of the environment.
    ///
    /// # Errors
    /// Errors of the system, such as `not_found` for a program that does not exist.
    pub(super) fn ensure(&self, state_dir: &StateDir, now: Duration) -> Result<Supervision> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let exit = state.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
        // A file that a failure of power has damaged is one of a supervisor that is gone.
        let file = read_json::<Identity>(&state_dir.supervisor_file()).ok().flatten();
        let alive = file.is_some_and(|process| process.is_alive());
        if exit.is_some() {
            state.child = None;
        }
        if alive {
            state.failures = 0;
            return Ok(Supervision::Runs);
        }
        // One that was killed says nothing about its program.
        if let Some(exit) = exit.filter(|exit| exit.code().is_some()) {
            state.failures = state.failures.saturating_add(1);
            state.last = Some(format!("the supervisor {} ended with {exit}", self.program.display()));
        }
        let recent = state.started.is_some_and(|started| now.saturating_sub(started) < PAUSE);
        if state.child.is_none() && !(recent && state.failures > 0) {
            state.child = Some(self.start(state_dir)?);
            state.started = Some(now);
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
