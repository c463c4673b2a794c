//! Backends.

#[cfg(feature = "local")]
pub mod local;

use std::sync::Arc;

use lepton_core::{Error, Location, MemoryStorage, Result};

/// Opens a place by its URL. To be replaced by `open.rs`.
///
/// # Errors
/// `invalid_input` for a scheme that is not known.
pub fn open(url: &str) -> Result<Location> {
    let name = url.strip_prefix("memory:");
    let name = name.ok_or_else(|| Error::invalid_input(format!("{url:?} is not a known place: memory:NAME")))?;
    let storage = MemoryStorage::builder().name(name).build();
    Ok(Location::new(Arc::new(storage), ""))
}
