//! The command line.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _, Parser, ValueEnum};
use lepton::core::Sha256;
use lepton::{Error, Location, Metadata, Result, TransferSettings};

use crate::choose::Choose;

/// Moves objects between any two places, with a journal, progress and a proof.
///
/// Without arguments: a demonstration with two S3 servers inside the process, a
/// kill half-way and a proof at the end.
///
/// Places: /a/path, file:///a/path, s3://bucket/folder?endpoint=…&region=…&profile=…
/// Credentials for S3 come from the environment (AWS_ACCESS_KEY_ID, …) or from the
/// shared files of the profile.
#[derive(Debug, Parser)]
#[command(name = "migrate", version, after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// Where the objects are: a folder, a bucket, a folder in a bucket, or one object.
    #[arg(requires = "destination")]
    source: Option<String>,
    /// Where they go.
    destination: Option<String>,
    /// The folder of the journal [default: one for this source and destination in the state folder of the user].
    #[arg(long, value_name = "DIR")]
    journal: Option<PathBuf>,
    /// Where the manifest goes [default: manifest.jsonl in the journal's folder].
    #[arg(long, value_name = "FILE")]
    pub(crate) manifest: Option<PathBuf>,
    /// Only say what would be done.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How many objects and parts are on their way at once.
    #[arg(long, value_name = "N", default_value = "32")]
    concurrency: NonZeroUsize,
    /// The smallest part: a power of two of MiB.
    #[arg(long, value_name = "SIZE", default_value = "8MiB", value_parser = size)]
    part_size: u64,
    /// How much memory data may take.
    #[arg(long, value_name = "SIZE", default_value = "128MiB", value_parser = size)]
    memory: u64,
    #[command(flatten)]
    choose: Choose,
    /// What to do with metadata that the destination cannot keep.
    #[arg(long, value_enum, default_value = "keep")]
    metadata: WhatMetadata,
    /// End at the first object that fails.
    #[arg(long)]
    fail_fast: bool,
    /// End when more objects than this have failed.
    #[arg(long, value_name = "N", default_value = "10000")]
    max_failures: usize,
    /// How often a request is tried, in all.
    #[arg(long, value_name = "N", default_value = "8")]
    attempts: NonZeroU32,
    /// Prove the destination against the manifest at the end.
    #[arg(long, value_enum, default_value = "none")]
    pub(crate) verify: Verify,
    /// Say everything as JSON, an event a line, on standard output.
    #[arg(long)]
    pub(crate) json: bool,
    /// Say nothing but errors.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

const EXIT_CODES: &str = "\
Exit codes:
  0    every object is at the destination (and proven, if asked)
  1    some objects failed; the same command tries them again
  2    the command line is wrong
  3    the run ended early; the same command goes on when the cause is gone
  4    the destination is not what the manifest says
  5    the run came to --max-transfer or --max-duration; the same command goes on
  130  stopped by Ctrl-C; the same command goes on";

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

impl Args {
    /// Reads the command line; ends the program where it is wrong. The matches know
    /// the order of options.
    pub(crate) fn read() -> (Self, ArgMatches) {
        let matches = Self::command().get_matches();
        let args = Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        (args, matches)
    }

    /// Source and destination, if any were given.
    pub(crate) fn places(&self) -> Option<(&str, &str)> {
        Some((self.source.as_deref()?, self.destination.as_deref()?))
    }

    pub(crate) fn settings(&self, matches: &ArgMatches) -> TransferSettings {
        let mut settings = TransferSettings::default();
        settings.concurrency = self.concurrency;
        settings.part_size = self.part_size;
        settings.memory = self.memory;
        settings.fail_fast = self.fail_fast;
        settings.max_failures = self.max_failures;
        settings.attempts = self.attempts;
        self.choose.enter(&mut settings, matches);
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

    /// Milliseconds between two words about progress.
    pub(crate) fn progress_ms(&self) -> u64 {
        if show_bar(self) { 100 } else { 1000 }
    }
}

/// Whether there is somebody to look at a progress bar.
pub(crate) fn show_bar(args: &Args) -> bool {
    use std::io::IsTerminal as _;
    !args.json && !args.quiet && std::io::stderr().is_terminal()
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
