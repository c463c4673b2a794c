//! The conformance suite checks whether a store does what its
//! [`Capabilities`](crate::Capabilities) state.
//!
//! Each case checks one promise of the contract. A store must do exactly what it
//! declares; it must refuse by name what it declares as unsupported, or the case does
//! not apply. The suite writes under a prefix of its own and deletes what it wrote; the
//! store need not be empty. The suite does not retry: wrap a store behind a network,
//! where a connection may break at any time, in the retry layer of the providers first.
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
//! (stores that are misconfigured on purpose). `suite` runs them; each check is a `case`.
//! [`deployment`], [`traffic`] and [`data_set`] are the suites of those contracts.

mod attributes;
mod bodies;
mod case;
mod conditions;
mod copies;
pub mod data_set;
mod deletes;
pub mod deployment;
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
pub mod traffic;
mod uploads;
mod versions;

pub use options::Options;
pub use report::{CaseReport, Outcome, Report};
pub use suite::run;
