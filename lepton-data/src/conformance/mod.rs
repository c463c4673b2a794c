//! The crash suite: tests that the engine, killed at any moment while it writes to a store,
//! can resume and end correctly.
//!
//! The suite makes a small mirror repeatedly: new objects, an object that exists with other
//! bytes, one in several parts if the store supports multipart uploads, and one to be deleted.
//! Each time, the process dies at another point: before a request is sent, while it is in
//! flight, or after it took effect and before the response arrived; or when the journal has one
//! more record on disk, before anything that waits for it is done. Data that the process had
//! not written by then is lost, and its tasks do nothing more. At that moment, each object must
//! have its old bytes or its new ones.
//!
//! Then the same transfer is resumed: once to its end, and once with a second death, after
//! which a third run resumes it. The run must complete, the store must have exactly the
//! source's keys and bytes, no upload may be left open, and the manifest must verify.
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
