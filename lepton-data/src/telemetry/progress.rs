//! The progress of a run.

use std::time::Duration;

use serde::Serialize;

/// A snapshot of a run's progress.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Progress {
    /// Objects that are done, including those of earlier runs.
    pub objects: u64,
    /// Bytes that are done: those of finished objects and parts.
    pub bytes: u64,
    /// Objects that were skipped.
    pub skipped: u64,
    /// Objects that were found to be the same on both sides.
    pub unchanged: u64,
    /// Objects that were deleted at the destination.
    pub deleted: u64,
    /// Objects that failed.
    pub failed: u64,
    /// Objects found so far.
    pub total_objects: u64,
    /// Bytes found so far.
    pub total_bytes: u64,
    /// Whether all objects have been found, so that the totals are final.
    pub listing_done: bool,
    /// Parts and whole objects sent.
    pub parts: u64,
    /// Retries of requests.
    pub retries: u64,
    /// The work in flight, and its limits.
    pub lanes: LanesProgress,
    /// Bytes per second, averaged over this run.
    pub bytes_per_second: f64,
    /// How long this run has taken; `elapsed_seconds` in JSON.
    #[serde(rename = "elapsed_seconds", with = "crate::settings::serde_seconds")]
    pub elapsed: Duration,
    /// The estimated remaining time, if there is an estimate; `remaining_seconds` in JSON.
    #[serde(rename = "remaining_seconds", with = "crate::settings::serde_seconds::optional")]
    pub remaining: Option<Duration>,
}

/// The lanes of a run. Each kind of work has one lane with its own limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct LanesProgress {
    /// Pages of listings that are fetched by ranges, several concurrently. Each side is
    /// listed within its own limit.
    pub listing: LaneProgress,
    /// Objects that are sent in one piece, and server-side copies of such objects.
    pub small: LaneProgress,
    /// Parts of large objects.
    pub parts: LaneProgress,
}

impl LanesProgress {
    /// How often a store throttled requests: 503, 429 and similar responses.
    pub fn throttled(&self) -> u64 {
        [self.listing, self.small, self.parts]
            .iter()
            .map(|lane| lane.source.throttled + lane.destination.throttled)
            .sum()
    }
}

/// The state of one kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct LaneProgress {
    /// The limit and throttling of the source.
    pub source: EndpointProgress,
    /// The limit and throttling of the destination. Work that uses both sides is held to
    /// the smaller limit.
    pub destination: EndpointProgress,
    /// Units in flight.
    pub running: usize,
    /// Those units in flight that wait for a retry.
    pub resting: usize,
    /// Units that are ready and wait for a slot or for memory.
    pub waiting: usize,
}

/// One side of one kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct EndpointProgress {
    /// The most units in flight, as found so far.
    pub limit: usize,
    /// How often the store throttled requests.
    pub throttled: u64,
}
