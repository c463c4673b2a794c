//! The paths of a state folder, and its settings.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lepton_core::{Error, ErrorKind, Result, RetryClass};
use serde::{Deserialize, Serialize};

use super::files::{VERSION, create_folder, damaged, failed, is_gone, read_versioned, try_lock, write, write_json};

/// A state folder.
#[derive(Debug, Clone)]
pub(in crate::process) struct StateDir {
    root: PathBuf,
    /// An id that no other state folder has.
    pub(in crate::process) id: String,
}

/// The file that identifies a state folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StateFile {
    version: u32,
    id: String,
    settings: Settings,
}

/// What the supervisor must know beyond the workloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::process) struct Settings {
    /// The delay of the second restart; the first one is immediate, later ones double it.
    pub(in crate::process) restart_delay_ms: u64,
    /// How long a replica without probes must run before it counts as ready.
    pub(in crate::process) settle_ms: u64,
    /// How long the supervisor lives on without a workload.
    pub(in crate::process) idle_ms: u64,
    /// How many bytes of output are kept of each replica.
    pub(in crate::process) output_limit: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { restart_delay_ms: 10_000, settle_ms: 1_000, idle_ms: 10_000, output_limit: 64 << 20 }
    }
}

impl Settings {
    pub(in crate::process) fn settle(&self) -> Duration {
        Duration::from_millis(self.settle_ms)
    }

    pub(in crate::process) fn idle(&self) -> Duration {
        Duration::from_millis(self.idle_ms)
    }
}

/// Whether this can be the name of a workload, and so of a folder.
pub(in crate::process) fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !name.is_empty() && name.len() <= 63 && name.bytes().all(allowed)
}

impl StateDir {
    /// Opens a state folder, creates it if it does not exist, and changes its settings for the
    /// supervisors that start later. Returns `None` if something has to be written and another
    /// process has the lock.
    pub(in crate::process) fn create(root: &Path, random: u64, change: impl Fn(&mut Settings)) -> Result<Option<Self>> {
        create_folder(root)?;
        check_private(root)?;
        let (path, key, workloads) = (root.join("place.json"), root.join("key"), root.join("workloads"));
        let is_complete = |file: &StateFile| {
            let mut settings = file.settings;
            change(&mut settings);
            settings == file.settings && key.exists() && workloads.is_dir()
        };
        if !read_versioned(&path)?.is_some_and(|file| is_complete(&file)) {
            let Some(_lock) = try_lock(&root.join("state.lock"))? else { return Ok(None) };
            Self::write(root, random, &change)?;
        }
        Self::open(root).map(|(state_dir, _)| Some(state_dir))
    }

    /// Writes what is missing or to be changed. The caller has the lock.
    fn write(root: &Path, random: u64, change: impl Fn(&mut Settings)) -> Result<()> {
        create_folder(&root.join("workloads"))?;
        let key = root.join("key");
        if !key.exists() {
            let mut bytes = [0; 32];
            File::open("/dev/urandom")
                .and_then(|mut source| source.read_exact(&mut bytes))
                .map_err(|error| failed("the system gives no random bytes", Path::new("/dev/urandom"), error))?;
            write(&key, &bytes, true)?;
        }
        let path = root.join("place.json");
        let found = read_versioned::<StateFile>(&path)?;
        let mut wanted = found.clone().unwrap_or_else(|| StateFile {
            version: VERSION,
            id: format!("{random:016x}"),
            settings: Settings::default(),
        });
        change(&mut wanted.settings);
        if found.as_ref() == Some(&wanted) { Ok(()) } else { write_json(&path, &wanted, true) }
    }

