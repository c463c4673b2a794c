//! Lists the versions of one key, in order.

use std::collections::BTreeSet;

use futures_util::TryStreamExt as _;
use lepton_core::{Error, ErrorKind, KeyPrefix, ListRequest, ObjectKey, ObjectVersion, Result, Versions};

use crate::listing::page::PAGE;
use crate::schedule::endpoint::Endpoint;
use crate::types::entry::Ids;

/// Every version of a key, each once, in the store's order: the newest first, except that
/// delete markers may be listed separately.
pub(crate) async fn listed(endpoint: &Endpoint, key: &ObjectKey) -> Result<Vec<ObjectVersion>> {
    Ok(pages(endpoint, key).await?.concat())
}

/// Every version of a key, the oldest first.
///
/// Some stores list the delete markers of a page separately from the other versions, so
/// that their relative order is lost. In that case, pages of one version, of two versions
/// and so on are requested.
///
/// # Errors
/// `unexpected` if the store does not list versions from the newest on; `unsupported` if
/// the order is lost and the key has more than 1,000 versions.
pub(crate) async fn oldest_first(endpoint: &Endpoint, key: &ObjectKey) -> Result<Vec<ObjectVersion>> {
    let mut listed = pages(endpoint, key).await?;
    let in_order = listed.iter_mut().all(|page| is_in_order(page));
    let mut versions = listed.concat();
    if !in_order {
        versions = one_by_one(endpoint, key, versions).await?;
    }
    if versions.iter().skip(1).any(|version| version.is_latest) {
        return Err(out_of_order(key));
    }
    versions.reverse();
    Ok(versions)
}

fn out_of_order(key: &ObjectKey) -> Error {
    let message = "the store does not list the versions of the key from the newest on";
    Error::new(ErrorKind::Unexpected, message).with_context("key", key)
}

/// Sorts versions, the newest first: a first page of n versions holds the n newest, in any
/// order.
async fn one_by_one(
    endpoint: &Endpoint,
    key: &ObjectKey,
    mut versions: Vec<ObjectVersion>,
) -> Result<Vec<ObjectVersion>> {
    if versions.len() > PAGE {
        let message = format!(
            "the store lists delete markers apart from other versions, and the key has {}: their order cannot be told",
            versions.len()
        );
        return Err(Error::unsupported(message).with_context("key", key));
    }
    let mut ordered: Vec<ObjectVersion> = Vec::new();
    while !versions.is_empty() {
        let request = request(key).page_size(ordered.len() + 1);
        let store = facet(endpoint)?;
        let page = endpoint.retry(true, || {
            let mut pages = store.list_versions(request.clone());
            async move { Ok(pages.try_next().await?.unwrap_or_default()) }
        });
        let page = page.await?;
        let next = |version: &ObjectVersion| page.iter().any(|newest| newest.meta.version == version.meta.version);
        let place = versions.iter().position(next).ok_or_else(|| out_of_order(key))?;
        ordered.push(versions.remove(place));
        if versions.iter().any(next) {
            // The key was written meanwhile.
            return Err(conflict(key, "it is being written"));
        }
    }
    Ok(ordered)
}

/// The version that a store has of a key in addition to those that are `known`, if any.
///
/// # Errors
/// `conflict` if there are several, or if known ones are gone.
pub(crate) async fn unknown_version(
    endpoint: &Endpoint,
    key: &ObjectKey,
    known: &Ids,
) -> Result<Option<ObjectVersion>> {
    let mut versions = listed(endpoint, key).await?;
    let listed = versions.len();
    versions.retain(|version| !known.contains(&version.meta.version));
    if listed - versions.len() != known.len() {
        return Err(conflict(key, "versions that it had are gone"));
    }
    if versions.len() > 1 {
        return Err(conflict(key, "it has got more than one version at once"));
    }
    Ok(versions.pop())
}

