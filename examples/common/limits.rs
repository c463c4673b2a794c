//! The limits that every program has that moves or verifies objects.

use std::num::{NonZeroU32, NonZeroUsize};

use clap::Args;
use lepton::TransferConfig;

use super::units::size;

/// How much may be in flight, and at what rate.
#[derive(Debug, Args)]
#[command(next_help_heading = "Speed and limits")]
pub(crate) struct Limits {
    /// Maximum number of objects and parts in flight.
    #[arg(long, value_name = "N", default_value_t = TransferConfig::default().concurrency)]
    pub(crate) concurrency: NonZeroUsize,
    /// Memory for data in transit.
    #[arg(long, value_name = "SIZE", default_value = "128MiB", value_parser = size)]
    pub(crate) memory: u64,
    /// Maximum number of bytes read per second, in total.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) bandwidth: Option<u64>,
    /// Maximum number of requests per second.
    #[arg(long, value_name = "N")]
    pub(crate) requests_per_second: Option<u64>,
    /// Maximum number of attempts per request.
    #[arg(long, value_name = "N", default_value_t = TransferConfig::default().attempts)]
    pub(crate) attempts: NonZeroU32,
}
