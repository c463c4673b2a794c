//! Stores that the caller misconfigures on purpose: errors name what is wrong, and nothing is
//! done.

use std::fmt::Debug;

use futures_util::TryStreamExt as _;

use super::case::cases;
use super::expect::{Check, Stop, ensure, failure};
use super::fixture::Fixture;
use crate::body::Body;
use crate::error::{Effect, Error, ErrorKind, Result, RetryClass};
use crate::storage::{GetOptions, HeadOptions, ListRequest, PutOptions, SharedStorage};

cases!("others": a_missing_bucket_is_named, wrong_credentials_are_named, a_missing_permission_is_named);

fn given<'a>(store: Option<&'a SharedStorage>, option: &str) -> Check<&'a SharedStorage> {
    store.ok_or_else(|| Stop::NotApplicable(format!("no store was given as {option}")))
}

/// Fails unless the result is an error of one of these kinds, a retry cannot help and nothing
/// was done.
fn is_one_of<T: Debug>(what: &str, result: Result<T>, kinds: &[ErrorKind]) -> Check {
    let error: Error = failure(result, &format!("{what} to be refused"))?;
    ensure!(kinds.contains(&error.kind()), "{what}: expected one of {kinds:?}, found {error:?}");
    ensure!(error.retry() == RetryClass::Never, "{what}: trying again cannot help, yet the error says so: {error:?}");
    ensure!(error.effect() == Effect::None, "{what}: nothing was done, yet the error does not say so: {error:?}");
    ensure!(error.operation().is_some(), "{what}: the error does not name its operation: {error:?}");
    Ok(())
}

/// Checks the errors of a listing, a head, a get and a put.
async fn all_are(f: &Fixture, store: &SharedStorage, reads: &[ErrorKind], writes: &[ErrorKind]) -> Check {
    let key = f.key("a")?;
    let lists: Vec<ErrorKind> = reads.iter().copied().filter(|kind| *kind != ErrorKind::NotFound).collect();
    let listed = store.list(ListRequest::new().prefix(f.prefix())).try_collect::<Vec<_>>().await;
    if !reads.is_empty() {
        is_one_of("a listing", listed, &lists)?;
        is_one_of("a head", store.head(&key, HeadOptions::new()).await, reads)?;
        is_one_of("a get", store.get(&key, GetOptions::new()).await, reads)?;
    }
    is_one_of("a put", store.put(&key, Body::from("x"), PutOptions::new()).await, writes)?;
    f.absent(&key).await
}

async fn a_missing_bucket_is_named(f: Fixture) -> Check {
    let store = given(f.others().missing_bucket.as_ref(), "missing_bucket")?;
    // The reply to a head is only a status, which does not distinguish the two.
    all_are(&f, store, &[ErrorKind::BucketNotFound, ErrorKind::NotFound], &[ErrorKind::BucketNotFound]).await
}

async fn wrong_credentials_are_named(f: Fixture) -> Check {
    let store = given(f.others().wrong_credentials.as_ref(), "wrong_credentials")?;
    let kinds = [ErrorKind::Unauthenticated, ErrorKind::PermissionDenied];
    all_are(&f, store, &kinds, &kinds).await
}

async fn a_missing_permission_is_named(f: Fixture) -> Check {
    let store = given(f.others().read_only.as_ref(), "read_only")?;
    all_are(&f, store, &[], &[ErrorKind::PermissionDenied, ErrorKind::ReadOnly]).await
}
