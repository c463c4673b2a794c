//! Settings of a transfer: raw as a user writes them, checked as the engine
//! reads them.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use lepton_core::journal::Identity;
use lepton_core::{Error, LEAF_SIZE, Location, MemoryBudget, Result, Sha256, SharedEnv, SystemEnv};
use serde::{Deserialize, Serialize};

use crate::compare::Compare;
use crate::filter::{Filter, Filters};
use crate::transfer::Transfer;

const MIB: u64 = LEAF_SIZE as u64;

/// What to do with an object that is at the destination already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Existing {
    /// Replace it.
    #[default]
    Overwrite,
    /// Leave it and go on.
    Skip,
    /// Leave it and record the object as failed.
    Fail,
    /// Replace it if it differs from the source, by [`Compare`]; a synchronisation.
    IfDifferent,
    /// Replace it if it differs from the source and was not written after it.
    IfNewer,
    /// Leave it if it is the same as the source, by [`Compare`]; record the object
    /// as failed if it differs.
    Immutable,
}

impl Existing {
    /// Whether what is there is compared with the source.
    pub(crate) fn compares(self) -> bool {
        matches!(self, Existing::IfDifferent | Existing::IfNewer | Existing::Immutable)
    }
}

/// What to do with metadata that the destination cannot keep.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Metadata {
    /// Keep what can be kept; the manifest names what was lost for each object.
    #[default]
    Keep,
    /// Record the object as failed, before any byte of it is sent.
    Strict,
}

/// The settings of a transfer, as they stand in a configuration file. The
/// methods of [`TransferBuilder`] have the same names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TransferSettings {
    /// How many objects and parts are on their way at once. Default 32.
    pub concurrency: NonZeroUsize,
    /// The smallest part in bytes: a power of two of MiB. Larger objects get
    /// larger parts where the destination's limits ask for it. Default 8 MiB.
    pub part_size: u64,
    /// How many bytes the run may hold in memory. Default 128 MiB.
    pub memory: u64,
    /// What to do with objects that are there already.
    pub existing: Existing,
    /// By what objects that are there already are compared with the source, where
    /// `existing` asks for it.
    pub compare: Compare,
    /// How far the clocks of two stores may be apart, and how coarse their time
    /// stamps are: times that differ by less say nothing. In seconds. Default 2.
    #[serde(with = "crate::seconds")]
    pub time_window: Duration,
    /// Which objects are taken.
    pub filters: Filters,
    /// Delete what the destination has and the source has not, once everything
    /// else has come to a good end: a mirror. What the filters leave out is neither
    /// copied nor deleted.
    pub delete: bool,
    /// With `delete`: delete also what the filters leave out.
    pub delete_excluded: bool,
    /// Delete nothing at all if there are more objects to delete than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_delete: Option<u64>,
    /// Delete nothing at all if more than this share of the destination's objects
    /// would go, in per cent. Default 10.
    pub max_delete_percent: u8,
    /// Begin no further object once so many bytes have been taken in hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_transfer: Option<u64>,
    /// Begin no further object after so many seconds.
    #[serde(with = "crate::seconds::optional", skip_serializing_if = "Option::is_none")]
    pub max_duration: Option<Duration>,
    /// What to do with metadata that the destination cannot keep.
    pub metadata: Metadata,
    /// End the run at the first object that fails.
    pub fail_fast: bool,
    /// End the run when more objects than this have failed. Default 10,000.
    pub max_failures: usize,
    /// How often a request is tried, in all. Default 8.
    pub attempts: NonZeroU32,
    /// How often an object is begun again because its source changed. Default 3.
    pub source_changes: u32,
}

impl Default for TransferSettings {
    fn default() -> Self {
        Self {
            concurrency: NonZeroUsize::MIN.saturating_add(31),
            part_size: 8 * MIB,
            memory: MemoryBudget::DEFAULT,
            existing: Existing::default(),
            compare: Compare::default(),
            time_window: Duration::from_secs(2),
            filters: Filters::default(),
            delete: false,
            delete_excluded: false,
            max_delete: None,
            max_delete_percent: 10,
            max_transfer: None,
            max_duration: None,
            metadata: Metadata::default(),
            fail_fast: false,
            max_failures: 10_000,
            attempts: NonZeroU32::MIN.saturating_add(7),
            source_changes: 3,
        }
    }
}

