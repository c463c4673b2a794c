//! Multipart uploads.

use bytes::Bytes;
use futures_util::TryStreamExt as _;

use super::attributes::{every, has, kept};
use super::bodies::{pattern, streamed};
use super::case::cases;
use super::expect::{Check, Stop, ensure, needs, refused, same};
use super::fixture::Fixture;
use crate::checksum::{ChecksumScope, StoredChecksum};
use crate::error::ErrorKind;
use crate::object::{Attribute, Precondition};
use crate::storage::{
    CompleteOptions, CreateUploadOptions, HeadOptions, PartInfo, PartReceipt, PartSpec, Upload, UploadInfo,
};

cases!(
    "multipart":
    sizes_around_the_part_come_back,
    parts_may_come_in_any_order,
    a_part_sent_again_is_replaced,
    nothing_is_seen_before_completion,
    the_object_becomes_whole_over_the_old_one,
    attributes_are_kept,
    attributes_that_are_not_kept_are_refused,
    parts_are_listed,
    uploads_are_listed_by_exact_key,
    an_upload_is_taken_up_from_what_is_listed,
);

/// The part size of the suite: the minimum of the store, but at least 100,000 bytes.
pub(super) fn part_size(f: &Fixture) -> Check<usize> {
    f.multipart()?;
    let least = f.capabilities().multipart.map_or(1, |limits| limits.min_part).max(100_000);
    match usize::try_from(least) {
        Ok(size) if size <= 64 << 20 => Ok(size),
        _ => Err(Stop::NotApplicable(format!("multipart.min_part is {least}: too much for a test"))),
    }
}

/// The position and bytes of part `number` if every part has `size` of these bytes.
pub(super) fn spec(number: u32, size: usize, bytes: &Bytes) -> (PartSpec, Bytes) {
    let start = (number as usize - 1) * size;
    let end = (start + size).min(bytes.len());
    (PartSpec::new(number, start as u64..end as u64), bytes.slice(start..end))
}

/// Sends part `number` of these bytes.
pub(super) async fn send(f: &Fixture, upload: &Upload, number: u32, size: usize, bytes: &Bytes) -> Check<PartReceipt> {
    let (part, bytes) = spec(number, size, bytes);
    let receipt = f.multipart()?.upload_part(upload, part, streamed(&bytes)).await?;
    same("number and size in the receipt", (receipt.number, receipt.size), (number, bytes.len() as u64))?;
    is_of(&receipt, &bytes)?;
    Ok(receipt)
}

fn is_of(receipt: &PartReceipt, bytes: &[u8]) -> Check {
    let Some(checksum) = &receipt.checksum else { return Ok(()) };
    let own = StoredChecksum::of(checksum.algorithm, bytes).filter(|_| checksum.scope == ChecksumScope::Full);
    ensure!(own.as_ref().is_none_or(|own| own == checksum), "{checksum:?} is not of part {}: {own:?}", receipt.number);
    Ok(())
}

/// Sends these parts in this order; returns their receipts in ascending order.
pub(super) async fn send_all(
    f: &Fixture,
    upload: &Upload,
    order: &[u32],
    size: usize,
    bytes: &Bytes,
) -> Check<Vec<PartReceipt>> {
    let mut receipts = Vec::new();
    for number in order {
        receipts.push(send(f, upload, *number, size, bytes).await?);
    }
    receipts.sort_by_key(|receipt| receipt.number);
    Ok(receipts)
}

async fn sizes_around_the_part_come_back(f: Fixture) -> Check {
    let part = part_size(&f)?;
    for len in [1, part - 1, part, part + 1, 2 * part, 2 * part + 1] {
        let (key, bytes) = (f.key(format!("{len}"))?, pattern(len, 1));
        let upload = f.upload(&key, CreateUploadOptions::new().size(len as u64)).await?;
        let numbers: Vec<u32> = (1..).take(len.div_ceil(part)).collect();
        let receipts = send_all(&f, &upload, &numbers, part, &bytes).await?;
        let receipt = f.multipart()?.complete(&upload, receipts, CompleteOptions::new()).await?;
        let head = f.storage().head(&key, HeadOptions::new()).await?.meta;
        same("the size in a head", head.size, len as u64)?;
        if receipt.etag.is_some() {
            same("the ETag in the receipt", receipt.etag, head.etag)?;
        }
        f.holds(&key, &bytes).await?;
    }
    Ok(())
}

