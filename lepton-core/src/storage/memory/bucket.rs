//! The contents of one store: objects with their versions, and uploads in progress.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::content::Content;
use crate::checksum::StoredChecksum;
use crate::error::{Error, ErrorKind, Result};
use crate::key::ObjectKey;
use crate::object::{Attributes, ETag, ObjectMeta, Precondition, VersionId};
use crate::storage::{CreateUploadOptions, ObjectInfo, PartReceipt, UploadId};

/// The state of one store.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    /// The versions of each key, oldest first; never empty.
    pub(super) objects: BTreeMap<ObjectKey, Vec<Version>>,
    pub(super) uploads: BTreeMap<UploadId, Pending>,
    serial: u64,
}

/// One version of a key; a delete marker has no object.
#[derive(Debug, Clone)]
pub(super) struct Version {
    pub(super) id: VersionId,
    pub(super) modified: SystemTime,
    pub(super) object: Option<Object>,
}

/// A stored object.
#[derive(Debug, Clone)]
pub(super) struct Object {
    pub(super) content: Content,
    pub(super) etag: ETag,
    pub(super) attributes: Attributes,
    pub(super) storage_class: Option<String>,
}

/// An upload in progress.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) key: ObjectKey,
    pub(super) options: CreateUploadOptions,
    pub(super) initiated: SystemTime,
    pub(super) parts: BTreeMap<u32, (PartReceipt, Content)>,
}

impl Bucket {
    /// An id that this store never used before.
    pub(super) fn fresh_id(&mut self) -> String {
        self.serial += 1;
        format!("{:016x}", self.serial)
    }

    /// The requested version, or the newest if none is requested. A delete marker counts
    /// as not found.
    pub(super) fn find(&self, key: &ObjectKey, version: Option<&VersionId>) -> Result<(&Version, &Object)> {
        let versions = self.objects.get(key).map_or(&[][..], Vec::as_slice);
        let found = match version {
            Some(id) => versions.iter().find(|version| version.id == *id),
            None => versions.last(),
        };
        found.and_then(|version| Some((version, version.object.as_ref()?))).ok_or_else(|| {
            let error = Error::new(ErrorKind::NotFound, "there is no such object");
            version.map_or(error, |id| {
                Error::new(ErrorKind::NotFound, "there is no such version").with_context("version", id)
            })
        })
    }

    /// Checks whether a write under this condition may proceed.
    pub(super) fn permits(&self, key: &ObjectKey, precondition: &Precondition) -> Result<()> {
        let current = self.find(key, None).ok().map(|(_, object)| &object.etag);
        match precondition {
            Precondition::None => Ok(()),
            Precondition::IfAbsent if current.is_some() => {
                Err(Error::new(ErrorKind::AlreadyExists, "the object exists and was not to be overwritten"))
            }
            Precondition::IfAbsent => Ok(()),
            Precondition::IfMatch(etag) => matches(etag, current),
        }
    }

    /// Makes `object` the newest version of `key`; keeps the older versions only if
    /// `versioned`.
    pub(super) fn commit(
        &mut self,
        key: &ObjectKey,
        object: Option<Object>,
        modified: SystemTime,
        versioned: bool,
    ) -> VersionId {
        let id = VersionId::new(self.fresh_id());
        let versions = self.objects.entry(key.clone()).or_default();
        if !versioned {
            versions.clear();
        }
        versions.push(Version { id: id.clone(), modified, object });
        id
    }

    /// Removes one version permanently, or all versions if `version` is `None`.
    pub(super) fn erase(&mut self, key: &ObjectKey, version: Option<&VersionId>) {
        let Some(versions) = self.objects.get_mut(key) else { return };
        versions.retain(|held| version.is_some_and(|id| held.id != *id));
        if versions.is_empty() {
            self.objects.remove(key);
        }
    }
}

impl Version {
    /// The version as a listing reports it.
    pub(super) fn meta(&self, key: &ObjectKey, versioned: bool) -> ObjectMeta {
        let mut meta = ObjectMeta::new(key.clone(), 0);
        meta.last_modified = Some(self.modified);
        meta.version = versioned.then(|| self.id.clone());
        if let Some(object) = &self.object {
            meta.size = object.content.len();
            meta.etag = Some(object.etag.clone());
            meta.checksums = object.checksums();
            meta.storage_class.clone_from(&object.storage_class);
        }
        meta
    }
}

impl Object {
    pub(super) fn checksums(&self) -> Vec<StoredChecksum> {
        vec![self.content.checksum()]
    }

    /// The object as a head reports it.
    pub(super) fn info(&self, meta: ObjectMeta, tags: bool) -> ObjectInfo {
        let mut attributes = self.attributes.clone();
        let count = u32::try_from(attributes.tags.len()).unwrap_or(u32::MAX);
        if !tags {
            attributes.tags.clear();
        }
        ObjectInfo::new(meta, attributes).with_tag_count(count)
    }
}

/// Checks whether the object is the one that the caller saw.
pub(super) fn matches(wanted: &ETag, current: Option<&ETag>) -> Result<()> {
    if current == Some(wanted) {
        return Ok(());
    }
    let found = current.map_or("there is no such object".to_owned(), |etag| format!("it has {etag}"));
    Err(Error::new(ErrorKind::PreconditionFailed, format!("the object was to have the tag {wanted}; {found}")))
}
