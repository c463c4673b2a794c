//! The progress of a run.

use std::time::Duration;

use serde::{Deserialize, Serialize};

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
    /// Their bytes. Those that earlier runs skipped are not counted.
    pub skipped_bytes: u64,
    /// Objects that were found to be the same on both sides.
    pub unchanged: u64,
    /// Their bytes.
    pub unchanged_bytes: u64,
    /// Objects that were deleted at the destination.
    pub deleted: u64,
    /// Objects that were to be deleted there, found so far.
    pub total_deletes: u64,
    /// Objects that failed.
    pub failed: u64,
    /// Their bytes, including parts that are also in `bytes`.
    pub failed_bytes: u64,
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
    /// Bytes per second over about the last ten seconds; for a caller that asks more rarely,
    /// since it asked before.
    pub recent_bytes_per_second: f64,
    /// Objects that were compared with the manifest, in a run that verifies at its end.
    pub verified: u64,
    /// Their bytes; those of a full verification are read.
    pub verified_bytes: u64,
    /// What the run does now.
    pub phase: Phase,
    /// Whether the run is paused.
    pub paused: bool,
    /// How long this run has taken; `elapsed_seconds` in JSON.
    #[serde(rename = "elapsed_seconds", with = "crate::settings::serde_seconds")]
    pub elapsed: Duration,
    /// The estimated time to the end of the copies, by the recent rate; `remaining_seconds` in
    /// JSON. `None` until the listing is complete, during a pause, and while nothing moves.
    #[serde(rename = "remaining_seconds", with = "crate::settings::serde_seconds::optional")]
    pub remaining: Option<Duration>,
}

impl Progress {
    /// How much of the copying is done, from 0 to 1, and 1 when the run has ended: every byte
    /// that was found counts as copied, unchanged, skipped or failed. `None` until the listing
    /// is complete, because the total is not known before.
    pub fn fraction(&self) -> Option<f64> {
        if self.phase == Phase::Ended {
            return Some(1.0);
        }
        if !self.listing_done {
            return None;
        }
        let objects = self.objects + self.unchanged + self.skipped + self.failed;
        // Objects without bytes count, too: else a run of empty objects would have no end.
        let (done, total) = (self.settled() + objects, self.total_bytes + self.total_objects);
        #[allow(clippy::cast_precision_loss, reason = "a share for people")]
        let fraction = if total == 0 { 1.0 } else { done as f64 / total as f64 };
        Some(fraction.min(1.0))
    }

    /// The bytes about which nothing is left to do.
    fn settled(&self) -> u64 {
        self.bytes + self.unchanged_bytes + self.skipped_bytes + self.failed_bytes
    }

    /// The bytes that are left to move.
    pub(crate) fn left(&self) -> u64 {
        self.total_bytes.saturating_sub(self.settled())
    }
}

/// What a run does. The phases follow each other in this order; a run may leave some out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
#[repr(u8)]
pub enum Phase {
    /// Checks both sides, and the names if the destination folds case.
    #[default]
    Starting,
    /// Lists, compares and copies.
    Copying,
    /// Deletes what only the destination has.
    Deleting,
    /// Writes the manifest.
    WritingManifest,
    /// Compares the destination with a manifest.
    Verifying,
    /// Everything was tried: the run has ended, complete or with failures.
    Ended,
    /// The run was cancelled, reached its limit, or ended with an error.
    Stopped,
}

impl Phase {
    pub(crate) const ALL: [Self; 7] = [
        Self::Starting,
        Self::Copying,
        Self::Deleting,
        Self::WritingManifest,
        Self::Verifying,
        Self::Ended,
        Self::Stopped,
    ];
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
    pub backing_off: usize,
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