    /// Opens a state folder that exists.
    pub(in crate::process) fn open(root: &Path) -> Result<(Self, Settings)> {
        let root = root.canonicalize().map_err(|error| failed("the state folder cannot be opened", root, error))?;
        check_private(&root)?;
        let path = root.join("place.json");
        let file = read_versioned::<StateFile>(&path)?.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "the folder is no state folder: it has no place.json")
                .with_context("path", root.display())
        })?;
        if file.id.is_empty() || !file.id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(damaged(&path, "its id is not made of hexadecimal digits"));
        }
        Ok((Self { root, id: file.id }, file.settings))
    }

    pub(in crate::process) fn root(&self) -> &Path {
        &self.root
    }

    /// Whether it is still there.
    pub(in crate::process) fn exists(&self) -> bool {
        self.root.join("place.json").exists()
    }

    /// The key of the digests of secrets.
    pub(in crate::process) fn key(&self) -> Result<Vec<u8>> {
        let path = self.root.join("key");
        let key = fs::read(&path).map_err(|error| failed("the key cannot be read", &path, error))?;
        if key.len() == 32 { Ok(key) } else { Err(damaged(&path, "it must have 32 bytes")) }
    }

    /// Takes the lock under which workloads are changed, unless another process has it. Nobody
    /// waits for it in a blocking call: a process that was stopped may hold it for any time.
    pub(in crate::process) fn try_lock(&self) -> Result<Option<File>> {
        try_lock(&self.root.join("state.lock"))
    }

    pub(in crate::process) fn supervisor_lock(&self) -> PathBuf {
        self.root.join("supervisor.lock")
    }

    pub(in crate::process) fn supervisor_file(&self) -> PathBuf {
        self.root.join("supervisor.json")
    }

    pub(in crate::process) fn supervisor_beat(&self) -> PathBuf {
        self.root.join("supervisor.beat")
    }

    pub(in crate::process) fn supervisor_log(&self) -> PathBuf {
        self.root.join("supervisor.log")
    }

    pub(in crate::process) fn workloads(&self) -> PathBuf {
        self.root.join("workloads")
    }

    pub(in crate::process) fn workload(&self, name: &str) -> PathBuf {
        self.workloads().join(name)
    }

    pub(in crate::process) fn replicas(&self, workload: &str) -> PathBuf {
        self.workload(workload).join("replicas")
    }

    /// The names of the workloads, in order.
    pub(in crate::process) fn names(&self) -> Result<Vec<String>> {
        folder_names(&self.workloads()).map(|names| names.into_iter().filter(|name| is_name(name)).collect())
    }

    /// What a killed process has left of workloads that were being made or removed.
    pub(in crate::process) fn leftovers(&self) -> Result<Vec<PathBuf>> {
        let names = folder_names(&self.workloads())?;
        Ok(names.iter().filter(|name| name.starts_with('.')).map(|name| self.workloads().join(name)).collect())
    }
}

/// The error for a lock of this state folder that another process has held for this time.
pub(in crate::process) fn locked(root: &Path, time: Duration) -> Error {
    let message = format!(
        "another process has held the lock state.lock for {} s; try again, and if that does not help, continue or \
         end the process, which `fuser` or `lslocks` names",
        time.as_secs()
    );
    Error::new(ErrorKind::Locked, message)
        .with_retry(RetryClass::Now)
        .with_context("path", root.join("state.lock").display())
}

/// The names in a folder, in order; none if it is absent.
pub(in crate::process) fn folder_names(folder: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if is_gone(&error) => return Ok(Vec::new()),
        Err(error) => return Err(failed("the folder cannot be read", folder, error)),
    };
    let mut names: Vec<_> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names)
}

/// Refuses a folder that others could enter or that belongs to somebody else.
fn check_private(root: &Path) -> Result<()> {
    let found = fs::metadata(root).map_err(|error| failed("the state folder cannot be opened", root, error))?;
    let refuse = |why: String| {
        Err(Error::new(ErrorKind::PermissionDenied, format!("the state folder {why}"))
            .with_context("path", root.display()))
    };
    if !found.is_dir() {
        return Err(Error::invalid_input("the state folder is no folder").with_context("path", root.display()));
    }
    if found.uid() != rustix::process::getuid().as_raw() {
        return refuse("belongs to another user".into());
    }
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return refuse(format!("has mode {mode:o}, and others could read it; give it mode 700"));
    }
    Ok(())
}
