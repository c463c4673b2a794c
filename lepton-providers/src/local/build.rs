//! From settings to a store.

use std::path::PathBuf;

use lepton_core::{Result, SharedEnv, SystemEnv};

use super::config::{Durability, EmptyDirectories, LocalSettings, SpecialFiles, Symlinks};
use super::disk::LocalStorage;

/// Builds a [`LocalStorage`].
#[derive(Debug, Clone)]
pub struct LocalBuilder {
    settings: LocalSettings,
    env: Option<SharedEnv>,
}

impl LocalStorage {
    /// A store in this folder, with the default settings until told otherwise.
    pub fn builder(root: impl Into<PathBuf>) -> LocalBuilder {
        LocalBuilder::new(LocalSettings { root: root.into(), ..LocalSettings::default() })
    }

    /// A store with these settings.
    pub fn from_settings(settings: LocalSettings) -> LocalBuilder {
        LocalBuilder::new(settings)
    }
}

impl LocalBuilder {
    fn new(settings: LocalSettings) -> Self {
        Self { settings, env: None }
    }

    /// Makes the root if it is not there.
    #[must_use]
    pub fn create_root(mut self, yes: bool) -> Self {
        self.settings.create_root = yes;
        self
    }

    /// What to do about symbolic links.
    #[must_use]
    pub fn symlinks(mut self, policy: Symlinks) -> Self {
        self.settings.symlinks = policy;
        self
    }

    /// What to do about sockets, pipes and devices.
    #[must_use]
    pub fn special_files(mut self, policy: SpecialFiles) -> Self {
        self.settings.special_files = policy;
        self
    }

    /// What an empty folder is.
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

    /// Takes tasks and randomness from here instead of the system.
    #[must_use]
    pub fn env(mut self, env: SharedEnv) -> Self {
        self.env = Some(env);
        self
    }

    /// Opens the root. Writes nothing, but for a root that is to be made; and in one in which
    /// no name has an ASCII letter a file is made and removed, to see whether case tells names
    /// apart.
    ///
    /// # Errors
    /// `bucket_not_found` if the root is not there, `invalid_input` if it is not
    /// a folder, `permission_denied`; `unsupported` for a policy that this
    /// system cannot keep.
    pub async fn open(self) -> Result<LocalStorage> {
        LocalStorage::open(self.settings, self.env.unwrap_or_else(SystemEnv::shared)).await
    }
}
