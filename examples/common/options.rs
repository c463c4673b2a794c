//! The options of every program that compares two places.

use std::num::{NonZeroU32, NonZeroUsize};

use clap::Args;
use lepton::TransferSettings;

pub(crate) use super::units::{size, time};

/// Concurrency and resource limits.
#[derive(Debug, Args)]
pub(crate) struct Tuning {
    /// Maximum number of objects and parts in flight.
    #[arg(long, value_name = "N", default_value_t = TransferSettings::default().concurrency)]
    concurrency: NonZeroUsize,
    /// Always keep that maximum in flight, instead of finding the best number.
    #[arg(long)]
    no_adaptive: bool,
    /// The smallest part size: a power of two of MiB.
    #[arg(long, value_name = "SIZE", default_value = "8MiB", value_parser = size)]
    part_size: u64,
    /// Memory for data in transit.
    #[arg(long, value_name = "SIZE", default_value = "128MiB", value_parser = size)]
    memory: u64,
    /// Maximum number of bytes read per second, in total.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    bandwidth: Option<u64>,
    /// Maximum number of requests per second.
    #[arg(long, value_name = "N")]
    requests_per_second: Option<u64>,
    /// Maximum number of attempts per request.
    #[arg(long, value_name = "N", default_value_t = TransferSettings::default().attempts)]
    attempts: NonZeroU32,
}

/// The form of the output.
#[derive(Debug, Args)]
pub(crate) struct Output {
    /// Print everything to standard output as JSON, one event per line.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print only errors, and the line of --stats.
    #[arg(long, short, conflicts_with = "json")]
    pub(crate) quiet: bool,
}

impl Tuning {
    /// Applies the options to the settings.
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
