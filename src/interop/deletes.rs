//! Deletes through an `ObjectStore`, whose stream yields a single error for many keys when the
//! request for them failed.

use std::collections::BTreeSet;

use futures_util::{StreamExt as _, stream};
use lepton_core::{Effect, Error, ErrorKind, Result};
use object_store::ObjectStore;
use object_store::path::Path;

use super::convert::inward;

/// Deletes these paths and returns a result for each, in order. A missing object counts as
/// deleted.
pub(super) async fn all(store: &dyn ObjectStore, paths: Vec<Path>) -> Vec<Result<()>> {
    let given: Vec<_> = paths.iter().cloned().map(Ok).collect();
    let results: Vec<object_store::Result<Path>> = store.delete_stream(stream::iter(given).boxed()).collect().await;
    let in_order =
        |(result, path): (&object_store::Result<Path>, &Path)| result.as_ref().map_or(true, |gone| gone == path);
    if results.len() == paths.len() && results.iter().zip(&paths).all(in_order) {
        return results.into_iter().map(one).collect();
    }
    // The error does not state which of the keys it concerns.
    let (mut gone, mut failed) = (BTreeSet::new(), None);
    for result in results {
        match result {
            Ok(path) => drop(gone.insert(path)),
            Err(object_store::Error::NotFound { path, .. }) if paths.iter().any(|one| one.as_ref() == path) => {
                gone.insert(Path::from(path));
            }
            Err(error) => drop(failed.get_or_insert(inward(error, "delete", true))),
        }
    }
    let (kind, retry, why) = match failed {
        Some(error) if error.kind() == ErrorKind::NotFound => {
            (ErrorKind::BucketNotFound, error.retry(), error.full_message())
        }
        Some(error) => (error.kind(), error.retry(), error.full_message()),
        None => {
            (ErrorKind::Unexpected, lepton_core::RetryClass::Never, "the store gave no result for this key".to_owned())
        }
    };
    let unknown = || Error::new(kind, why.clone()).with_retry(retry).with_effect(Effect::Unknown);
    paths.into_iter().map(|path| if gone.contains(&path) { Ok(()) } else { Err(unknown()) }).collect()
}

fn one(result: object_store::Result<Path>) -> Result<()> {
    match result.map_err(|error| inward(error, "delete", true)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test")]

    use super::*;

    #[test]
    fn not_found_counts_as_deleted() {
        let missing = object_store::Error::NotFound { path: "a".into(), source: "gone".into() };
        one(Err(missing)).unwrap();
        let named = object_store::Error::NotFound { path: "NoSuchBucket".into(), source: "gone".into() };
        one(Err(named)).unwrap();
        let source = "<Error><Code>NoSuchBucket</Code></Error>".into();
        let bucket = object_store::Error::NotFound { path: "a".into(), source };
        assert_eq!(one(Err(bucket)).unwrap_err().kind(), ErrorKind::BucketNotFound);
        let denied = object_store::Error::PermissionDenied { path: "a".into(), source: "no".into() };
        assert_eq!(one(Err(denied)).unwrap_err().kind(), ErrorKind::PermissionDenied);
    }
}
