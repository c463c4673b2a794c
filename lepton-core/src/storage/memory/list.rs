//! Listings. Each page reads the contents of the store at that moment.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};

use super::bucket::{Bucket, Version};
use super::store::MemoryStorage;
use crate::error::Error;
use crate::key::{KeyPrefix, ObjectKey};
use crate::object::ObjectMeta;
use crate::storage::{ListPage, ListRequest, ObjectVersion, PageStream, VersionStream};

/// The largest page, as in Amazon S3.
const PAGE: usize = 1000;

/// Pages of the newest versions.
pub(super) fn objects(store: &MemoryStorage, request: ListRequest) -> PageStream {
    let store = store.clone();
    let start = first(&request);
    let attached = request.attributes && store.shared.capabilities.list_attributes;
    let pages = stream::unfold(Some(start), move |cursor| {
        let step = cursor.map(|cursor| {
            store.locked(|bucket| {
                page(bucket, &request, cursor, |key, newest| {
                    let mut meta = newest.meta(key, store.versioned());
                    let object = newest.object.as_ref().filter(|_| attached);
                    meta.attributes = object.map(|object| Arc::new(object.attributes.clone()));
                    meta
                })
            })
        });
        std::future::ready(step.map(|(page, next)| (Ok(page), next)))
    });
    pages.boxed()
}

/// Pages of all versions: keys ascending, the newest version of a key first.
pub(super) fn versions(store: &MemoryStorage, request: ListRequest) -> VersionStream {
    let store = store.clone();
    let pages = stream::once(async move {
        if request.delimiter.is_some() {
            let error = Error::unsupported("a memory store does not list versions with a delimiter");
            return stream::iter(vec![Err(error.with_operation("list_versions"))]);
        }
        let all: Vec<ObjectVersion> = store.locked(|bucket| {
            let keys = bucket.objects.range::<[u8], _>((borrowed(&first(&request)), Bound::Unbounded));
            let keys = keys.take_while(|(key, _)| request.prefix.matches(key));
            keys.flat_map(|(key, versions)| described(key, versions, store.versioned())).collect()
        });
        stream::iter(all.chunks(size(&request)).map(|page| Ok(page.to_vec())).collect::<Vec<_>>())
    });
    pages.flatten().boxed()
}

/// The position at which the next page begins.
type Cursor = Bound<Bytes>;

fn first(request: &ListRequest) -> Cursor {
    match &request.start_after {
        Some(after) if after[..] >= *request.prefix.as_bytes() => Bound::Excluded(after.clone()),
        _ => Bound::Included(Bytes::copy_from_slice(request.prefix.as_bytes())),
    }
}

fn borrowed(cursor: &Cursor) -> Bound<&[u8]> {
    cursor.as_ref().map(|bytes| &bytes[..])
}

fn size(request: &ListRequest) -> usize {
    request.page_size.unwrap_or(PAGE).clamp(1, PAGE)
}

/// One page, and the start of the next one unless this is the last.
fn page(
    bucket: &Bucket,
    request: &ListRequest,
    mut cursor: Cursor,
    described: impl Fn(&ObjectKey, &Version) -> ObjectMeta,
) -> (ListPage, Option<Cursor>) {
    let mut page = ListPage::default();
    while page.objects.len() + page.prefixes.len() < size(request) {
        let mut keys = bucket.objects.range::<[u8], _>((borrowed(&cursor), Bound::Unbounded));
        let visible =
            keys.find_map(|(key, versions)| Some((key, versions.last().filter(|newest| newest.object.is_some())?)));
        let Some((key, newest)) = visible.filter(|(key, _)| request.prefix.matches(key)) else {
            return (page, None);
        };
        match folder(request, key) {
            Some(folder) => {
                let next = behind(&folder);
                page.prefixes.push(folder);
                let Some(next) = next else { return (page, None) };
                cursor = Bound::Included(next);
            }
            None => {
                page.objects.push(described(key, newest));
                cursor = Bound::Excluded(key.to_bytes());
            }
        }
    }
    (page, Some(cursor))
}

/// The folder into which the key is rolled up.
fn folder(request: &ListRequest, key: &ObjectKey) -> Option<KeyPrefix> {
    let delimiter = request.delimiter?;
    let from = request.prefix.as_bytes().len();
    let at = key.as_bytes()[from..].iter().position(|byte| *byte == delimiter)?;
    Some(KeyPrefix::new(key.to_bytes().slice(..=from + at)))
}

/// The smallest byte string that is greater than all keys in this folder.
fn behind(folder: &KeyPrefix) -> Option<Bytes> {
    let mut bytes = folder.as_bytes().to_vec();
    while let Some(last) = bytes.pop() {
        if let Some(next) = last.checked_add(1) {
            bytes.push(next);
            return Some(bytes.into());
        }
    }
    None
}

fn described(key: &ObjectKey, versions: &[Version], versioned: bool) -> Vec<ObjectVersion> {
    let newest_first = versions.iter().rev().enumerate();
    newest_first
        .map(|(age, version)| {
            let mut described = ObjectVersion::new(version.meta(key, versioned));
            described.is_latest = age == 0;
            described.is_delete_marker = version.object.is_none();
            described
        })
        .collect()
}
