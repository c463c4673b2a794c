//! Conditional writes and reads.

use futures_util::future::join_all;

use super::bodies::pattern;
use super::case::cases;
use super::expect::{Check, ensure, failure, needs, needs_not, refused, same};
use super::fixture::Fixture;
use crate::capabilities::Support;
use crate::error::ErrorKind;
use crate::object::{ETag, Precondition};
use crate::storage::{DeleteRequest, GetOptions, PutOptions};

cases!(
    "conditions":
    put_if_absent_never_overwrites,
    one_of_many_puts_if_absent_wins,
    put_if_match_demands_the_tag,
    conditional_puts_are_refused_where_unsupported,
    get_if_match_demands_the_tag,
    conditional_gets_are_refused_where_unsupported,
    delete_if_match_demands_the_tag,
    conditional_deletes_are_refused_where_unsupported,
);

fn if_absent() -> PutOptions {
    PutOptions::new().precondition(Precondition::IfAbsent)
}

fn if_match(etag: ETag) -> PutOptions {
    PutOptions::new().precondition(Precondition::IfMatch(etag))
}

/// Writes an object twice; returns its key, its old tag and its new tag.
async fn overwritten(f: &Fixture, name: &str) -> Check<(crate::key::ObjectKey, ETag, ETag)> {
    let key = f.key(name)?;
    f.write(&key, pattern(100, 1)).await?;
    let old = f.etag(&key).await?;
    f.write(&key, pattern(100, 2)).await?;
    let new = f.etag(&key).await?;
    Ok((key, old, new))
}

async fn put_if_absent_never_overwrites(f: Fixture) -> Check {
    needs(f.capabilities().put_if_absent, "put_if_absent")?;
    let key = f.key("a")?;
    f.put(&key, "first".to_owned(), if_absent()).await?;
    refused(f.put(&key, "second".to_owned(), if_absent()).await, ErrorKind::AlreadyExists, &key)?;
    f.holds(&key, b"first").await
}

async fn one_of_many_puts_if_absent_wins(f: Fixture) -> Check {
    let support = f.capabilities().put_if_absent;
    needs(support, "put_if_absent")?;
    if support == Support::Emulated {
        return Err(super::expect::Stop::NotApplicable("put_if_absent is Emulated, so not atomic".to_owned()));
    }
    let key = f.key("a")?;
    let results = join_all((0..8).map(|seed| f.put(&key, pattern(1000, seed), if_absent()))).await;
    let winners: Vec<u8> = (0..8).filter(|seed| results[usize::from(*seed)].is_ok()).collect();
    let [winner] = winners.as_slice() else {
        return Err(super::expect::Stop::Failed(format!(
            "of 8 puts, {} said that they created the object",
            winners.len()
        )));
    };
    f.holds(&key, &pattern(1000, *winner)).await
}

async fn put_if_match_demands_the_tag(f: Fixture) -> Check {
    needs(f.capabilities().put_if_match, "put_if_match")?;
    let (key, old, new) = overwritten(&f, "a").await?;
    let result = f.put(&key, "late".to_owned(), if_match(old.clone())).await;
    refused(result, ErrorKind::PreconditionFailed, &key)?;
    f.holds(&key, &pattern(100, 2)).await?;
    f.put(&key, "third".to_owned(), if_match(new)).await?;
    f.holds(&key, b"third").await?;
    let missing = f.key("missing")?;
    refused(f.put(&missing, "x".to_owned(), if_match(old)).await, ErrorKind::PreconditionFailed, &missing)?;
    f.absent(&missing).await
}

async fn conditional_puts_are_refused_where_unsupported(f: Fixture) -> Check {
    let (absent, matching) = (f.capabilities().put_if_absent, f.capabilities().put_if_match);
    needs_not(absent, "put_if_absent").or(needs_not(matching, "put_if_match"))?;
    let key = f.key("a")?;
    f.write(&key, "old").await?;
    let etag = f.etag(&key).await?;
    for (support, options) in [(absent, if_absent()), (matching, if_match(etag))] {
        if support == Support::Unsupported {
            refused(f.put(&key, "new".to_owned(), options).await, ErrorKind::Unsupported, &key)?;
        }
    }
    f.holds(&key, b"old").await
}

async fn get_if_match_demands_the_tag(f: Fixture) -> Check {
    needs(f.capabilities().conditional_get, "conditional_get")?;
    let (key, old, new) = overwritten(&f, "a").await?;
    let options = |etag: ETag| GetOptions::new().if_match(Some(etag));
    let found = f.read(&key, options(new.clone())).await?;
    same("whether the bytes are right", found == pattern(100, 2), true)?;
    refused(f.storage().get(&key, options(old.clone())).await, ErrorKind::PreconditionFailed, &key)?;
    if f.capabilities().range_get.is_available() {
        let found = f.read(&key, options(new).range(10..20)).await?;
        same("whether the bytes of the range are right", found == pattern(100, 2)[10..20], true)?;
        let result = f.storage().get(&key, options(old.clone()).range(10..20)).await;
        refused(result, ErrorKind::PreconditionFailed, &key)?;
    }
    let missing = f.key("missing")?;
    // By RFC 9110 (13.1.1) the condition fails; most stores report that nothing is there.
    let error = failure(f.storage().get(&missing, options(old)).await, "not_found")?;
    let kind = match error.kind() {
        ErrorKind::PreconditionFailed => ErrorKind::PreconditionFailed,
        _ => ErrorKind::NotFound,
    };
    refused::<()>(Err(error), kind, &missing)
}

async fn conditional_gets_are_refused_where_unsupported(f: Fixture) -> Check {
    needs_not(f.capabilities().conditional_get, "conditional_get")?;
    let key = f.key("a")?;
    f.write(&key, "x").await?;
    let etag = f.etag(&key).await?;
    refused(f.storage().get(&key, GetOptions::new().if_match(Some(etag))).await, ErrorKind::Unsupported, &key)
}

async fn delete_if_match_demands_the_tag(f: Fixture) -> Check {
    needs(f.capabilities().conditional_delete, "conditional_delete")?;
    let (key, old, new) = overwritten(&f, "a").await?;
    let other = f.key("b")?;
    f.write(&other, "x").await?;
    let request = |etag: ETag| DeleteRequest::new(key.clone()).if_match(Some(etag));
    let results = f.storage().delete(vec![request(old), DeleteRequest::new(other.clone())]).await?;
    let [first, second] = <[_; 2]>::try_from(results.into_vec())
        .map_err(|_| super::expect::Stop::Failed("not two results".to_owned()))?;
    refused(first, ErrorKind::PreconditionFailed, &key)?;
    ensure!(second.is_ok(), "the second request had no condition, yet: {second:?}");
    f.holds(&key, &pattern(100, 2)).await?;
    f.absent(&other).await?;
    f.storage().delete(vec![request(new)]).await?.into_iter().collect::<Result<Vec<()>, _>>()?;
    f.absent(&key).await
}

async fn conditional_deletes_are_refused_where_unsupported(f: Fixture) -> Check {
    needs_not(f.capabilities().conditional_delete, "conditional_delete")?;
    let key = f.key("a")?;
    f.write(&key, "x").await?;
    let etag = f.etag(&key).await?;
    let results = f.storage().delete(vec![DeleteRequest::new(key.clone()).if_match(Some(etag))]).await;
    let result = results.and_then(|results| results.into_iter().collect::<crate::Result<Vec<()>>>());
    refused(result, ErrorKind::Unsupported, &key)?;
    f.holds(&key, b"x").await
}
