//! The driver: carries out the intents of the state machine and records what happens.
//!
//! - `builder`, `migration`: the public face; `workload`: what runs at side B and how it is tested
//! - `drive`: the loop over events; `events`: the same as a stream; `commander`: commands to it
//! - `intents`: carries out one intent, with `fencing` for the route, `steps`, and
//!   `workloads` for both sides
//! - `parts`: what takes part, and the order of effects
//! - `journal`: the record of events; `digest_key`: tells changed secrets apart

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
pub use commander::Commander;
pub use drive::Observed;
pub use events::Recorded;
pub(crate) use journal::replay;
pub use journal::{Entry, Note, read_events, read_journal};
pub use migration::Migration;
pub use workload::{AcceptanceTest, Workload};
