//! From settings to a store.

use std::path::PathBuf;

use lepton_core::{Result, SharedRuntime, SystemRuntime};

use super::config::{Durability, EmptyDirectories, LocalConfig, SpecialFiles, Symlinks};
use super::disk::LocalStorage;

/// Builds a [`LocalStorage`].
#[derive(Debug, Clone)]
pub struct LocalBuilder {
    settings: LocalConfig,
    env: Option<SharedRuntime>,
}

impl LocalStorage {
    /// A store in this folder, with default settings.
    pub fn builder(root: impl Into<PathBuf>) -> LocalBuilder {
        LocalBuilder::new(LocalConfig { root: root.into(), ..LocalConfig::default() })
    }

    /// A store with these settings.
    pub fn from_settings(settings: LocalConfig) -> LocalBuilder {
        LocalBuilder::new(settings)
    }
}

impl LocalBuilder {
    fn new(settings: LocalConfig) -> Self {
        Self { settings, env: None }
    }

    /// Creates the root if it does not exist.
    #[must_use]
    pub fn create_root(mut self, yes: bool) -> Self {
        self.settings.create_root = yes;
        self
    }

    /// How to treat symbolic links.
    #[must_use]
    pub fn symlinks(mut self, policy: Symlinks) -> Self {
        self.settings.symlinks = policy;
        self
    }

    /// How to treat sockets, pipes and devices.
    #[must_use]
    pub fn special_files(mut self, policy: SpecialFiles) -> Self {
        self.settings.special_files = policy;
        self
    }

    /// Whether an empty folder is an object.
    #[must_use]
    pub fn empty_directories(mut self, policy: EmptyDirectories) -> Self {
        self.settings.empty_directories = policy;
        self
    }

    /// When written bytes must be on the disk.
    #[must_use]
    pub fn sync(mut self, durability: Durability) -> Self {
        self.settings.sync = durability;
        self
    }

    /// Reads every object back after writing and compares its digest.
    #[must_use]
    pub fn paranoid(mut self, yes: bool) -> Self {
        self.settings.paranoid = yes;
        self
    }

    /// Takes tasks and randomness from `env` instead of the system.
    #[must_use]
    pub fn runtime(mut self, runtime: SharedRuntime) -> Self {
        self.env = Some(runtime);
        self
    }

    /// Opens the root. Writes nothing except a root that has to be created. If no name in
    /// the root contains an ASCII letter, a file is created and removed to find out
    /// whether names are case-sensitive.
    ///
    /// # Errors
    /// `bucket_not_found` if the root does not exist, `invalid_input` if it is not a
    /// folder, `permission_denied`; `unsupported` for a policy that this system cannot
    /// implement.
    pub async fn open(self) -> Result<LocalStorage> {
        LocalStorage::open(self.settings, self.env.unwrap_or_else(SystemRuntime::shared)).await
    }
}
