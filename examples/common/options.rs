//! The options that every program has that looks at two places.

use std::num::{NonZeroU32, NonZeroUsize};

use clap::Args;
use lepton::TransferSettings;

pub(crate) use super::units::{size, time};

/// How much is done at once, and with what.
#[derive(Debug, Args)]
pub(crate) struct Tuning {
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
    /// How often a request is tried, in all.
    #[arg(long, value_name = "N", default_value_t = TransferSettings::default().attempts)]
    attempts: NonZeroU32,
}

/// How to speak.
#[derive(Debug, Args)]
pub(crate) struct Output {
    /// Say everything as JSON, an event a line, on standard output.
    #[arg(long)]
    pub(crate) json: bool,
    /// Say nothing but errors, and what --stats asks for.
    #[arg(long, short, conflicts_with = "json")]
    pub(crate) quiet: bool,
}

impl Tuning {
    /// Enters the options into the settings.
    pub(crate) fn enter(&self, settings: &mut TransferSettings) {
        settings.concurrency = self.concurrency;
        settings.adaptive = !self.no_adaptive;
        settings.part_size = self.part_size;
        settings.memory = self.memory;
        settings.bandwidth = self.bandwidth;
        settings.requests_per_second = self.requests_per_second;
        settings.attempts = self.attempts;
    }
}
