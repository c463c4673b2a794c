//! The objects of an in-memory store and their versions.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::SystemTime;

use bytes::Bytes;

use super::super::{DeleteRequest, GetOptions, GetReply, ListPage, ListRequest, ObjectInfo, UploadId};
use super::Content;
use super::multipart::UploadState;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{KeyPrefix, ObjectKey};
use crate::object::{Attributes, ETag, ObjectMeta, Precondition, VersionId};

const PAGE: usize = 1000;

/// One version of an object, or the mark that it was deleted.
#[derive(Debug, Clone)]
pub(super) struct Object {
    pub(super) meta: ObjectMeta,
    pub(super) attributes: Attributes,
    pub(super) pieces: Vec<Bytes>,
    pub(super) deleted: bool,
}

impl Object {
    pub(super) fn new(key: ObjectKey, content: &Content, now: SystemTime) -> Self {
        let mut meta = ObjectMeta::new(key, content.len);
        meta.etag = Some(content.etag());
        meta.checksums = vec![content.checksum()];
        meta.last_modified = Some(now);
        Self { meta, attributes: Attributes::default(), pieces: content.pieces.clone(), deleted: false }
    }

    /// The object as a head without tags shows it.
    pub(super) fn info(&self) -> ObjectInfo {
        let tags = u32::try_from(self.attributes.tags.len()).unwrap_or(u32::MAX);
        let attributes = Attributes { tags: BTreeMap::new(), ..self.attributes.clone() };
        ObjectInfo::new(self.meta.clone(), attributes).with_tag_count(tags)
    }

    pub(super) fn read(&self, options: &GetOptions) -> Result<GetReply> {
        if options.if_match.is_some() && options.if_match != self.meta.etag {
            return Err(Error::new(ErrorKind::PreconditionFailed, "the object has another tag"));
        }
        let size = self.meta.size;
        let range = match &options.range {
            Some(range) if range.start >= size || range.is_empty() => {
                let message = format!("bytes {}..{} of an object of {size} bytes", range.start, range.end);
                return Err(Error::invalid_input(message));
            }
            Some(range) => range.start..range.end.min(size),
            None => 0..size,
        };
        let pieces: Vec<Result<Bytes>> = cut(&self.pieces, range.clone()).into_iter().map(Ok).collect();
        Ok(GetReply::new(self.info(), range, Box::pin(futures_util::stream::iter(pieces))))
    }
}

/// The pieces that hold `range`, without copying.
pub(super) fn cut(pieces: &[Bytes], range: std::ops::Range<u64>) -> Vec<Bytes> {
    let mut start = 0;
    let mut found = Vec::new();
    for piece in pieces {
        let end = start + piece.len() as u64;
        let (from, to) = (range.start.max(start), range.end.min(end));
        if from < to {
            let within = |at: u64| usize::try_from(at - start).unwrap_or(usize::MAX);
            found.push(piece.slice(within(from)..within(to)));
        }
        start = end;
    }
    found
}

/// All objects: for each key its versions, the newest last.
#[derive(Debug, Default)]
pub(super) struct Objects {
    pub(super) versions: BTreeMap<ObjectKey, Vec<Object>>,
    pub(super) uploads: BTreeMap<UploadId, UploadState>,
    named: u64,
}

impl Objects {
    /// A name that was never given before.
    pub(super) fn name(&mut self) -> String {
        self.named += 1;
        format!("{:08}", self.named)
    }

    pub(super) fn get(&self, key: &ObjectKey, version: Option<&VersionId>) -> Result<&Object> {
        let versions = self.versions.get(key).map_or(&[][..], Vec::as_slice);
        let found = match version {
            Some(version) => versions.iter().find(|object| object.meta.version.as_ref() == Some(version)),
            None => versions.last(),
        };
        found.filter(|object| !object.deleted).ok_or_else(|| Error::new(ErrorKind::NotFound, "there is no such object"))
    }

    pub(super) fn insert(
        &mut self,
        mut object: Object,
        condition: &Precondition,
        versioned: bool,
    ) -> Result<ObjectMeta> {
        self.holds(&object.meta.key, condition)?;
        if versioned {
            object.meta.version = Some(VersionId::new(self.name()));
        }
        let meta = object.meta.clone();
        let versions = self.versions.entry(meta.key.clone()).or_default();
        if !versioned {
            versions.clear();
        }
        versions.push(object);
        Ok(meta)
    }

