//! The options of every program that compares two places.

use clap::Args;
use lepton::TransferConfig;

use super::limits::Limits;
pub(crate) use super::units::{size, time};

/// The heading in `--help` of options about deleting.
pub(crate) const DELETING: &str = "Deleting";

/// Concurrency and resource limits.
#[derive(Debug, Args)]
#[command(next_help_heading = "Speed and limits")]
pub(crate) struct Tuning {
    #[command(flatten)]
    limits: Limits,
    /// Always keep the maximum in flight, instead of finding the best number.
    #[arg(long)]
    no_adaptive: bool,
    /// The smallest part size: a power of two of MiB.
    #[arg(long, value_name = "SIZE", default_value = "8MiB", value_parser = size)]
    part_size: u64,
}

/// The form of the output.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
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
    pub(crate) fn enter(&self, settings: &mut TransferConfig) {
        settings.adaptive = !self.no_adaptive;
        settings.part_size = self.part_size;
        settings.concurrency = self.limits.concurrency;
        settings.memory = self.limits.memory;
        settings.bandwidth = self.limits.bandwidth;
        settings.requests_per_second = self.limits.requests_per_second;
        settings.attempts = self.limits.attempts;
    }
}
