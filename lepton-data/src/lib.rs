//! The transfer engine of Lepton: moves objects between any two stores. A transfer is
//! resumable, bounded in memory, and ends with a proof.
//!
//! Start with [`Transfer::builder`]. [`verify`] and [`Verifier`] check a manifest against a
//! destination later. `ARCHITECTURE.md` in the repository describes the folders and their order.

mod apply;
mod compare;
#[cfg(feature = "conformance")]
pub mod conformance;
mod digest;
mod ledger;
mod listing;
mod names;
mod schedule;
mod settings;
mod telemetry;
mod transfer;
mod types;
mod verify;

pub use digest::checksum::SourceCheck;
pub use ledger::manifest::{MANIFEST_VERSION, ManifestEntry, ManifestReader, VersionNumber};
pub use ledger::plan_file::{PLAN_VERSION, PlanSummary};
pub use ledger::planned::{Planned, PlannedAction};
pub use ledger::report::{Failure, Report, SlowObject, Status};
pub use ledger::verification::{Problem, Verification, VerifyDepth};
pub use schedule::handle::RunHandle;
pub use schedule::run_control::RunControl;
pub use settings::compare_by::Compare;
pub use settings::filters::{FilterRule, Filters};
pub use settings::prefix_map::PrefixMap;
pub use settings::transfer::{ExistingPolicy, MetadataPolicy, TransferConfig};
pub use telemetry::observer::{ObjectEnd, ObjectEvent};
pub use telemetry::progress::{EndpointProgress, LaneProgress, LanesProgress, Phase, Progress};
pub use transfer::builder::{Transfer, TransferBuilder};
pub use transfer::dry_run::PlanStream;
pub use transfer::follow::{Follower, Round};
pub use types::reason::{ComparedBy, Reason};
pub use types::unprotected::Unprotected;
pub use verify::verifier::{Verifier, verify};

/// A transfer in progress; see [`Transfer::start`].
pub type TransferHandle = RunHandle<Report>;

/// A verification in progress; see [`Verifier::start`].
pub type VerificationHandle = RunHandle<Verification>;
