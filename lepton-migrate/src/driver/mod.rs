//! The driver: carries out the intents of the state machine and records what happens.
//!
//! - `builder`, `migration`: the public face; `workload`: what runs at side B and how it is tested
//! - `drive`: the loop over events; `events`: the same as a stream; `commander`: commands to it
//! - `intents`: carries out one intent, with `fencing` for the route, `steps`, and
//!   `workloads` for both sides
//! - `parts`: what takes part, and the order of effects
//! - `journal`: the record of events; `digest_key`: distinguishes changed secrets

mod builder;
mod commander;
mod digest_key;
mod drive;
mod events;
mod fencing;
mod intents;
mod journal;
mod migration;
mod parts;
mod steps;
mod workload;
mod workloads;

pub use builder::MigrationBuilder;
pub use commander::{Commander, DataSetLag};
pub use drive::Observed;
pub use events::Recorded;
pub use journal::{Entry, Note, read_events, read_journal};
pub(crate) use journal::{Record, replay};
pub use migration::Migration;
pub(crate) use steps::step_key;
pub use workload::{AcceptanceTest, Workload};
