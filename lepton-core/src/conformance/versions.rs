//! Old versions of objects.

use futures_util::TryStreamExt as _;

use super::case::cases;
use super::expect::{Check, Stop, ensure, failure, needs_not, refused, same};
use super::fixture::Fixture;
use crate::error::ErrorKind;
use crate::key::ObjectKey;
use crate::object::VersionId;
use crate::storage::{DeleteRequest, GetOptions, HeadOptions, ListRequest, ObjectVersion, StorageExt as _, Versions};

cases!(
    "versions":
    each_write_makes_a_version,
    a_delete_hides_and_can_be_undone,
    a_version_can_be_deleted_for_good,
    versions_are_listed_newest_first,
    versions_are_refused_where_unsupported,
);

async fn facet(f: &Fixture) -> Check<&dyn Versions> {
    let facet = f.storage().versions().ok_or_else(|| Stop::NotApplicable("versions is not available".to_owned()))?;
    if facet.enabled().await? {
        return Ok(facet);
    }
    Err(Stop::NotApplicable("the bucket keeps no versions at the moment".to_owned()))
}

/// Writes the object twice; returns both versions, the older first.
async fn twice(f: &Fixture, key: &ObjectKey) -> Check<[VersionId; 2]> {
    let old = f.write(key, "old").await?.version;
    let new = f.write(key, "new").await?.version;
    match (old, new) {
        (Some(old), Some(new)) if old != new => Ok([old, new]),
        versions => Err(Stop::Failed(format!("two writes do not have two versions in their receipts: {versions:?}"))),
    }
}

async fn all(f: &Fixture, key: &ObjectKey) -> Check<Vec<ObjectVersion>> {
    let pages = facet(f).await?.list_versions(ListRequest::new().prefix(f.prefix()));
    let versions: Vec<ObjectVersion> = pages.try_collect::<Vec<_>>().await?.into_iter().flatten().collect();
    Ok(versions.into_iter().filter(|version| version.meta.key == *key).collect())
}

async fn each_write_makes_a_version(f: Fixture) -> Check {
    facet(&f).await?;
    let key = f.key("a")?;
    let [old, new] = twice(&f, &key).await?;
    for (version, bytes) in [(&old, "old"), (&new, "new")] {
        let found = f.read(&key, GetOptions::new().version(Some(version.clone()))).await?;
        same("the bytes of the version", &found[..], bytes.as_bytes())?;
        let head = f.storage().head(&key, HeadOptions::new().version(Some(version.clone()))).await?;
        same("the version in a head", head.meta.version.as_ref(), Some(version))?;
    }
    f.holds(&key, b"new").await?;
    let newest = f.storage().head(&key, HeadOptions::new()).await?.meta.version;
    same("the newest version", newest, Some(new))
}

async fn a_delete_hides_and_can_be_undone(f: Fixture) -> Check {
    facet(&f).await?;
    let key = f.key("a")?;
    let [old, _] = twice(&f, &key).await?;
    f.storage().remove(&key).await?;
    f.absent(&key).await?;
    let found = f.read(&key, GetOptions::new().version(Some(old))).await?;
    same("the old version of a deleted object", &found[..], b"old")?;
    let versions = all(&f, &key).await?;
    let Some(marker) = versions.first().filter(|version| version.is_delete_marker && version.is_latest) else {
        return Err(Stop::Failed(format!("the newest version of a deleted object is no delete marker: {versions:?}")));
    };
    let undo = DeleteRequest::new(key.clone()).version(marker.meta.version.clone());
    f.storage().delete(vec![undo]).await?.into_iter().collect::<Result<Vec<()>, _>>()?;
    f.holds(&key, b"new").await
}

async fn a_version_can_be_deleted_for_good(f: Fixture) -> Check {
    facet(&f).await?;
    let key = f.key("a")?;
    let [old, new] = twice(&f, &key).await?;
    let request = DeleteRequest::new(key.clone()).version(Some(new.clone()));
    f.storage().delete(vec![request]).await?.into_iter().collect::<Result<Vec<()>, _>>()?;
    f.holds(&key, b"old").await?;
    let left: Vec<_> = all(&f, &key).await?.into_iter().map(|version| version.meta.version).collect();
    same("the versions that are left", left, vec![Some(old)])?;
    refused(f.storage().get(&key, GetOptions::new().version(Some(new))).await, ErrorKind::NotFound, &key)
}

async fn versions_are_listed_newest_first(f: Fixture) -> Check {
    facet(&f).await?;
    let (first, second) = (f.key("a")?, f.key("b")?);
    let [old, new] = twice(&f, &first).await?;
    twice(&f, &second).await?;
    f.storage().remove(&second).await?;
    let found: Vec<_> =
        all(&f, &first).await?.into_iter().map(|v| (v.meta.version, v.is_latest, v.meta.size)).collect();
    same("the versions of the first", found, vec![(Some(new), true, 3), (Some(old), false, 3)])?;
    let found: Vec<_> = all(&f, &second).await?.iter().map(|v| (v.is_delete_marker, v.is_latest)).collect();
    same("the versions of the second", found, vec![(true, true), (false, false), (false, false)])?;
    let pages = facet(&f).await?.list_versions(ListRequest::new().prefix(f.prefix()).page_size(2));
    let keys: Vec<_> = pages.try_collect::<Vec<_>>().await?.into_iter().flatten().map(|v| v.meta.key).collect();
    let expected = [&first, &first, &second, &second, &second];
    same("the keys in pages of 2", keys.iter().collect::<Vec<_>>(), expected.to_vec())
}

async fn versions_are_refused_where_unsupported(f: Fixture) -> Check {
    needs_not(f.capabilities().versions, "versions")?;
    let key = f.key("a")?;
    f.write(&key, "x").await?;
    let version = || Some(VersionId::new("conformance"));
    refused(f.storage().get(&key, GetOptions::new().version(version())).await, ErrorKind::Unsupported, &key)?;
    refused(f.storage().head(&key, HeadOptions::new().version(version())).await, ErrorKind::Unsupported, &key)?;
    let deleted = f.storage().delete(vec![DeleteRequest::new(key.clone()).version(version())]).await;
    let results = deleted.and_then(|results| results.into_iter().collect::<crate::Result<Vec<()>>>());
    let error = failure(results, "a delete of a version to be refused")?;
    ensure!(error.kind() == ErrorKind::Unsupported, "expected unsupported, found {error:?}");
    f.holds(&key, b"x").await
}