/// The error for a history that changed at the destination.
pub(crate) fn conflict(key: &ObjectKey, what: &str) -> Error {
    let message = format!("the destination's history of the key changed meanwhile: {what}");
    Error::new(ErrorKind::Conflict, message).with_context("key", key)
}

/// Whether the versions of a page are certainly in order, even if the store lists delete
/// markers separately. If the only marker is the latest version, it is moved to the front.
fn is_in_order(page: &mut [ObjectVersion]) -> bool {
    let changes = page.windows(2).filter(|pair| pair[0].is_delete_marker != pair[1].is_delete_marker).count();
    if changes != 1 {
        // If markers are listed separately, the kind changes exactly once.
        return true;
    }
    let mut markers = page.iter().enumerate().filter(|(_, version)| version.is_delete_marker);
    let (Some((place, marker)), None) = (markers.next(), markers.next()) else { return false };
    if !marker.is_latest {
        return false;
    }
    page[..=place].rotate_right(1);
    true
}

fn facet(endpoint: &Endpoint) -> Result<&dyn Versions> {
    endpoint.storage().versions().ok_or_else(|| Error::unsupported("the store lists no versions"))
}

fn request(key: &ObjectKey) -> ListRequest {
    ListRequest::new().prefix(KeyPrefix::new(key.as_bytes().to_vec()))
}

/// The versions of a key in pages, each once: a store may repeat one at a page boundary.
async fn pages(endpoint: &Endpoint, key: &ObjectKey) -> Result<Vec<Vec<ObjectVersion>>> {
    let store = facet(endpoint)?;
    endpoint
        .retry(true, || async {
            let mut listing = store.list_versions(request(key));
            let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
            while let Some(mut page) = listing.try_next().await? {
                // Keys are listed in order, so this key comes before longer keys with this prefix.
                let beyond = page.iter().any(|version| version.meta.key != *key);
                let listed = page.len();
                page.retain(|version| version.meta.key == *key && seen.insert(version.meta.version.clone()));
                if page.is_empty() && listed > 0 && !beyond {
                    let message = "the store lists the same versions again and again";
                    return Err(Error::new(ErrorKind::Unexpected, message).with_context("key", key));
                }
                found.push(page);
                if beyond {
                    break;
                }
            }
            Ok(found)
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use lepton_core::{ObjectMeta, VersionId};

    /// Versions by name, newest first; `M` begins the name of a marker.
    fn page(names: &[&str], latest: &str) -> Vec<ObjectVersion> {
        let version = |name: &&str| {
            let mut meta = ObjectMeta::new(ObjectKey::try_from("k").unwrap(), 0);
            meta.version = Some(VersionId::new(*name));
            let mut version = ObjectVersion::new(meta);
            version.is_latest = *name == latest;
            version.is_delete_marker = name.starts_with('M');
            version
        };
        names.iter().map(version).collect()
    }

    #[test]
    fn an_order_is_taken_only_where_markers_were_not_put_apart() {
        for (names, latest, in_order) in [
            (&["b", "a"][..], "b", Some(&["b", "a"][..])),
            (&["M2", "M1"], "M2", Some(&["M2", "M1"])),
            (&["M", "b", "a"], "M", Some(&["M", "b", "a"])),
            (&["b", "a", "M"], "M", Some(&["M", "b", "a"])),
            (&["b", "M", "a"], "b", Some(&["b", "M", "a"])),
            // The true order may have been b, M, a.
            (&["M", "b", "a"], "b", None),
            (&["b", "a", "M"], "b", None),
            (&["M2", "M1", "a"], "M2", None),
            (&["b", "a", "M2", "M1"], "M2", None),
        ] {
            let mut page = page(names, latest);
            let ordered = is_in_order(&mut page).then(|| {
                page.iter().map(|version| version.meta.version.as_ref().unwrap().as_str()).collect::<Vec<_>>()
            });
            assert_eq!(ordered.as_deref(), in_order, "{names:?}, {latest} is the latest");
        }
    }
}
