//! Drives a migration: the state machine of `lepton-core` over data sets, workloads and traffic.
//! **Unstable**: the contracts below it may still change.
//!
//! - [`Migration`]: what takes part, and the driver that runs it; [`MigrationBuilder`] describes it
//! - [`ObjectSet`]: objects as a data set, over the transfer engine
//! - [`Quiesce`]: how the old owner is made to refuse writes
//! - [`AcceptanceTest`], [`Workload`]: what runs at side B, and how it is tested
//! - [`MigrationSpec`]: a whole migration, as a file in TOML, YAML or JSON describes it
//!
//! The driver records each event before it acts on it. A driver that is killed at any moment
//! replays its journal, asks the register of the route who owns the writes, and goes on.

mod driver;
mod objects;
mod spec;

pub use driver::{
    AcceptanceTest, Commander, Entry, Migration, MigrationBuilder, Note, Observed, Workload, read_events, read_journal,
};
pub use objects::{AssumeRouterOnly, ObjectSet, ObjectSetBuilder, Quiesce, StoreQuiesce};
pub use spec::{
    Binding, CutOver, DataSetSpec, Format, HttpTest, MigrationSpec, PolicySpec, ScaleSpec, Start, TestAction, TestSpec,
    TestTarget, TrafficSpec, Variable, WorkloadEntry, WritersSpec,
};