    fn holds(&self, key: &ObjectKey, condition: &Precondition) -> Result<()> {
        let present = self.get(key, None).ok();
        match condition {
            Precondition::IfAbsent if present.is_some() => {
                Err(Error::new(ErrorKind::AlreadyExists, "there is an object of this key already"))
            }
            Precondition::IfMatch(etag) => Self::matches(present, etag),
            _ => Ok(()),
        }
    }

    fn matches(present: Option<&Object>, etag: &ETag) -> Result<()> {
        match present.and_then(|object| object.meta.etag.as_ref()) {
            Some(found) if found == etag => Ok(()),
            Some(_) => Err(Error::new(ErrorKind::PreconditionFailed, "the object has another tag")),
            None => Err(Error::new(ErrorKind::PreconditionFailed, "there is no object to have that tag")),
        }
    }

    pub(super) fn remove(&mut self, request: &DeleteRequest, versioned: bool, now: SystemTime) -> Result<()> {
        if let Some(etag) = &request.if_match {
            let Ok(present) = self.get(&request.key, None) else { return Ok(()) };
            Self::matches(Some(present), etag)?;
        }
        let name = VersionId::new(self.name());
        let Some(versions) = self.versions.get_mut(&request.key) else { return Ok(()) };
        match &request.version {
            Some(version) => versions.retain(|object| object.meta.version.as_ref() != Some(version)),
            None if versioned => versions.push(marker(&request.key, name, now)),
            None => versions.clear(),
        }
        if versions.is_empty() {
            self.versions.remove(&request.key);
        }
        Ok(())
    }

    /// The page behind `after`, or behind the request's own start, and the name
    /// behind which the next one begins.
    pub(super) fn page(&self, request: &ListRequest, after: Option<Bytes>) -> (ListPage, Option<Bytes>) {
        let limit = request.page_size.unwrap_or(PAGE).clamp(1, PAGE);
        let prefix = request.prefix.as_bytes();
        let mut after = after.max(request.start_after.clone());
        let mut page = ListPage::default();
        while page.objects.len() + page.prefixes.len() < limit {
            let Some(object) = self.next_after(prefix, after.as_ref()) else { break };
            let key = object.meta.key.as_bytes();
            let rest = &key[prefix.len()..];
            let folder = request.delimiter.and_then(|delimiter| rest.iter().position(|byte| *byte == delimiter));
            if let Some(end) = folder {
                let folder = KeyPrefix::new(Bytes::copy_from_slice(&key[..=prefix.len() + end]));
                after = Some(behind(folder.as_bytes()));
                if request.start_after.as_ref().is_none_or(|start| folder.as_bytes() > start.as_ref()) {
                    page.prefixes.push(folder);
                }
            } else {
                after = Some(object.meta.key.to_bytes());
                page.objects.push(object.meta.clone());
            }
        }
        (page, after)
    }

    /// The first object of this prefix behind `after` that is not deleted.
    fn next_after(&self, prefix: &[u8], after: Option<&Bytes>) -> Option<&Object> {
        let from = match after {
            Some(after) if after.as_ref() >= prefix => Bound::Excluded(after.clone()),
            _ => Bound::Included(Bytes::copy_from_slice(prefix)),
        };
        let start = match &from {
            Bound::Excluded(bytes) => ObjectKey::new(bytes.clone()).map_or(Bound::Unbounded, Bound::Excluded),
            Bound::Included(bytes) => ObjectKey::new(bytes.clone()).map_or(Bound::Unbounded, Bound::Included),
            Bound::Unbounded => Bound::Unbounded,
        };
        let range = self.versions.range((start, Bound::Unbounded));
        let newest = range.filter_map(|(_, versions)| versions.last());
        newest.take_while(|object| object.meta.key.as_bytes().starts_with(prefix)).find(|object| !object.deleted)
    }
}

/// A name behind every key of this folder that can be written: keys are UTF-8 or
/// at least shorter than this many 0xff.
fn behind(folder: &[u8]) -> Bytes {
    let mut name = folder.to_vec();
    name.extend_from_slice(&[0xff; 1024]);
    name.into()
}

fn marker(key: &ObjectKey, version: VersionId, now: SystemTime) -> Object {
    let mut meta = ObjectMeta::new(key.clone(), 0);
    meta.version = Some(version);
    meta.last_modified = Some(now);
    Object { meta, attributes: Attributes::default(), pieces: Vec::new(), deleted: true }
}
