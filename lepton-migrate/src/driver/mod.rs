//! The driver: carries out the intents of the state machine and records what happens.
//!
//! - `migration`: what takes part; `workload`: what runs at side B and how it is tested
//! - `journal`: the record of events
//! - `intents`: carries out one intent
//! - `drive`: the loop over events

mod drive;
mod intents;
mod journal;
mod migration;
mod workload;

pub use drive::Observed;
pub use journal::read_events;
pub use migration::{Migration, MigrationBuilder};
pub use workload::{AcceptanceTest, Workload};
