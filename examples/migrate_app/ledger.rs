//! What the users were told: the last acknowledged write of each item, apart from Lepton.

use std::collections::BTreeMap;
use std::path::Path;

use lepton::{Error, Result};
use serde::{Deserialize, Serialize};

/// The state of an item, as its only user knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Known {
    /// This value was acknowledged; items are made of it.
    Value(u64),
    /// A delete was acknowledged.
    Deleted,
    /// The last write was not answered: the value before it, or its own.
    Unsure(Box<Known>, Box<Known>),
}

/// All items and the counters of all users.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Ledger {
    pub(crate) items: BTreeMap<String, Known>,
    pub(crate) requests: u64,
    pub(crate) writes: u64,
    /// Answers of 500 and above, and broken connections.
    pub(crate) failures: u64,
    /// Reads that did not give the last acknowledged value.
    pub(crate) stale: u64,
    /// The longest that a request took, in milliseconds.
    pub(crate) longest: u64,
}

impl Ledger {
    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        let failed = |error| Error::io("cannot save the ledger", error);
        let text = serde_json::to_vec(self).unwrap_or_default();
        let part = path.with_extension("part");
        std::fs::write(&part, text).map_err(failed)?;
        std::fs::rename(&part, path).map_err(failed)
    }

    pub(crate) fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read(path).map_err(|error| Error::io("cannot read the ledger", error))?;
        serde_json::from_slice(&text).map_err(|error| Error::invalid_input("the ledger is damaged").with_source(error))
    }
}

impl Known {
    /// Whether an item may hold these bytes; `None` is an item that does not exist.
    pub(crate) fn allows(&self, found: Option<&[u8]>) -> bool {
        match (self, found) {
            (Self::Value(value), Some(found)) => body(*value) == found,
            (Self::Deleted, None) => true,
            (Self::Unsure(before, after), found) => before.allows(found) || after.allows(found),
            _ => false,
        }
    }
}

/// The bytes of a value. Small ones all have one length; each 40th is larger than a part.
pub(crate) fn body(value: u64) -> Vec<u8> {
    let len = if value % 40 == 17 { 9 << 20 } else { 2_000 };
    value.to_le_bytes().repeat(len / 8)
}
