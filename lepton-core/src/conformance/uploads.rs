//! What can go wrong with a multipart upload.

use futures_util::TryStreamExt as _;

use super::bodies::{broken, is_breakage, pattern, streamed};
use super::case::cases;
use super::expect::{Check, Stop, failure, needs, needs_not, refused, same};
use super::fixture::Fixture;
use super::multipart::{listed_parts, part_size, send, send_all, spec};
use crate::error::ErrorKind;
use crate::object::{ETag, Precondition};
use crate::storage::{CompleteOptions, CreateUploadOptions, PartReceipt, Upload, UploadId};

cases!(
    "uploads":
    an_aborted_upload_is_gone,
    an_unknown_upload_is_named,
    completing_twice_is_harmless,
    conditions_hold_at_completion,
    conditions_are_refused_where_unsupported,
    a_broken_body_leaves_no_part,
    wrong_parts_make_no_object,
    a_small_part_in_the_middle_is_kept_or_refused,
);

fn demanding(precondition: Precondition) -> CompleteOptions {
    CompleteOptions::new().precondition(precondition)
}

async fn an_aborted_upload_is_gone(f: Fixture) -> Check {
    needs(f.capabilities().upload_records, "upload_records")?;
    let part = part_size(&f)?;
    let (key, bytes) = (f.key("a")?, pattern(part, 1));
    let upload = f.upload(&key, CreateUploadOptions::new()).await?;
    let receipts = send_all(&f, &upload, &[1], part, &bytes).await?;
    for _ in 0..2 {
        f.multipart()?.abort(&upload).await?;
    }
    is_unknown(&f, &upload, receipts).await?;
    f.absent(&key).await
}

async fn an_unknown_upload_is_named(f: Fixture) -> Check {
    needs(f.capabilities().upload_records, "upload_records")?;
    let part = part_size(&f)?;
    let key = f.key("a")?;
    let begun = f.upload(&key, CreateUploadOptions::new()).await?;
    let receipts = send_all(&f, &begun, &[1], part, &pattern(part, 1)).await?;
    f.multipart()?.abort(&begun).await?;
    let other = f.upload(&key, CreateUploadOptions::new()).await?;
    let unknown = Upload::new(key, UploadId::new(mirrored(other.id.as_str())));
    is_unknown(&f, &unknown, receipts).await
}

/// An id of the same form that the store never issued.
fn mirrored(id: &str) -> String {
    let digit = |c: char| c.to_digit(10).map_or(c, |digit| char::from_digit(9 - digit, 10).unwrap_or(c));
    id.chars().map(digit).collect()
}

/// Fails unless every operation reports the upload as unknown.
async fn is_unknown(f: &Fixture, upload: &Upload, receipts: Vec<PartReceipt>) -> Check {
    let (multipart, kind, key) = (f.multipart()?, ErrorKind::UploadNotFound, &upload.key);
    let (part, bytes) = spec(1, 100, &pattern(100, 1));
    refused(multipart.upload_part(upload, part, streamed(&bytes)).await, kind, key)?;
    refused(multipart.complete(upload, receipts, CompleteOptions::new()).await, kind, key)?;
    if f.capabilities().list_parts.is_available() {
        refused(multipart.list_parts(upload).try_collect::<Vec<_>>().await, kind, key)?;
    }
    Ok(())
}

/// After a lost reply the caller completes again: the store either reports success or that
/// there is no such upload, and the object stays.
async fn completing_twice_is_harmless(f: Fixture) -> Check {
    let part = part_size(&f)?;
    let (key, bytes) = (f.key("a")?, pattern(part, 1));
    let upload = f.upload(&key, CreateUploadOptions::new()).await?;
    let receipts = send_all(&f, &upload, &[1], part, &bytes).await?;
    f.multipart()?.complete(&upload, receipts.clone(), CompleteOptions::new()).await?;
    if let Err(error) = f.multipart()?.complete(&upload, receipts, CompleteOptions::new()).await {
        refused(Err::<(), _>(error), ErrorKind::UploadNotFound, &key)?;
    }
    f.multipart()?.abort(&upload).await?;
    f.holds(&key, &bytes).await
}

