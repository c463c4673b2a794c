//! The options that have an effect only when something is written: not in a dry run.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use lepton::core::Sha256;
use lepton::{Error, Location, MetadataPolicy, Result, TransferConfig, VerifyDepth};

use super::options::{DELETING, size, time};

/// The journal of a run, what it writes, and when it ends.
#[derive(Debug, Args)]
#[command(next_help_heading = "The run")]
pub(crate) struct Running {
    /// The folder of the journal [default: one for this source and destination in the state
    /// folder of the user].
    #[arg(long, value_name = "DIR")]
    journal: Option<PathBuf>,
    /// Give up what an unfinished run left in the journal, and look at everything again.
    #[arg(long)]
    pub(crate) begin_anew: bool,
    /// The file of the manifest [default: manifest.jsonl in the journal's folder].
    #[arg(long, value_name = "FILE")]
    pub(crate) manifest: Option<PathBuf>,
    /// Delete all versions of an object permanently, instead of marking it as deleted.
    #[arg(long, requires = "deletes", help_heading = DELETING)]
    delete_versions: bool,
    /// Delete nothing at all if more objects than this would be deleted.
    #[arg(long, value_name = "N", requires = "deletes", help_heading = DELETING)]
    max_delete: Option<u64>,
    /// Delete nothing at all if more than this share of the destination would be deleted.
    #[arg(long, value_name = "PERCENT", default_value = "10", requires = "deletes", help_heading = DELETING)]
    max_delete_percent: u8,
    /// Copy every version of every key, oldest first and including delete markers, to a
    /// destination with versioning.
    #[arg(long, conflicts_with_all = NOT_WITH_VERSIONS)]
    versions: bool,
    /// Record the tree hash of each object in its metadata; this reads each object once more.
    #[arg(long)]
    record_digest: bool,
    /// Start no further object once this many bytes have been started.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_transfer: Option<u64>,
    /// Start no further object after this time.
    #[arg(long, value_name = "TIME", value_parser = time)]
    max_duration: Option<Duration>,
    /// What to do with metadata that the destination cannot store.
    #[arg(long, value_enum, default_value = "keep")]
    metadata: WhatMetadata,
    /// Give files no content type by their extension.
    #[arg(long)]
    no_guess_content_type: bool,
    /// Stop at the first object that fails.
    #[arg(long, conflicts_with = "max_failures")]
    fail_fast: bool,
    /// Stop when more objects than this have failed.
    #[arg(long, value_name = "N", default_value_t = TransferConfig::default().max_failures)]
    max_failures: usize,
    /// Read and send even what the destination could copy from the source by itself.
    #[arg(long)]
    no_server_copy: bool,
    /// Verify the destination against the manifest at the end.
    #[arg(long, value_enum, default_value = "none")]
    pub(crate) verify: Verify,
    /// Print one final line of `name=number`, for scripts.
    #[arg(long, conflicts_with = "json")]
    pub(crate) stats: bool,
}

/// The names of the [`Running`] options in clap: a dry run refuses each of them.
pub(crate) const RUNNING: [&str; 17] = [
    "journal",
    "begin_anew",
    "manifest",
    "delete_versions",
    "max_delete",
    "max_delete_percent",
    "versions",
    "record_digest",
    "max_transfer",
    "max_duration",
    "metadata",
    "no_guess_content_type",
    "fail_fast",
    "max_failures",
    "no_server_copy",
    "verify",
    "stats",
];

/// Options that conflict with `versions`. The library refuses the values of others that do.
const NOT_WITH_VERSIONS: [&str; 11] = [
    "update",
    "ignore_existing",
    "immutable",
    "time_window",
    "min_size",
    "max_size",
    "min_age",
    "max_age",
    "from_list",
    "delete",
    "backup_prefix",
];

#[derive(Debug, Clone, Copy, ValueEnum)]
enum WhatMetadata {
    /// Store what the destination supports and record the rest in the manifest.
    Keep,
    /// Report the object as failed.
    Strict,
}

/// The depth of the verification.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Verify {
    /// No verification.
    None,
    /// Sizes, and the checksums that the store reports.
    Quick,
    /// Every byte.
    Full,
}

impl Verify {
    pub(crate) fn depth(self) -> Option<VerifyDepth> {
        match self {
            Self::None => None,
            Self::Quick => Some(VerifyDepth::Quick),
            Self::Full => Some(VerifyDepth::Full),
        }
    }
}

impl Running {
    /// Applies the options to the settings.
    pub(crate) fn enter(&self, settings: &mut TransferConfig) {
        settings.delete_versions = self.delete_versions;
        settings.max_delete = self.max_delete;
        settings.max_delete_percent = self.max_delete_percent;
        settings.versions = self.versions;
        settings.record_digest = self.record_digest;
        settings.max_transfer = self.max_transfer;
        settings.max_duration = self.max_duration;
        settings.guess_content_type = !self.no_guess_content_type;
        settings.fail_fast = self.fail_fast;
        settings.max_failures = self.max_failures;
        settings.server_copy = !self.no_server_copy;
        settings.metadata = match self.metadata {
            WhatMetadata::Keep => MetadataPolicy::Keep,
            WhatMetadata::Strict => MetadataPolicy::Strict,
        };
    }

    /// The journal's folder: the same for the same places, so that running the same command
    /// again resumes.
    pub(crate) fn journal_folder(&self, source: &Location, destination: &Location) -> Result<PathBuf> {
        if let Some(folder) = &self.journal {
            return Ok(folder.clone());
        }
        let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
        let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state"));
        let state =
            state.or_else(home).ok_or_else(|| Error::invalid_input("HOME is not set; name a folder with --journal"))?;
        let places = [source, destination].map(|place| format!("{} {}\n", place.storage().url(), place.folder()));
        let name = Sha256::of(places.concat().as_bytes()).to_string();
        Ok(state.join("lepton").join(&name[..16]))
    }
}
