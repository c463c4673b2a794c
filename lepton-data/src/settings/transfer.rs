//! Settings of a transfer, as a user writes them.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use lepton_core::{LEAF_SIZE, MemoryBudget};
use serde::{Deserialize, Serialize};

use crate::settings::compare_by::Compare;
use crate::settings::filters::Filters;
use crate::settings::prefix_map::PrefixMap;
use crate::settings::table::{Identity, transfer_settings};

const MIB: u64 = LEAF_SIZE as u64;

/// What to do with an object that is at the destination already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Existing {
    /// Replace it.
    #[default]
    Overwrite,
    /// Leave it and go on.
    Skip,
    /// Leave it and record the object as failed.
    Fail,
    /// Replace it if it differs from the source, by [`Compare`]; a synchronisation.
    IfDifferent,
    /// Replace it if it differs from the source and was not written after it.
    IfNewer,
    /// Leave it if it is the same as the source, by [`Compare`]; record the object
    /// as failed if it differs.
    Immutable,
}

impl Existing {
    /// Whether what is there is compared with the source.
    pub(crate) fn compares(self) -> bool {
        matches!(self, Existing::IfDifferent | Existing::IfNewer | Existing::Immutable)
    }
}

/// What to do with metadata that the destination cannot keep.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Metadata {
    /// Keep what can be kept; the manifest names what was lost for each object.
    #[default]
    Keep,
    /// Record the object as failed, before any byte of it is sent.
    Strict,
}

macro_rules! settings {
    ($(
        $(#[doc = $doc:literal])+
        $(#[serde($($serde:tt)*)])?
        $name:ident: $type:ty = $default:expr, $identity:ident;
    )*) => {
        /// The settings of a transfer, as they stand in a configuration file. The
        /// methods of [`TransferBuilder`](crate::TransferBuilder) have the same names.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        #[non_exhaustive]
        pub struct TransferSettings {
            $($(#[doc = $doc])+ $(#[serde($($serde)*)])? pub $name: $type,)*
        }

        impl Default for TransferSettings {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        impl TransferSettings {
            /// Each setting, and when it is a part of what a journal belongs to.
            pub(crate) const IDENTITY: &[(&str, Identity)] = &[$((stringify!($name), identity!($identity)),)*];
        }
    };
}

macro_rules! identity {
    (never) => {
        Identity::Never
    };
    (always) => {
        Identity::Always
    };
    (listing) => {
        Identity::Listing
    };
    (if_set) => {
        Identity::IfSet
    };
    (by_rules) => {
        Identity::ByRules
    };
}

transfer_settings!(settings);