async fn parts_may_come_in_any_order(f: Fixture) -> Check {
    let part = part_size(&f)?;
    let (key, bytes) = (f.key("a")?, pattern(2 * part + 17, 2));
    let upload = f.upload(&key, CreateUploadOptions::new()).await?;
    let receipts = send_all(&f, &upload, &[3, 1, 2], part, &bytes).await?;
    f.multipart()?.complete(&upload, receipts, CompleteOptions::new()).await?;
    f.holds(&key, &bytes).await
}

async fn a_part_sent_again_is_replaced(f: Fixture) -> Check {
    let part = part_size(&f)?;
    let (key, first, second) = (f.key("a")?, pattern(part + 40, 3), pattern(part + 20, 4));
    let upload = f.upload(&key, CreateUploadOptions::new()).await?;
    send_all(&f, &upload, &[1, 2], part, &first).await?;
    let receipts = send_all(&f, &upload, &[1, 2], part, &second).await?;
    f.multipart()?.complete(&upload, receipts, CompleteOptions::new()).await?;
    f.holds(&key, &second).await
}

async fn nothing_is_seen_before_completion(f: Fixture) -> Check {
    let part = part_size(&f)?;
    let (key, bytes) = (f.key("a")?, pattern(part, 5));
    let upload = f.upload(&key, CreateUploadOptions::new()).await?;
    let receipts = send_all(&f, &upload, &[1], part, &bytes).await?;
    f.absent(&key).await?;
    same("the objects that are there", f.listed().await?, Vec::new())?;
    f.multipart()?.complete(&upload, receipts, CompleteOptions::new()).await?;
    same("the objects that are there", f.listed().await?, vec![key])
}

async fn the_object_becomes_whole_over_the_old_one(f: Fixture) -> Check {
    let part = part_size(&f)?;
    let (key, bytes) = (f.key("a")?, pattern(part + 3, 6));
    f.write(&key, "the old object").await?;
    let old = f.etag(&key).await?;
    let upload = f.upload(&key, CreateUploadOptions::new()).await?;
    let receipts = send_all(&f, &upload, &[1, 2], part, &bytes).await?;
    f.holds(&key, b"the old object").await?;
    f.multipart()?.complete(&upload, receipts, CompleteOptions::new()).await?;
    f.holds(&key, &bytes).await?;
    let new = f.etag(&key).await?;
    ensure!(new != old, "the ETag {old} stayed while the bytes changed");
    Ok(())
}

async fn attributes_are_kept(f: Fixture) -> Check {
    let part = part_size(&f)?;
    let (key, bytes) = (f.key("a")?, pattern(part, 7));
    let upload = f.upload(&key, CreateUploadOptions::new().attributes(kept(&f))).await?;
    let receipts = send_all(&f, &upload, &[1], part, &bytes).await?;
    f.multipart()?.complete(&upload, receipts, CompleteOptions::new()).await?;
    has(&f, &key, &kept(&f)).await
}

async fn attributes_that_are_not_kept_are_refused(f: Fixture) -> Check {
    let lost: Vec<_> = Attribute::ALL.iter().filter(|attribute| !f.capabilities().keeps(**attribute)).collect();
    if lost.is_empty() {
        return Err(Stop::NotApplicable("attributes has all".to_owned()));
    }
    let key = f.key("a")?;
    for attribute in lost {
        let mut one = every();
        Attribute::ALL.iter().filter(|other| *other != attribute).for_each(|other| one.remove(*other));
        let begun = f.multipart()?.create(&key, CreateUploadOptions::new().attributes(one)).await;
        refused(begun, ErrorKind::Unsupported, &key).map_err(|stop| stop.while_doing(format!("{attribute:?}")))?;
    }
    Ok(())
}

pub(super) async fn listed_parts(f: &Fixture, upload: &Upload) -> Check<Vec<PartInfo>> {
    Ok(f.multipart()?.list_parts(upload).try_collect().await?)
}

