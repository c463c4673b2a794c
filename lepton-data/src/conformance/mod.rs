//! The crash suite: whether the engine, killed at any moment while it writes to a store, can
//! go on and end right.
//!
//! A small mirror is made again and again: new objects, one that is there with other bytes,
//! one in several parts where the store has those, one to be deleted. Each time the process
//! dies somewhere else: before a request is sent, while it is on its way, after it took effect
//! and before the answer came; or when the journal has another record on disk, and nothing
//! that waits for it was done. What the process had not written by then is lost, and no task
//! of it does anything more. Right then each object has to have its old bytes or its new ones.
//! Then the same transfer is run again; once to its end, and once it dies again on the way
//! and a third one goes on. What has to hold: it completes, the store has exactly the source's
//! keys and bytes, no upload is left open, and the manifest verifies.
//!
//! ```
//! # use std::sync::Arc;
//! # use lepton_core::{MemoryStorage, SharedStorage};
//! use lepton_data::conformance;
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let store: SharedStorage = Arc::new(MemoryStorage::new());
//! let report = conformance::crashes(&store, conformance::Options::new()).await?;
//! report.check()
//! # }).unwrap();
//! ```

mod crashes;
mod fate;
mod life;
mod mirror;
mod mortal;
mod options;
mod report;

pub use crashes::crashes;
pub use options::Options;
pub use report::CrashReport;
