//! The replies of a store.

use std::fmt::Debug;

use crate::body::ByteStream;
use crate::key::KeyPrefix;
use crate::object::{Attributes, ObjectMeta};

/// One page of a listing. Objects and prefixes are each in ascending order.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ListPage {
    /// The objects.
    pub objects: Vec<ObjectMeta>,
    /// With a delimiter: the prefixes, each of which stands for all keys below it.
    pub prefixes: Vec<KeyPrefix>,
}

impl ListPage {
    /// A page of these objects and prefixes.
    pub fn new(objects: Vec<ObjectMeta>, prefixes: Vec<KeyPrefix>) -> Self {
        Self { objects, prefixes }
    }
}

/// An object with its attributes.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ObjectInfo {
    /// Key, size, tag, checksums.
    pub meta: ObjectMeta,
    /// The attributes that the user attached. Tags only if they were requested.
    pub attributes: Attributes,
    /// The number of tags, if the store reports it without a request for the tags;
    /// otherwise zero.
    pub tag_count: u32,
}

impl ObjectInfo {
    /// An object with its attributes.
    pub fn new(meta: ObjectMeta, attributes: Attributes) -> Self {
        Self { meta, attributes, tag_count: 0 }
    }

    /// With the number of tags.
    #[must_use]
    pub fn with_tag_count(mut self, tags: u32) -> Self {
        self.tag_count = tags;
        self
    }
}

/// The reply to a get.
#[non_exhaustive]
pub struct GetReply {
    /// The object, with the size of the whole object.
    pub meta: ObjectMeta,
    /// The attributes that the user attached, without tags. For a range, or for a caller
    /// that [needs none](super::GetOptions::without_attributes), only those that the store
    /// sends with the bytes.
    pub attributes: Attributes,
    /// The number of tags, as in [`ObjectInfo::tag_count`].
    pub tag_count: u32,
    /// The range of the object that the body contains.
    pub range: std::ops::Range<u64>,
    /// The bytes.
    pub body: ByteStream,
}

impl GetReply {
    /// A reply with these bytes of the object.
    pub fn new(info: ObjectInfo, range: std::ops::Range<u64>, body: ByteStream) -> Self {
        Self { meta: info.meta, attributes: info.attributes, tag_count: info.tag_count, range, body }
    }
}

impl Debug for GetReply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GetReply").field("meta", &self.meta).field("range", &self.range).finish_non_exhaustive()
    }
}
