//! What a destination does not protect against.

use std::fmt;

use lepton_core::{Capabilities, Support};
use serde::{Deserialize, Serialize};

/// A change by another client that the destination cannot be asked to preserve, because it
/// lacks a condition on writes or deletes. It matters only while other clients write to the
/// same keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Unprotected {
    /// An object that is created after the listing is overwritten.
    Creation,
    /// An object that changes after it was compared is overwritten.
    Replacement,
    /// An object that changes after it was compared is deleted.
    Deletion,
}

impl Unprotected {
    /// What a store with these capabilities does not protect. `compares`: whether writes depend
    /// on what it has; `deletes`: whether objects are deleted.
    pub fn of(capabilities: &Capabilities, compares: bool, deletes: bool) -> Vec<Self> {
        let parts = capabilities.multipart.is_none() || capabilities.conditional_complete.is_available();
        let held = |put: Support| put.is_available() && parts;
        let checks = [
            (Self::Creation, compares, held(capabilities.put_if_absent)),
            (Self::Replacement, compares, held(capabilities.put_if_match)),
            (Self::Deletion, deletes, capabilities.conditional_delete.is_available()),
        ];
        checks.into_iter().filter(|(_, matters, held)| *matters && !held).map(|(change, ..)| change).collect()
    }
}

impl fmt::Display for Unprotected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Creation => "an object that another client creates after the listing is overwritten",
            Self::Replacement => "an object that another client changes after the comparison is overwritten",
            Self::Deletion => "an object that another client changes after the comparison is deleted",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_matters_to_the_run_is_named() {
        let mut store = Capabilities::everything("x");
        assert_eq!(Unprotected::of(&store, true, true), []);
        store.put_if_match = Support::Unknown;
        store.conditional_delete = Support::Unsupported;
        assert_eq!(Unprotected::of(&store, true, false), [Unprotected::Replacement]);
        assert_eq!(Unprotected::of(&store, false, true), [Unprotected::Deletion]);
        // Objects in parts are as unprotected as others.
        store.conditional_complete = Support::Unsupported;
        assert_eq!(Unprotected::of(&store, true, false), [Unprotected::Creation, Unprotected::Replacement]);
        store.multipart = None;
        assert_eq!(Unprotected::of(&store, true, false), [Unprotected::Replacement]);
    }
}
