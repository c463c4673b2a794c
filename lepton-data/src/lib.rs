//! The transfer engine of Lepton: moves objects between any two stores,
//! resumable, bounded in memory, with a proof at the end.
//!
//! [`Transfer::builder`] is the way in; [`transfer.rs`](Transfer) has the order of
//! the stages, one file each: list, plan, diff, read, checksum, write, commit,
//! report. [`verify`] proves a manifest against a destination later.

mod backup;
mod batch;
mod begin;
mod builder;
mod case;
mod checked;
mod checksum;
mod commit;
mod compare;
mod compare_by;
#[cfg(feature = "conformance")]
pub mod conformance;
mod copied;
mod counters;
mod delete;
mod diff;
mod feed;
mod filter;
mod folded;
mod found;
mod handle;
mod here;
mod histories;
mod history;
mod keys;
mod lanes;
mod law;
mod list;
mod manifest;
mod manifest_line;
mod mapping;
mod measure;
mod merge;
mod metrics;
mod object;
mod opening;
mod operation;
mod options;
#[cfg_attr(not(feature = "otel-metrics"), path = "otel_off.rs")]
mod otel;
mod outcome;
mod overlap;
mod own_files;
mod pace;
mod page;
mod placing;
mod plan;
mod planned;
mod prefix_map;
mod preview;
mod progress;
mod proofs;
mod read;
mod reason;
mod reconcile;
mod report;
mod resume;
mod retry;
mod rules;
mod run;
mod saved;
mod schedule;
mod sealed;
mod seconds;
mod server;
mod settle;
mod shard;
mod side;
mod sort;
mod split;
mod tally;
mod transfer;
mod upload;
mod verify;
mod versions;
mod write;

pub use builder::{Transfer, TransferBuilder};
pub use checksum::SourceCheck;
pub use compare_by::Compare;
pub use filter::{FilterRule, Filters};
pub use handle::{Steering, TransferHandle};
pub use manifest::{MANIFEST_VERSION, ManifestEntry, ManifestReader, VersionNumber};
pub use options::{Existing, Metadata, TransferSettings};
pub use planned::{Planned, PlannedAction};
pub use prefix_map::PrefixMap;
pub use progress::{EndpointProgress, LaneProgress, LanesProgress, Progress};
pub use reason::{Basis, Reason};
pub use report::{Failure, Report, SlowObject, Status};
pub use saved::{PLAN_VERSION, PlanSummary};

pub use verify::{Depth, Problem, Verification, verify};
