//! Interrupted and concurrent calls.

use std::future::poll_fn;
use std::task::Poll;

use futures_util::TryStreamExt as _;

use super::bodies::{pattern, streamed};
use super::case::cases;
use super::expect::{Check, ensure, refused, same};
use super::fixture::Fixture;
use super::multipart::{part_size, send_all};
use crate::error::ErrorKind;
use crate::key::ObjectKey;
use crate::storage::{CompleteOptions, CreateUploadOptions, DeleteRequest, ListRequest, PutOptions, StorageExt as _};

cases!(
    "interruptions":
    a_put_that_is_dropped_leaves_the_old_object_or_the_new,
    an_upload_that_is_dropped_leaves_nothing_unlisted,
    a_listing_during_writes_has_all_that_stays,
    deletes_that_fail_do_not_keep_others_back,
);

/// The largest number of waits after which a call is dropped.
const WAITS: usize = 24;

/// Drops a call at its `waits`-th wait; returns its result if it ends before.
async fn dropped<T>(call: impl Future<Output = T>, waits: usize) -> Option<T> {
    let (mut call, mut left) = (Box::pin(call), waits);
    poll_fn(|context| match call.as_mut().poll(context) {
        Poll::Ready(result) => Poll::Ready(Some(result)),
        Poll::Pending if left <= 1 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

async fn a_put_that_is_dropped_leaves_the_old_object_or_the_new(f: Fixture) -> Check {
    let (old, new) = (pattern(1000, 1), pattern(f.at_most(300_000), 2));
    for waits in 1..=WAITS {
        let key = f.key(format!("{waits}"))?;
        f.write(&key, old.clone()).await?;
        let ended = dropped(f.put(&key, streamed(&new), PutOptions::new()), waits).await;
        let found = f.storage().read(&key, u64::MAX).await?;
        ensure!(found == old || found == new, "dropped at wait {waits}, the object has {} other bytes", found.len());
        if let Some(ended) = ended {
            ended?;
            return f.holds(&key, &new).await;
        }
    }
    Ok(())
}

async fn an_upload_that_is_dropped_leaves_nothing_unlisted(f: Fixture) -> Check {
    let part = part_size(&f)?;
    let bytes = pattern(part, 1);
    for waits in 1..=WAITS {
        let key = f.key(format!("{waits}"))?;
        let begun = dropped(f.multipart()?.create(&key, CreateUploadOptions::new()), waits).await;
        if f.capabilities().list_uploads.is_available() {
            let listed: Vec<_> = f.multipart()?.list_uploads(&key).try_collect().await?;
            ensure!(listed.len() <= 1, "one upload was begun, listed are {listed:?}");
            for info in listed {
                f.multipart()?.abort(&info.upload).await?;
            }
        }
        f.absent(&key).await?;
        let upload = f.upload(&key, CreateUploadOptions::new()).await?;
        let (spec, body) = super::multipart::spec(1, part, &bytes);
        dropped(f.multipart()?.upload_part(&upload, spec, streamed(&body)), waits).await;
        f.absent(&key).await?;
        let receipts = send_all(&f, &upload, &[1], part, &bytes).await?;
        let completed =
            dropped(f.multipart()?.complete(&upload, receipts.clone(), CompleteOptions::new()), waits).await;
        if completed.is_none()
            && let Err(error) = f.multipart()?.complete(&upload, receipts, CompleteOptions::new()).await
        {
            refused(Err::<(), _>(error), ErrorKind::UploadNotFound, &key)?;
        }
        f.holds(&key, &bytes).await?;
        if let (Some(begun), Some(completed)) = (begun, completed) {
            f.multipart()?.abort(&begun?).await?;
            completed?;
            return Ok(());
        }
    }
    Ok(())
}

async fn a_listing_during_writes_has_all_that_stays(f: Fixture) -> Check {
    let stays = f.write_all((0..60).map(|number| format!("{number:02}/stays"))).await?;
    let goes = f.write_all((0..60).map(|number| format!("{number:02}/goes"))).await?;
    let listing = f.list(ListRequest::new().prefix(f.prefix()).page_size(7));
    let writing = async {
        for (number, key) in goes.iter().enumerate() {
            f.storage().remove(key).await?;
            f.write(&f.key(format!("{:02}/comes", 59 - number))?, "x").await?;
        }
        Ok::<(), super::expect::Stop>(())
    };
    let (listed, written) = futures_util::future::join(listing, writing).await;
    written?;
    let mut listed: Vec<_> = listed?.into_iter().map(|meta| meta.key).collect();
    let count = listed.len();
    listed.sort();
    listed.dedup();
    same("the number of keys that came twice", count - listed.len(), 0)?;
    listed.retain(|key| stays.binary_search(key).is_ok());
    same("the objects that were there all the time", listed, stays)
}

/// A key that the store cannot hold is refused, or is absent and counts as deleted.
async fn deletes_that_fail_do_not_keep_others_back(f: Fixture) -> Check {
    let keys = f.write_all(["a", "b"]).await?;
    let impossible = f.key(vec![b'k'; f.capabilities().keys.max_bytes.min(ObjectKey::MAX_BYTES / 2) + 1])?;
    let requests = [keys[0].clone(), impossible.clone(), keys[1].clone()].map(DeleteRequest::new);
    let batch = f.capabilities().delete_batch.max(1);
    let mut results = Vec::new();
    for requests in requests.chunks(batch) {
        results.extend(f.storage().delete(requests.to_vec()).await?);
    }
    let [first, second, third] = <[_; 3]>::try_from(results)
        .map_err(|results| super::expect::Stop::Failed(format!("{} results for 3 requests", results.len())))?;
    ensure!(first.is_ok() && third.is_ok(), "the keys beside the one that is refused: {first:?}, {third:?}");
    if second.is_err() {
        refused(second, ErrorKind::InvalidKey, &impossible)?;
    }
    for key in &keys {
        f.absent(key).await?;
    }
    Ok(())
}
