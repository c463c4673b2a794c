//! Drives a migration: the state machine of `lepton-core` over data sets, workloads and traffic.
//! **Unstable**: the contracts below it may still change.
//!
//! - [`Migration`]: what takes part, and the driver that runs it; [`MigrationBuilder`] describes it
//! - [`ObjectSet`]: objects as a data set, over the transfer engine
//! - [`Quiesce`]: how the old owner is made to refuse writes
//! - [`AcceptanceTest`], [`Workload`]: what runs at side B, and how it is tested
//! - [`MigrationSpec`]: a whole migration, as a file in TOML, YAML or JSON describes it;
//!   [`MigrationSpec::open`] makes a migration of it
//! - [`Plan`]: what a migration would do
//! - [`Control`], [`send_command`], [`read_lag`]: commands to a driver in another process
//!
//! The driver records each event before it acts on it. A driver that was killed at any moment
//! replays its journal, reads in the register of the route which side owns the writes, and resumes.

mod assemble;
mod control;
mod driver;
mod objects;
mod plan;
mod spec;

pub use assemble::journal;
pub use control::{Control, control_socket, read_lag, send_command};
pub use driver::{
    AcceptanceTest, Commander, DataSetLag, Entry, Migration, MigrationBuilder, Note, Observed, Recorded, Workload,
    read_events, read_journal,
};
pub use objects::{AssumeRouterOnly, ObjectSet, ObjectSetBuilder, Quiesce, StoreQuiesce};
pub use plan::{Plan, PlannedData, PlannedWorkload};
pub use spec::{
    Binding, CutOver, DataSetSpec, Format, HttpTest, MigrationSpec, OwnedWorkload, PolicySpec, ScaleSpec, Start,
    StepSpec, TestAction, TestSpec, TestTarget, TrafficSpec, Variable, WorkloadEntry, WritersSpec,
};
