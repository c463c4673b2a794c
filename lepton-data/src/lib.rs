//! The transfer engine of Lepton: moves objects between any two stores,
//! resumable, bounded in memory, with a proof at the end.
//!
//! [`Transfer::builder`] is the way in; [`transfer.rs`](Transfer) has the order of
//! the stages, one file each: list, plan, diff, read, checksum, write, commit,
//! report. [`verify`] proves a manifest against a destination later.

mod backup;
mod batch;
mod begin;
mod checked;
mod checksum;
mod commit;
mod compare;
#[cfg(feature = "conformance")]
pub mod conformance;
mod delete;
mod diff;
mod feed;
mod filter;
mod folded;
mod handle;
mod here;
mod histories;
mod history;
mod keys;
mod lanes;
mod law;
mod list;
mod manifest;
mod mapping;
mod measure;
mod merge;
mod metrics;
mod object;
mod opening;
mod options;
#[cfg_attr(not(feature = "otel-metrics"), path = "otel_off.rs")]
mod otel;
mod overlap;
mod pace;
mod placing;
mod plan;
mod preview;
mod progress;
mod proofs;
mod read;
mod reconcile;
mod report;
mod resume;
mod retry;
mod run;
mod saved;
mod schedule;
mod sealed;
mod seconds;
mod server;
mod settle;
mod shard;
mod sort;
mod split;
mod tally;
mod transfer;
mod verify;
mod versions;
mod write;

pub use compare::{Basis, Compare};
pub use diff::Reason;
pub use filter::{FilterRule, Filters};
pub use handle::{Steering, TransferHandle};
pub use manifest::{MANIFEST_VERSION, ManifestEntry, ManifestReader, SourceCheck, VersionNumber};
pub use mapping::PrefixMap;
pub use options::{Existing, Metadata, TransferBuilder, TransferSettings};
pub use preview::{Planned, PlannedAction};
pub use progress::{EndpointProgress, LaneProgress, LanesProgress, Progress};
pub use report::{Failure, Report, SlowObject, Status};
pub use saved::{PLAN_VERSION, PlanSummary};
pub use transfer::Transfer;
pub use verify::{Depth, Problem, Verification, verify};
