//! Declared limits are true: a request below or at a limit succeeds, and one above it is
//! refused.

use super::bodies::{pattern, streamed, unreadable};
use super::case::cases;
use super::expect::{Check, Stop, ensure, failure, refused, same};
use super::fixture::Fixture;
use super::multipart::{listed_parts, part_size};
use crate::error::ErrorKind;
use crate::storage::{CompleteOptions, CreateUploadOptions, DeleteRequest, PartSpec, PutOptions};

cases!(
    "limits":
    one_put_takes_its_limit,
    a_put_above_the_limit_is_refused_unread,
    a_part_takes_its_limit_and_no_more,
    part_numbers_go_up_to_the_limit_and_no_further,
    one_delete_takes_its_limit,
);

/// The largest limit that a test reaches by sending bytes.
const MOST: u64 = 64 << 20;

fn testable(name: &str, limit: u64) -> Check<usize> {
    match usize::try_from(limit) {
        Ok(size) if limit <= MOST => Ok(size),
        _ => Err(Stop::NotApplicable(format!("{name} is {limit}: too much for a test"))),
    }
}

async fn one_put_takes_its_limit(f: Fixture) -> Check {
    let can = f.capabilities();
    let limit = testable("max_single_put", can.max_single_put.min(can.max_object))?;
    for len in [limit.saturating_sub(1), limit] {
        let (key, bytes) = (f.key(format!("{len}"))?, pattern(len, 1));
        f.put(&key, streamed(&bytes), PutOptions::new()).await?;
        f.holds(&key, &bytes).await?;
    }
    Ok(())
}

async fn a_put_above_the_limit_is_refused_unread(f: Fixture) -> Check {
    let can = f.capabilities();
    let Some(beyond) = can.max_single_put.min(can.max_object).checked_add(1) else {
        return Err(Stop::NotApplicable("max_single_put is unlimited".to_owned()));
    };
    let key = f.key("large")?;
    refused(f.put(&key, unreadable(beyond), PutOptions::new()).await, ErrorKind::TooLarge, &key)?;
    f.absent(&key).await
}

async fn a_part_takes_its_limit_and_no_more(f: Fixture) -> Check {
    f.multipart()?;
    let limit = testable("multipart.max_part", f.capabilities().multipart.map_or(u64::MAX, |limits| limits.max_part))?;
    for len in [limit.saturating_sub(1).max(1), limit] {
        let (key, bytes) = (f.key(format!("{len}"))?, pattern(len, 1));
        let upload = f.upload(&key, CreateUploadOptions::new()).await?;
        let part = f.multipart()?.upload_part(&upload, PartSpec::new(1, 0..len as u64), streamed(&bytes)).await?;
        f.multipart()?.complete(&upload, vec![part], CompleteOptions::new()).await?;
        f.holds(&key, &bytes).await?;
    }
    let upload = f.upload(&f.key("large")?, CreateUploadOptions::new()).await?;
    let beyond = limit as u64 + 1;
    let sent = f.multipart()?.upload_part(&upload, PartSpec::new(1, 0..beyond), unreadable(beyond)).await;
    refused(sent, ErrorKind::TooLarge, &upload.key)?;
    if f.capabilities().list_parts.is_available() {
        same("the parts that the store holds", listed_parts(&f, &upload).await?.len(), 0)?;
    }
    Ok(())
}

async fn part_numbers_go_up_to_the_limit_and_no_further(f: Fixture) -> Check {
    part_size(&f)?;
    let last = f.capabilities().multipart.map_or(u32::MAX, |limits| limits.max_parts);
    let Some(beyond) = last.checked_add(1) else {
        return Err(Stop::NotApplicable("multipart.max_parts is unlimited".to_owned()));
    };
    let upload = f.upload(&f.key("a")?, CreateUploadOptions::new()).await?;
    // Each part is one byte at its own offset, for stores that write parts at their offsets.
    let part = |number: u32| PartSpec::new(number, u64::from(number - 1)..u64::from(number));
    let receipt = f.multipart()?.upload_part(&upload, part(last), streamed(&pattern(1, 1))).await?;
    same("the number in the receipt", receipt.number, last)?;
    // A store without records of uploads limits only the count of parts, not their numbers.
    if f.capabilities().upload_records.is_available() {
        let sent = f.multipart()?.upload_part(&upload, part(beyond), streamed(&pattern(1, 1))).await;
        failure(sent, &format!("part {beyond} to be refused"))?;
    }
    Ok(())
}

async fn one_delete_takes_its_limit(f: Fixture) -> Check {
    let count = f.capabilities().delete_batch.clamp(1, 1000);
    let mut keys = f.write_all(["a", "b"]).await?;
    keys.truncate(count);
    let missing = (keys.len()..count).map(|number| f.key(format!("missing/{number}")));
    keys.extend(missing.collect::<Check<Vec<_>>>()?);
    let results = f.storage().delete(keys.iter().cloned().map(DeleteRequest::new).collect()).await?;
    same("the number of results", results.len(), count)?;
    let failed = results.iter().find(|result| result.is_err());
    ensure!(failed.is_none(), "one of {count} deletes failed: {failed:?}");
    for key in keys.iter().take(2) {
        f.absent(key).await?;
    }
    Ok(())
}
