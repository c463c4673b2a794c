//! Deletes.

use super::case::cases;
use super::expect::{Check, ensure, same};
use super::fixture::Fixture;
use crate::storage::{DeleteRequest, StorageExt as _};

cases!("deletes": what_is_deleted_is_gone, deleting_what_is_absent_succeeds, a_batch_has_a_result_for_each);

async fn what_is_deleted_is_gone(f: Fixture) -> Check {
    let rest = f.write_all(["a-", "b/c", "b/cd", "b/d"]).await?;
    let key = f.key("b/a")?;
    f.write(&key, "x").await?;
    f.storage().remove(&key).await?;
    f.absent(&key).await?;
    same("the other objects", f.listed().await?, rest)?;
    f.write(&key, "again").await?;
    f.holds(&key, b"again").await
}

async fn deleting_what_is_absent_succeeds(f: Fixture) -> Check {
    let rest = f.write_all(["folder/there"]).await?;
    for name in ["missing", "missing/below", "folder/the", "folder"] {
        f.storage().remove(&f.key(name)?).await?;
    }
    same("the other objects", f.listed().await?, rest)
}

async fn a_batch_has_a_result_for_each(f: Fixture) -> Check {
    let none = f.storage().delete(Vec::new()).await?;
    same("the results of no requests", none.len(), 0)?;
    let count = f.capabilities().delete_batch.clamp(1, 40);
    let keys = f.write_all((0..count + 1).map(|number| format!("{number:03}"))).await?;
    let (kept, gone) = (keys[0].clone(), &keys[1..]);
    let mut requests: Vec<_> = gone.iter().cloned().map(DeleteRequest::new).collect();
    requests[0] = DeleteRequest::new(f.key("missing")?);
    let results = f.storage().delete(requests).await?;
    same("the number of results", results.len(), count)?;
    ensure!(results.iter().all(Result::is_ok), "one of the deletes failed: {results:?}");
    let rest = [kept, gone[0].clone()];
    same("the objects that are left", f.listed().await?, rest.to_vec())
}
