//! The options that every program has that moves data.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use lepton::core::Sha256;
use lepton::{Error, Location, Metadata, Result, TransferSettings};

/// How to move, and how to speak of it.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The folder of the journal [default: one for this source and destination in the state folder of the user].
    #[arg(long, value_name = "DIR")]
    journal: Option<PathBuf>,
    /// Where the manifest goes [default: manifest.jsonl in the journal's folder].
    #[arg(long, value_name = "FILE")]
    pub(crate) manifest: Option<PathBuf>,
    /// How many objects and parts are on their way at once, at most.
    #[arg(long, value_name = "N", default_value_t = TransferSettings::default().concurrency)]
    concurrency: NonZeroUsize,
    /// Have always that many on their way, instead of finding how many are best.
    #[arg(long)]
    no_adaptive: bool,
    /// The smallest part: a power of two of MiB.
    #[arg(long, value_name = "SIZE", default_value = "8MiB", value_parser = size)]
    part_size: u64,
    /// How much memory data may take.
    #[arg(long, value_name = "SIZE", default_value = "128MiB", value_parser = size)]
    memory: u64,
    /// How many bytes a second may be read, in all.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    bandwidth: Option<u64>,
    /// How many requests a second may be made.
    #[arg(long, value_name = "N")]
    requests_per_second: Option<u64>,
    /// What to do with metadata that the destination cannot keep.
    #[arg(long, value_enum, default_value = "keep")]
    metadata: WhatMetadata,
    /// End at the first object that fails.
    #[arg(long)]
    fail_fast: bool,
    /// End when more objects than this have failed.
    #[arg(long, value_name = "N", default_value_t = TransferSettings::default().max_failures)]
    max_failures: usize,
    /// How often a request is tried, in all.
    #[arg(long, value_name = "N", default_value_t = TransferSettings::default().attempts)]
    attempts: NonZeroU32,
    /// Read and send also what the destination could copy from the source by itself.
    #[arg(long)]
    no_server_copy: bool,
    /// Prove the destination against the manifest at the end.
    #[arg(long, value_enum, default_value = "none")]
    pub(crate) verify: Verify,
    /// Say everything as JSON, an event a line, on standard output.
    #[arg(long)]
    pub(crate) json: bool,
    /// End with one line of `name=number`, for scripts.
    #[arg(long, conflicts_with = "json")]
    pub(crate) stats: bool,
    /// Say nothing but errors.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum WhatMetadata {
    /// Keep what can be kept and record the rest in the manifest.
    Keep,
    /// Report the object as failed.
    Strict,
}

/// How deep to verify.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Verify {
    /// Not at all.
    None,
    /// Sizes and what the store says.
    Quick,
    /// Every byte.
    Full,
}

impl Options {
    pub(crate) fn settings(&self) -> TransferSettings {
        let mut settings = TransferSettings::default();
        settings.concurrency = self.concurrency;
        settings.adaptive = !self.no_adaptive;
        settings.part_size = self.part_size;
        settings.memory = self.memory;
        settings.bandwidth = self.bandwidth;
        settings.requests_per_second = self.requests_per_second;
        settings.server_copy = !self.no_server_copy;
        settings.fail_fast = self.fail_fast;
        settings.max_failures = self.max_failures;
        settings.attempts = self.attempts;
        settings.metadata = match self.metadata {
            WhatMetadata::Keep => Metadata::Keep,
            WhatMetadata::Strict => Metadata::Strict,
        };
        settings
    }

    /// The journal's folder: the same for the same places, so that the same
    /// command goes on.
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

/// Reads `8MiB`, `64k`, `1G` (all powers of 1024) or a number of bytes.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let shift = match text[digits.len()..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        unit => return Err(format!("{unit:?} is not a unit; use KiB, MiB or GiB")),
    };
    let number: u64 = digits.parse().map_err(|_| format!("{text:?} is not a size such as 8MiB"))?;
    number.checked_mul(1 << shift).ok_or_else(|| format!("{text:?} is too large"))
}
