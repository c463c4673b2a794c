//! The state machine of a migration. **Unstable** until a whole migration has used it with two
//! kinds of providers.
//!
//! It is pure: it takes events and returns intents. A driver records each event in a journal before
//! it acts on it, so that replaying the journal gives the state again, and every intent is
//! idempotent, so that it can start again.
//!
//! ```text
//! Draft → Planned → Copying ⇄ Delta → Deployed → Tested → Fence → Switched → Holding
//!                                                   ▲        │                  │
//!                                                   └────────┘ given up         ▼
//!             RolledBack ◄── RollingBack ◄── any of these         Finalized → Decommissioned
//! ```
//!
//! - [`Machine`]: the state, its transitions and its intents; `fence` has those within a fence
//! - [`State`], [`Event`], [`Intent`], and [`Command`], what a user may ask for

mod command;
mod event;
mod fence;
mod intent;
mod machine;
mod record;
mod state;
#[cfg(test)]
mod tests;

pub use command::Command;
pub use event::{Choice, Event};
pub use intent::Intent;
pub use machine::Machine;
pub use record::Policy;
pub use state::{Fence, Question, Stage, State};
