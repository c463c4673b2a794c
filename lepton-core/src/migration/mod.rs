//! The state machine of a migration. **Unstable** until a whole migration has used it with two
//! kinds of providers.
//!
//! It is pure: it takes events and returns what is to be done. A driver records each event in a
//! journal before it acts on it, so that replaying the journal gives the state again, and every
//! intent is idempotent, so that it can be begun again.
//!
//! ```text
//! Draft → Planned → Copying ⇄ Delta → Deployed → Tested → Fence → Switched → Holding
//!                                                   ▲        │                  │
//!                                                   └────────┘ given up         ▼
//!             RolledBack ◄── RollingBack ◄── any of these         Finalized → Decommissioned
//! ```
//!
//! - [`Machine`]: the state, what each event makes of it, and what is to be done in it
//! - [`State`], [`Event`], [`Intent`]; `fence` has the transitions within a fence

mod event;
mod fence;
mod intent;
mod machine;
mod record;
mod state;
#[cfg(test)]
mod tests;

pub use event::{Choice, Event};
pub use intent::Intent;
pub use machine::Machine;
pub use record::Policy;
pub use state::{Fence, Question, Stage, State};
