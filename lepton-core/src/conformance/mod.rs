//! The conformance suite: whether a store does what its
//! [`Capabilities`](crate::Capabilities) say.
//!
//! Each case asks for one promise of the contract. What the store declares it
//! must do exactly; what it declares as unsupported it must refuse by name, or
//! the case does not apply. The suite writes under a prefix that nobody else has
//! and deletes what it made; the store need not be empty. It tries nothing again: a store
//! behind a network, where a connection may break at any time, goes into the retry layer of
//! the providers first.
//!
//! ```
//! # use std::sync::Arc;
//! # use lepton_core::{MemoryStorage, SharedStorage, conformance};
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let store: SharedStorage = Arc::new(MemoryStorage::new());
//! conformance::run(&store, conformance::Options::new()).await.check()
//! # }).unwrap();
//! ```
//!
//! One file for each area: `facets`, `objects`, `ranges`, `attributes`,
//! `conditions`, `deletes`, `lists`, `keys`, `limits`, `multipart` (what uploads do),
//! `uploads` (what can go wrong with them), `copies`, `versions`, `interruptions`, `others`
//! (stores that are set up wrongly on purpose). `suite` runs them, each a `case`.

mod attributes;
mod bodies;
mod case;
mod conditions;
mod copies;
mod deletes;
mod expect;
mod facets;
mod fixture;
mod interruptions;
mod keys;
mod limits;
mod lists;
mod multipart;
mod objects;
mod options;
mod others;
mod ranges;
mod report;
mod suite;
mod uploads;
mod versions;

pub use options::Options;
pub use report::{CaseReport, Outcome, Report};
pub use suite::run;
