//! The checks of a memory store: it refuses everything that its capabilities do not promise.

use std::ops::Range;

use super::store::MemoryStorage;
use crate::capabilities::{MultipartLimits, Support};
use crate::error::{Error, ErrorKind, Result};
use crate::key::ObjectKey;
use crate::object::{Attributes, Precondition, VersionId};

impl MemoryStorage {
    pub(super) fn limits(&self) -> MultipartLimits {
        self.shared.capabilities.multipart.unwrap_or(MultipartLimits::new(1, u64::MAX, u32::MAX))
    }

    pub(super) fn check_version(&self, version: Option<&VersionId>) -> Result<()> {
        demand(self.shared.capabilities.versions, version.is_some(), "a version")
    }

    pub(super) fn check_write(
        &self,
        key: &ObjectKey,
        attributes: &Attributes,
        storage_class: Option<&str>,
    ) -> Result<()> {
        self.shared.capabilities.keys.check(key)?;
        demand(self.shared.capabilities.storage_class, storage_class.is_some(), "a storage class")?;
        match attributes.present().into_iter().find(|attribute| !self.shared.capabilities.keeps(*attribute)) {
            Some(attribute) => Err(Error::unsupported(format!("this store does not keep {attribute:?}"))),
            None => Ok(()),
        }
    }

    pub(super) fn check_condition(&self, precondition: &Precondition, complete: bool) -> Result<()> {
        let put = match precondition {
            Precondition::None => return Ok(()),
            Precondition::IfAbsent => self.shared.capabilities.put_if_absent,
            Precondition::IfMatch(_) => self.shared.capabilities.put_if_match,
        };
        let support = if complete { self.shared.capabilities.conditional_complete } else { put };
        demand(support, true, "a condition on a write")
    }

    pub(super) fn check_size(&self, size: u64) -> Result<()> {
        let limit = self.shared.capabilities.max_single_put.min(self.shared.capabilities.max_object);
        if size > limit {
            let message = format!("the object has {size} bytes; this store takes {limit} in one go");
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        Ok(())
    }
}

/// Refuses the feature `what` if it is wanted but not supported.
pub(super) fn demand(support: Support, wanted: bool, what: &str) -> Result<()> {
    if wanted && !support.is_available() {
        return Err(Error::unsupported(format!("this store does not support {what}")));
    }
    Ok(())
}

/// The bytes to read of an object of this size.
pub(super) fn cut_off(range: Option<Range<u64>>, size: u64) -> Result<Range<u64>> {
    match range {
        None => Ok(0..size),
        Some(range) if range.start < range.end.min(size) => Ok(range.start..range.end.min(size)),
        Some(range) => {
            let message = format!("bytes {}..{} are not in an object of {size} bytes", range.start, range.end);
            Err(Error::invalid_input(message))
        }
    }
}
