//! Layers: stores that wrap other stores.
//!
//! - [`limit`]: limits the number of concurrent requests
//! - [`trace`](fn@trace): a `tracing` span for each operation
//! - [`retry`]: retries, for callers that do not do so themselves
//!
//! A layer has a facet if and only if the store below has it. Layers of your own implement
//! [`Layer`](lepton_core::layer::Layer).
//!
//! ```
//! # use std::{num::NonZeroUsize, sync::Arc};
//! # use lepton_core::{MemoryStorage, SharedStorage, SystemRuntime};
//! use lepton_providers::layers;
//! let store: SharedStorage = Arc::new(MemoryStorage::new());
//! let store = layers::trace(store);
//! let store = layers::limit(store, NonZeroUsize::new(64).unwrap());
//! let store = layers::retry(store, layers::RetryConfig::default(), SystemRuntime::shared())?;
//! # Ok::<(), lepton_core::Error>(())
//! ```

mod limit;
mod retry;
#[cfg(test)]
mod tests;
mod trace;

pub use limit::limit;
#[cfg(feature = "s3")]
pub(crate) use retry::retried;
pub use retry::{RetryConfig, retry};
pub use trace::trace;
