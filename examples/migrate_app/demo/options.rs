//! The options of the demonstration.

use std::time::Duration;

use clap::Args;
use lepton::core::data_set::Side;

use crate::load::LoadOptions;
use crate::site::Terms;

/// What the demonstration does.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(super) load: LoadOptions,
    #[command(flatten, next_help_heading = "Specification of the demonstration")]
    pub(super) terms: Terms,
    /// Objects that the application has before it is moved.
    #[arg(long, default_value_t = 200)]
    pub(super) objects: usize,
    /// The driver gets SIGKILL at this many random moments, half of them on the way back if there
    /// is one. By default it gets one while it copies.
    #[arg(long)]
    pub(super) kills: Option<usize>,
    /// The router gets SIGKILL at this many random moments.
    #[arg(long, default_value_t = 0)]
    pub(super) router_kills: usize,
    /// The moments of another run. Default: random.
    #[arg(long)]
    pub(super) seed: Option<u64>,
    /// Give the writes back to side A afterwards.
    #[arg(long)]
    pub(super) back: bool,
    /// Begin the way back as soon as side B owns the writes.
    #[arg(long, requires = "back")]
    pub(super) at_once: bool,
    /// About 500 requests a second for two minutes.
    #[arg(long)]
    pub(super) long: bool,
    /// How long the users read and write, at least.
    #[arg(long)]
    pub(super) seconds: Option<u64>,
    /// The driver gets SIGSTOP in these stages of fences, for longer than it may be silent.
    #[arg(long, value_delimiter = ',', value_name = "STAGE")]
    pub(super) stops: Vec<String>,
}

impl Options {
    pub(super) fn load(&self) -> LoadOptions {
        let mut load = self.load.clone();
        load.rate = load.rate.or(self.long.then_some(500));
        load
    }

    pub(super) fn length(&self) -> Duration {
        Duration::from_secs(self.seconds.unwrap_or(if self.long { 120 } else { 0 }))
    }

    /// The side that has to own the writes in the end.
    pub(super) fn owner(&self) -> Side {
        if self.back || self.terms.policy_of_b_only { Side::A } else { Side::B }
    }
}
