//! The settings of a transfer as a type, and those of its values that are enums.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use lepton_core::{Error, LEAF_SIZE, MemoryBudget, Result};
use serde::{Deserialize, Serialize};

use crate::settings::compare_by::Compare;
use crate::settings::filters::Filters;
use crate::settings::prefix_map::PrefixMap;
use crate::settings::table::{Identity, transfer_settings};

const MIB: u64 = LEAF_SIZE as u64;

/// What to do with an object that already exists at the destination.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ExistingPolicy {
    /// Replace it.
    #[default]
    Overwrite,
    /// Leave it and continue.
    Skip,
    /// Leave it and record the object as failed.
    Fail,
    /// Replace it if it differs from the source according to [`Compare`]: synchronisation.
    IfDifferent,
    /// Replace it if it differs from the source and was not written after the source.
    IfNewer,
    /// Leave it if it is the same as the source according to [`Compare`]; record the
    /// object as failed if it differs.
    Immutable,
}

impl ExistingPolicy {
    /// Whether the existing object is compared with the source.
    pub(crate) fn compares(self) -> bool {
        matches!(self, ExistingPolicy::IfDifferent | ExistingPolicy::IfNewer | ExistingPolicy::Immutable)
    }
}

/// What to do with metadata that the destination cannot keep.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum MetadataPolicy {
    /// Keep what the destination supports; the manifest names what each object lost.
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
        /// The settings of a transfer, as written in a configuration file. The methods of
        /// [`TransferBuilder`](crate::TransferBuilder) have the same names.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        #[non_exhaustive]
        pub struct TransferConfig {
            $($(#[doc = $doc])+ $(#[serde($($serde)*)])? pub $name: $type,)*
        }

        impl Default for TransferConfig {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        impl TransferConfig {
            /// Each setting, and whether it is part of a journal's identity.
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

/// The most units in flight. A process has fewer sockets.
const MAX_CONCURRENCY: usize = 65_536;

impl TransferConfig {
    /// Refuses limits of requests, bandwidth, memory and concurrency with which nothing would work,
    /// by name.
    pub(crate) fn check_limits(&self) -> Result<()> {
        self.check_memory()?;
        for (name, rate) in [("bandwidth", self.bandwidth), ("requests_per_second", self.requests_per_second)] {
            if rate == Some(0) {
                return Err(Error::invalid_input(format!(
                    "{name} is 0, at which nothing would ever end; leave it out"
                )));
            }
        }
        if self.concurrency.get() > MAX_CONCURRENCY {
            let message = format!("concurrency is {}; it must be at most {MAX_CONCURRENCY}", self.concurrency);
            return Err(Error::invalid_input(message));
        }
        Ok(())
    }

    /// Refuses a memory limit that is too small for a single unit of work.
    fn check_memory(&self) -> Result<()> {
        if self.memory < 4 * MIB {
            return Err(Error::invalid_input(format!("memory is {} bytes; it must be at least 4 MiB", self.memory)));
        }
        Ok(())
    }
}
