//! What somebody else has changed at the follower.

use std::collections::HashMap;
use std::path::Path;

use futures_util::TryStreamExt as _;
use lepton_core::{ETag, ErrorKind, ListRequest, Location, Result};
use lepton_data::ManifestReader;

/// How many differences are named.
const NAMED: usize = 100;

/// Which side of a manifest a listing is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tags {
    /// The tags of the objects that were read.
    Source,
    /// The tags of the objects that were written.
    Destination,
}

/// The objects at `place` that are not as the manifest of the last round says: changed, new or
/// gone, by key. Without a manifest there is nothing to compare with.
///
/// It holds the keys and tags of the manifest in memory.
pub(super) async fn unexpected(manifest: &Path, place: &Location, tags: Tags) -> Result<Vec<String>> {
    let mut expected = match read(manifest, tags) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        read => read?,
    };
    let mut found = Vec::new();
    let mut pages = place.storage().list(ListRequest::new().prefix(place.folder().clone()));
    while let Some(page) = pages.try_next().await? {
        for object in page.objects {
            match expected.remove(object.key.as_bytes()) {
                Some(tag) if tag.is_some() && tag == object.etag => {}
                Some(_) => found.push(format!("{} was changed", object.key)),
                None => found.push(format!("{} is new", object.key)),
            }
        }
    }
    found.extend(expected.keys().map(|key| format!("{} is gone", String::from_utf8_lossy(key))));
    found.truncate(NAMED);
    Ok(found)
}

fn read(manifest: &Path, tags: Tags) -> Result<HashMap<Vec<u8>, Option<ETag>>> {
    let mut lines = HashMap::new();
    for line in ManifestReader::open(manifest)? {
        let line = line?;
        match tags {
            Tags::Source => {
                let tag = line.source_etag.clone().or_else(|| line.etag.clone());
                lines.insert(line.source_key().as_bytes().to_vec(), tag)
            }
            Tags::Destination => lines.insert(line.key.as_bytes().to_vec(), line.etag.clone()),
        };
    }
    Ok(lines)
}