async fn parts_are_listed(f: Fixture) -> Check {
    needs(f.capabilities().list_parts, "list_parts")?;
    let part = part_size(&f)?;
    let (key, bytes) = (f.key("a")?, pattern(3 * part, 8));
    let upload = f.upload(&key, CreateUploadOptions::new()).await?;
    same("the parts before any was sent", listed_parts(&f, &upload).await?.len(), 0)?;
    let receipts = send_all(&f, &upload, &[3, 1], part, &bytes).await?;
    are_listed(&f, &upload, &receipts, part, &bytes).await?;
    let replaced = pattern(3 * part, 9);
    let receipts = send_all(&f, &upload, &[1, 2, 3], part, &replaced).await?;
    are_listed(&f, &upload, &receipts, part, &replaced).await
}

async fn are_listed(f: &Fixture, upload: &Upload, receipts: &[PartReceipt], size: usize, bytes: &Bytes) -> Check {
    let listed = listed_parts(f, upload).await?;
    let named = |parts: &[PartReceipt]| -> Vec<_> {
        parts.iter().map(|part| (part.number, part.size, part.etag.unquoted().to_owned())).collect()
    };
    same("the parts that are listed", named(&listed), named(receipts))?;
    listed.iter().try_for_each(|part| is_of(part, &spec(part.number, size, bytes).1))
}

async fn listed_uploads(f: &Fixture, name: &str) -> Check<Vec<UploadInfo>> {
    Ok(f.multipart()?.list_uploads(&f.key(name)?).try_collect().await?)
}

async fn uploads_are_listed_by_exact_key(f: Fixture) -> Check {
    needs(f.capabilities().list_uploads, "list_uploads")?;
    let part = part_size(&f)?;
    same("the uploads before any was begun", listed_uploads(&f, "a").await?.len(), 0)?;
    let mut expected = Vec::new();
    for name in ["a", "a", "ab", "b"] {
        let upload = f.upload(&f.key(name)?, CreateUploadOptions::new()).await?;
        if name == "a" {
            expected.push(upload);
        }
    }
    expected.sort_by(|a, b| a.id.cmp(&b.id));
    let mut found: Vec<Upload> = listed_uploads(&f, "a").await?.into_iter().map(|info| info.upload).collect();
    found.sort_by(|a, b| a.id.cmp(&b.id));
    same("the uploads of exactly this key", found.as_slice(), &expected)?;
    let bytes = pattern(part, 1);
    let receipts = send_all(&f, &expected[0], &[1], part, &bytes).await?;
    f.multipart()?.complete(&expected[0], receipts, CompleteOptions::new()).await?;
    f.multipart()?.abort(&expected[1]).await?;
    same("the uploads after completion and abort", listed_uploads(&f, "a").await?.len(), 0)?;
    same("the uploads of a longer key", listed_uploads(&f, "ab").await?.len(), 1)
}

/// Another process that knows only the key resumes where the first one stopped.
async fn an_upload_is_taken_up_from_what_is_listed(f: Fixture) -> Check {
    needs(f.capabilities().list_uploads, "list_uploads")?;
    needs(f.capabilities().list_parts, "list_parts")?;
    let part = part_size(&f)?;
    let (key, bytes) = (f.key("a")?, pattern(2 * part, 1));
    let begun = f.upload(&key, CreateUploadOptions::new()).await?;
    send(&f, &begun, 1, part, &bytes).await?;
    let uploads = listed_uploads(&f, "a").await?;
    let [found] = uploads.as_slice() else {
        return Err(Stop::Failed(format!("one upload was begun, listed are {uploads:?}")));
    };
    send(&f, &found.upload, 2, part, &bytes).await?;
    let parts = listed_parts(&f, &found.upload).await?;
    let absent = CompleteOptions::new().precondition(Precondition::IfAbsent);
    let options = if f.capabilities().conditional_complete.is_available() { absent } else { CompleteOptions::new() };
    f.multipart()?.complete(&found.upload, parts, options).await?;
    f.holds(&key, &bytes).await
}
