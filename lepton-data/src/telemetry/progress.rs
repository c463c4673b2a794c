//! How far a run is.

use std::time::Duration;

use serde::Serialize;

/// A moment of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Progress {
    /// Objects that are done, those of earlier runs included.
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
    /// Requests that were tried again.
    pub retries: u64,
    /// What is on its way at once, and how much may be.
    pub lanes: LanesProgress,
    /// Bytes a second, on the average of this run.
    pub bytes_per_second: f64,
    /// How long this run has taken; JSON has it as `elapsed_seconds`.
    #[serde(rename = "elapsed_seconds", with = "crate::settings::serde_seconds")]
    pub elapsed: Duration,
    /// How long it will still take, if that can be told; JSON has it as
    /// `remaining_seconds`.
    #[serde(rename = "remaining_seconds", with = "crate::settings::serde_seconds::optional")]
    pub remaining: Option<Duration>,
}

/// The lanes of a run. Each kind of work has one, with limits of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct LanesProgress {
    /// Pages of listings that are asked for by ranges, several at once. The two
    /// sides are listed apart, each within its own limit.
    pub listing: LaneProgress,
    /// Objects that go in one piece, and copies that the store makes of such.
    pub small: LaneProgress,
    /// Parts of large objects.
    pub parts: LaneProgress,
}

impl LanesProgress {
    /// How often a store asked for less: 503, 429 and the like.
    pub fn throttled(&self) -> u64 {
        [self.listing, self.small, self.parts]
            .iter()
            .map(|lane| lane.source.throttled + lane.destination.throttled)
            .sum()
    }
}

/// One kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct LaneProgress {
    /// What the source is good for.
    pub source: EndpointProgress,
    /// What the destination is good for. What uses both sides is held to the smaller
    /// limit.
    pub destination: EndpointProgress,
    /// Units on their way.
    pub running: usize,
    /// Of these, those that wait to be tried again.
    pub resting: usize,
    /// Units that are ready and wait for a place or for memory.
    pub waiting: usize,
}

/// One side of one kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct EndpointProgress {
    /// How many may be on their way at once, as found so far.
    pub limit: usize,
    /// How often the store asked for less.
    pub throttled: u64,
}