/// Describes a transfer; made by [`Transfer::builder`].
#[derive(Debug, Default)]
#[must_use]
pub struct TransferBuilder {
    source: Option<Location>,
    destination: Option<Location>,
    settings: TransferSettings,
    journal: Option<PathBuf>,
    manifest: Option<PathBuf>,
    plan: Option<PathBuf>,
    keys: Option<PathBuf>,
    env: Option<SharedEnv>,
}

macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident: $type:ty,)*) => {
        $($(#[$doc])*
        pub fn $name(mut self, $name: $type) -> Self {
            self.settings.$name = $name;
            self
        })*
    };
}

impl TransferBuilder {
    /// Where the objects come from: a store, or a folder in one.
    pub fn from(mut self, source: impl Into<Location>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Where the objects go: a store, or a folder in one.
    pub fn to(mut self, destination: impl Into<Location>) -> Self {
        self.destination = Some(destination.into());
        self
    }

    /// The folder of the journal, made if need be. A run that was ended, however,
    /// is taken up by the same transfer on the same journal. Without one the run
    /// cannot be taken up.
    pub fn journal(mut self, folder: impl Into<PathBuf>) -> Self {
        self.journal = Some(folder.into());
        self
    }

    /// Where the manifest goes. Default: `manifest.jsonl` in the journal's folder;
    /// without a journal, no manifest is written.
    pub fn manifest(mut self, file: impl Into<PathBuf>) -> Self {
        self.manifest = Some(file.into());
        self
    }

    /// Moves the objects that a file names instead of all: a name behind the source's
    /// folder on each line, in any order, byte for byte as it is. The source is asked
    /// for each and not listed; one that it has not is reported as failed. Filters
    /// still apply. Not with `delete`.
    pub fn from_list(mut self, file: impl Into<PathBuf>) -> Self {
        self.keys = Some(file.into());
        self
    }

    /// Carries out a plan that [`Transfer::save_plan`] wrote, of the same source and
    /// destination: just its actions, each only if source and destination are still
    /// as the plan saw them. What changed since is reported as failed and left.
    /// The settings for existing objects, comparison and filters have no meaning
    /// then; those for how much may be deleted have.
    pub fn saved_plan(mut self, file: impl Into<PathBuf>) -> Self {
        self.plan = Some(file.into());
        self
    }

    /// Replaces all settings.
    pub fn settings(mut self, settings: TransferSettings) -> Self {
        self.settings = settings;
        self
    }

    /// Injects the environment. Default: the system's.
    pub fn env(mut self, env: SharedEnv) -> Self {
        self.env = Some(env);
        self
    }

    setters! {
        /// How many objects and parts are on their way at once.
        concurrency: NonZeroUsize,
        /// The smallest part in bytes: a power of two of MiB.
        part_size: u64,
        /// How many bytes the run may hold in memory.
        memory: u64,
        /// What to do with objects that are there already.
        existing: Existing,
        /// By what objects that are there already are compared with the source.
        compare: Compare,
        /// How far clocks may be apart and how coarse time stamps are.
        time_window: Duration,
        /// Which objects are taken.
        filters: Filters,
        /// Delete what the destination has and the source has not.
        delete: bool,
        /// With `delete`: delete also what the filters leave out.
        delete_excluded: bool,
        /// Delete nothing at all if there is more to delete than this.
        max_delete: Option<u64>,
        /// Delete nothing at all if more than this share would go, in per cent.
        max_delete_percent: u8,
        /// Begin no further object once so many bytes have been taken in hand.
        max_transfer: Option<u64>,
        /// Begin no further object after so long.
        max_duration: Option<Duration>,
        /// What to do with metadata that the destination cannot keep.
        metadata: Metadata,
        /// End the run at the first object that fails.
        fail_fast: bool,
        /// End the run when more objects than this have failed.
        max_failures: usize,
        /// How often a request is tried, in all.
        attempts: NonZeroU32,
        /// How often an object is begun again because its source changed.
        source_changes: u32,
    }

    /// Checks it all.
    ///
    /// # Errors
    /// `invalid_input`, naming the setting and what is allowed; `unsupported` if
    /// a store cannot serve as it is asked to.
    pub fn build(self) -> Result<Transfer> {
        let missing = |what: &str| Error::invalid_input(format!("a transfer needs a {what}"));
        let source = self.source.ok_or_else(|| missing("source"))?;
        let destination = self.destination.ok_or_else(|| missing("destination"))?;
        check_settings(&self.settings)?;
        check_stores(&source, &destination)?;
        if self.keys.is_some() && (self.settings.delete || self.plan.is_some()) {
            return Err(Error::invalid_input("a list of keys goes neither with delete nor with a saved plan"));
        }
        Ok(Transfer {
            options: Options {
                source,
                destination,
                settings: self.settings,
                journal: self.journal,
                manifest: self.manifest,
                plan: self.plan,
                keys: self.keys,
            },
            env: self.env.unwrap_or_else(SystemEnv::shared),
        })
    }
}

fn check_settings(settings: &TransferSettings) -> Result<()> {
    let part = settings.part_size;
    if !part.is_power_of_two() || part < MIB {
        return Err(Error::invalid_input(format!("part_size is {part} bytes; it must be a power of two of MiB")));
    }
    if settings.memory < 4 * MIB {
        return Err(Error::invalid_input(format!("memory is {} bytes; it must be at least 4 MiB", settings.memory)));
    }
    if settings.max_delete_percent > 100 {
        let percent = settings.max_delete_percent;
        return Err(Error::invalid_input(format!("max_delete_percent is {percent}; it must be at most 100")));
    }
    if settings.delete_excluded && !settings.delete {
        return Err(Error::invalid_input("delete_excluded has no meaning without delete"));
    }
    Filter::new(&settings.filters, std::time::UNIX_EPOCH)?;
    Ok(())
}

fn check_stores(source: &Location, destination: &Location) -> Result<()> {
    if source.storage().url() == destination.storage().url() {
        let (from, to) = (source.folder(), destination.folder());
        if from.as_bytes().starts_with(to.as_bytes()) || to.as_bytes().starts_with(from.as_bytes()) {
            return Err(Error::invalid_input("source and destination overlap in the same store"));
        }
    }
    for side in [source, destination] {
        let capabilities = side.storage().capabilities();
        if capabilities.retries {
            let message = format!("{} retries by itself; a transfer owns its retries", side.storage().url());
            return Err(Error::unsupported(message));
        }
    }
    Ok(())
}

/// Checked settings: what the engine reads.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) source: Location,
    pub(crate) destination: Location,
    pub(crate) settings: TransferSettings,
    pub(crate) journal: Option<PathBuf>,
    pub(crate) manifest: Option<PathBuf>,
    pub(crate) plan: Option<PathBuf>,
    pub(crate) keys: Option<PathBuf>,
}

