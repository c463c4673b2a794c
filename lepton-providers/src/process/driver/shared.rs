//! What the methods share.

use lepton_core::deployment::DeploymentCapabilities;
use lepton_core::{Error, ErrorKind, Result, SharedRuntime};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::summon::Summoner;
use crate::process::options::Options;
use crate::process::state::{StateDir, Workload, default_folder};
use crate::process::supervisor::SUPERVISE;
use crate::process::system::Identity;

/// The state folder, and how to reach its supervisor.
#[derive(Debug)]
pub(super) struct Driver {
    pub(super) env: SharedRuntime,
    pub(super) state_dir: StateDir,
    pub(super) summoner: Summoner,
    /// Where the values of secrets are kept, if there is such a folder.
    pub(super) secrets: Option<std::path::PathBuf>,
    capabilities: DeploymentCapabilities,
    url: String,
}

/// What is escaped in the path of a URL.
const NOT_IN_URL: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The error for an absent workload.
pub(super) fn absent(name: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no workload {name}")).with_context("workload", name)
}

impl Driver {
    /// Opens the state folder; `None` if it has to be changed and another process has the lock.
    pub(super) fn open(options: Options, env: SharedRuntime) -> Result<Option<Self>> {
        if !Identity::is_supported() {
            let message =
                "processes cannot be distinguished here: this needs Linux 5.3 or later, with pidfds and /proc";
            return Err(Error::unsupported(message));
        }
        let created = StateDir::create(&options.folder, env.random(), |settings| {
            let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            let set = |to: &mut u64, time: Option<_>| *to = time.map_or(*to, millis);
            set(&mut settings.restart_delay_ms, options.restart_delay);
            set(&mut settings.settle_ms, options.settle);
            set(&mut settings.idle_ms, options.idle);
            settings.output_limit = options.output_limit.unwrap_or(settings.output_limit);
        })?;
        let Some(state_dir) = created else { return Ok(None) };
        let (program, arguments) = match options.supervisor {
            Some(started) => started,
            None => {
                let program = std::env::current_exe().map_err(|error| Error::io("this program is not known", error))?;
                // A program that was removed or replaced can still be started from memory.
                let program = if program.exists() { program } else { "/proc/self/exe".into() };
                (program, vec![SUPERVISE.into(), state_dir.root().into()])
            }
        };
        let mut capabilities = DeploymentCapabilities::new();
        (capabilities.commands, capabilities.rolling_update, capabilities.revisions) =
            (true, true, Workload::max_revisions());
        let bytes = std::os::unix::ffi::OsStrExt::as_bytes(state_dir.root().as_os_str());
        let url = format!("process://{}", percent_encode(bytes, NOT_IN_URL));
        let secrets = options.secrets_folder.or_else(default_folder);
        let summoner = Summoner::new(program, arguments, options.silence);
        Ok(Some(Self { env, state_dir, summoner, secrets, capabilities, url }))
    }

    /// The folder for the values of a workload with a valid name.
    pub(super) fn secrets_of(&self, name: &str) -> Option<std::path::PathBuf> {
        self.secrets.as_ref().map(|folder| folder.join(&self.state_dir.id).join(name))
    }

    pub(super) fn capabilities(&self) -> &DeploymentCapabilities {
        &self.capabilities
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }
}
