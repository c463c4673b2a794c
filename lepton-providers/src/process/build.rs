//! From options to a deployment.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use lepton_core::{Result, SharedRuntime, SystemRuntime};

#[cfg(target_os = "linux")]
use super::driver::ProcessDeployment;
#[cfg(not(target_os = "linux"))]
use super::elsewhere::ProcessDeployment;
use super::options::Options;

/// Builds a [`ProcessDeployment`].
#[derive(Debug, Clone)]
pub struct ProcessBuilder {
    options: Options,
    env: Option<SharedRuntime>,
}

impl ProcessDeployment {
    /// A deployment whose state is in this folder.
    pub fn builder(folder: impl Into<PathBuf>) -> ProcessBuilder {
        ProcessBuilder { options: Options::new(folder.into()), env: None }
    }
}

impl ProcessBuilder {
    /// How the supervisor is started: a program that calls [`supervise`](super::supervise) with
    /// the state folder, and all its arguments. The first line of its main function must be a
    /// call of [`supervise_if_asked`](super::supervise_if_asked), since the supervisor starts
    /// each replica through its own program. By default it is this program, with the arguments
    /// `lepton-supervise <folder>`, which `supervise_if_asked` understands.
    #[must_use]
    pub fn supervisor(
        mut self,
        program: impl Into<PathBuf>,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Self {
        self.options.supervisor = Some((program.into(), arguments.into_iter().map(Into::into).collect()));
        self
    }

    /// The folder for the values of secrets, which should be in memory. By default it is
    /// `lepton` in `$XDG_RUNTIME_DIR`, or `lepton-<user id>` in `/dev/shm`, whichever is a
    /// tmpfs.
    #[must_use]
    pub fn secrets_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.options.secrets_folder = Some(folder.into());
        self
    }

    /// The delay of a replica's second restart in a row. The first is immediate, each later one
    /// waits twice as long as the one before, up to five minutes. 10 s by default.
    #[must_use]
    pub fn restart_delay(mut self, delay: Duration) -> Self {
        self.options.restart_delay = Some(delay);
        self
    }

    /// How long a replica without a startup and a readiness probe must have run before it counts
    /// as ready, so that a program that ends at once never counts as ready. 1 s by default.
    #[must_use]
    pub fn settle(mut self, time: Duration) -> Self {
        self.options.settle = Some(time);
        self
    }

    /// How long the supervisor lives on without a workload. 10 s by default.
    #[must_use]
    pub fn idle(mut self, time: Duration) -> Self {
        self.options.idle = Some(time);
        self
    }

    /// How many bytes of its output are kept of each replica, on the disk. Beyond that the older
    /// half is given back, where the file system supports that (ext4, xfs, btrfs, tmpfs). 64 MiB
    /// by default.
    #[must_use]
    pub fn output_limit(mut self, bytes: u64) -> Self {
        self.options.output_limit = Some(bytes);
        self
    }

    /// For how long a supervisor may be silent before a call that observes or changes a workload
    /// reports that and replaces it; see the [module](crate::process). 10 s by default, at least
    /// 1 s.
    #[must_use]
    pub fn silence(mut self, time: Duration) -> Self {
        self.options.silence = time.max(Duration::from_secs(1));
        self
    }

    /// Takes tasks, time and randomness from `env` instead of the system.
    #[must_use]
    pub fn runtime(mut self, runtime: SharedRuntime) -> Self {
        self.env = Some(runtime);
        self
    }

    /// Opens the state folder, and creates it with mode 700 if it does not exist. The restart delay,
    /// the two times and the limit of the output are stored in the folder, for the supervisors that
    /// start later.
    ///
    /// # Errors
    /// `permission_denied` for a folder that others could read; `invalid_input` for one whose
    /// files are damaged; `locked` if something has to be written and another process keeps the lock
    /// `state.lock` for longer than [`silence`](Self::silence) and 5 s; `unsupported` on a system
    /// other than Linux 5.3 or later.
    pub async fn open(self) -> Result<ProcessDeployment> {
        ProcessDeployment::open(self.options, self.env.unwrap_or_else(SystemRuntime::shared)).await
    }
}