async fn conditions_hold_at_completion(f: Fixture) -> Check {
    needs(f.capabilities().conditional_complete, "conditional_complete")?;
    let part = part_size(&f)?;
    let (key, bytes) = (f.key("a")?, pattern(part, 1));
    let upload = f.upload(&key, CreateUploadOptions::new()).await?;
    let receipts = send_all(&f, &upload, &[1], part, &bytes).await?;
    // The object is created while the upload is in progress.
    f.write(&key, "first").await?;
    let old = f.etag(&key).await?;
    let complete = |precondition| f.multipart().map(|m| m.complete(&upload, receipts.clone(), demanding(precondition)));
    refused(complete(Precondition::IfAbsent)?.await, ErrorKind::AlreadyExists, &key)?;
    f.holds(&key, b"first").await?;
    f.write(&key, "second").await?;
    refused(complete(Precondition::IfMatch(old))?.await, ErrorKind::PreconditionFailed, &key)?;
    f.holds(&key, b"second").await?;
    complete(Precondition::IfMatch(f.etag(&key).await?))?.await?;
    f.holds(&key, &bytes).await?;
    let fresh = f.key("fresh")?;
    let upload = f.upload(&fresh, CreateUploadOptions::new()).await?;
    let receipts = send_all(&f, &upload, &[1], part, &bytes).await?;
    f.multipart()?.complete(&upload, receipts, demanding(Precondition::IfAbsent)).await?;
    f.holds(&fresh, &bytes).await
}

async fn conditions_are_refused_where_unsupported(f: Fixture) -> Check {
    needs_not(f.capabilities().conditional_complete, "conditional_complete")?;
    let part = part_size(&f)?;
    let key = f.key("a")?;
    let upload = f.upload(&key, CreateUploadOptions::new()).await?;
    let receipts = send_all(&f, &upload, &[1], part, &pattern(part, 1)).await?;
    let result = f.multipart()?.complete(&upload, receipts, demanding(Precondition::IfAbsent)).await;
    refused(result, ErrorKind::Unsupported, &key)?;
    f.absent(&key).await
}

async fn a_broken_body_leaves_no_part(f: Fixture) -> Check {
    let part = part_size(&f)?;
    let (key, bytes) = (f.key("a")?, pattern(2 * part, 1));
    let upload = f.upload(&key, CreateUploadOptions::new()).await?;
    let first = send(&f, &upload, 1, part, &bytes).await?;
    let (second, _) = spec(2, part, &bytes);
    let result = f.multipart()?.upload_part(&upload, second, broken(part, part / 2)).await;
    is_breakage(&failure(result, "the error of the body")?)?;
    if f.capabilities().list_parts.is_available() {
        let numbers: Vec<u32> = listed_parts(&f, &upload).await?.iter().map(|part| part.number).collect();
        same("the parts that the store holds", numbers, vec![1])?;
    }
    let second = send(&f, &upload, 2, part, &bytes).await?;
    f.multipart()?.complete(&upload, vec![first, second], CompleteOptions::new()).await?;
    f.holds(&key, &bytes).await
}

async fn wrong_parts_make_no_object(f: Fixture) -> Check {
    let part = part_size(&f)?;
    let (key, bytes) = (f.key("a")?, pattern(2 * part, 1));
    let upload = f.upload(&key, CreateUploadOptions::new()).await?;
    let right = send_all(&f, &upload, &[1, 2], part, &bytes).await?;
    let never_sent = PartReceipt { number: 3, ..right[1].clone() };
    let other_tag = PartReceipt { etag: ETag::new("\"00000000000000000000000000000000\""), ..right[1].clone() };
    let wrong = [
        ("no parts", vec![]),
        ("a part that was never sent", vec![right[0].clone(), never_sent]),
        ("a part with another tag", vec![right[0].clone(), other_tag]),
    ];
    for (what, parts) in wrong {
        failure(
            f.multipart()?.complete(&upload, parts, CompleteOptions::new()).await,
            &format!("{what} to be refused"),
        )?;
        f.absent(&key).await.map_err(|stop| stop.while_doing(what))?;
    }
    f.multipart()?.complete(&upload, right, CompleteOptions::new()).await?;
    f.holds(&key, &bytes).await
}

/// A store may accept parts smaller than the limit that it declares.
async fn a_small_part_in_the_middle_is_kept_or_refused(f: Fixture) -> Check {
    let part = part_size(&f)?;
    if f.capabilities().multipart.is_none_or(|limits| limits.min_part <= 1) {
        return Err(Stop::NotApplicable("multipart.min_part is 1".to_owned()));
    }
    let key = f.key("a")?;
    let upload = f.upload(&key, CreateUploadOptions::new()).await?;
    let small = usize::try_from(f.capabilities().multipart.map_or(1, |limits| limits.min_part) - 1).unwrap_or(part);
    let bytes = pattern(2 * small, 1);
    let mut receipts = Vec::new();
    for number in [1, 2] {
        let (spec, bytes) = spec(number, small, &bytes);
        match f.multipart()?.upload_part(&upload, spec, streamed(&bytes)).await {
            Ok(receipt) => receipts.push(receipt),
            Err(_) => return f.absent(&key).await,
        }
    }
    match f.multipart()?.complete(&upload, receipts, CompleteOptions::new()).await {
        Ok(_) => f.holds(&key, &bytes).await,
        Err(_) => f.absent(&key).await,
    }
}
