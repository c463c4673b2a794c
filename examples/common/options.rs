//! The options that every program has that looks at two places, and how sizes and times
//! are written.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use clap::Args;
use lepton::TransferSettings;

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

/// Reads `90`, `90s`, `1.5h`, `7d` or `2w`.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds = match &text[number.len()..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        "w" => 604_800.0,
        unit => return Err(format!("{unit:?} is not a unit; use ms, s, m, h, d or w")),
    };
    let number: f64 = number.parse().map_err(|_| format!("{text:?} is not a time such as 90s or 7d"))?;
    Duration::try_from_secs_f64(number * seconds).map_err(|error| format!("{text:?}: {error}"))
}