impl Options {
    /// What the journal belongs to: everything that changes bytes, names or
    /// deletes. `plan` is the digest of the saved plan, `keys` that of the list.
    pub(crate) fn identity(&self, plan: Option<Sha256>, keys: Option<Sha256>) -> Identity {
        let settings = &self.settings;
        if let Some(plan) = plan {
            let identity = serde_json::json!({
                "plan": plan.to_string(),
                "part_size": settings.part_size,
                "metadata": settings.metadata,
            });
            return identity.as_object().cloned().unwrap_or_default();
        }
        let identity = serde_json::json!({
            "source": self.source.storage().url(),
            "source_folder": self.source.folder().to_string(),
            "destination": self.destination.storage().url(),
            "destination_folder": self.destination.folder().to_string(),
            "part_size": settings.part_size,
            "existing": settings.existing,
            "compare": settings.compare,
            "time_window": settings.time_window.as_secs_f64(),
            "filters": settings.filters,
            "delete": settings.delete,
            "delete_excluded": settings.delete_excluded,
            "metadata": settings.metadata,
        });
        let mut identity = identity.as_object().cloned().unwrap_or_default();
        identity.extend(keys.map(|keys| ("keys".to_owned(), keys.to_string().into())));
        identity
    }

    /// Where the manifest goes, if anywhere.
    pub(crate) fn manifest_path(&self) -> Option<PathBuf> {
        self.manifest.clone().or_else(|| Some(self.journal.as_ref()?.join("manifest.jsonl")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_checked_and_unknown_names_list_the_known() {
        let mut settings = TransferSettings { part_size: 3 * MIB, ..TransferSettings::default() };
        assert!(check_settings(&settings).unwrap_err().to_string().contains("power of two"));
        settings = TransferSettings { memory: 1, ..TransferSettings::default() };
        assert!(check_settings(&settings).unwrap_err().to_string().contains("4 MiB"));
        let error = serde_json::from_str::<TransferSettings>(r#"{"threads": 4}"#).unwrap_err();
        assert!(error.to_string().contains("concurrency"), "{error}");
    }
}
