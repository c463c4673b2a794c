//! Backs up objects that are about to be replaced or deleted, under another prefix of the
//! destination.

use std::ops::Range;
use std::sync::Arc;

use lepton_core::{
    Attributes, Body, CompleteOptions, CopyOptions, CopySource, CreateUploadOptions, Effect, Error, ErrorKind,
    HeadOptions, KeyPrefix, ObjectKey, ObjectMeta, PartSpec, Precondition, PutOptions, Result, ServerCopy, Upload,
};

use crate::apply::context::Context;
use crate::digest::reader::{Piece, Source};

/// The size of one part that the store copies by itself.
const PART: u64 = 1 << 30;

/// The key for the backup of this object of the destination; `None` without a backup prefix.
fn place(cx: &Context, key: &ObjectKey) -> Option<ObjectKey> {
    let prefix = KeyPrefix::from(&**cx.settings.backup_prefix.as_ref()?);
    let folder = cx.destination.folder();
    Some(key.stripped(&folder).unwrap_or_else(|| key.clone()).prefixed(&prefix))
}

/// Whether this key of the destination is among the backups, which are not part of the
/// transfer.
pub(crate) fn holds(cx: &Context, key: &ObjectKey) -> bool {
    let rules = &cx.destination.capabilities().keys;
    let begins = |prefix: &ObjectKey| rules.folded(key).starts_with(&rules.folded(prefix));
    cx.settings
        .backup_prefix
        .as_ref()
        .and_then(|prefix| ObjectKey::try_from(prefix.as_str()).ok())
        .as_ref()
        .is_some_and(begins)
}

/// Backs up the object as it was listed, if a backup prefix is set. An existing backup is
/// never replaced.
///
/// # Errors
/// `precondition_failed` if the object has changed since; `already_exists` if the backup
/// has another object under this name.
pub(crate) async fn keep(cx: &Context, there: &ObjectMeta) -> Result<()> {
    let Some(target) = place(cx, &there.key) else { return Ok(()) };
    let capabilities = cx.destination.capabilities();
    capabilities.keys.check(&target)?;
    if is_kept(cx, there, &target).await? {
        return Ok(());
    }
    let source = CopySource::new(cx.destination.storage().as_ref(), there.key.clone());
    let source = source.map(|source| source.if_match(there.etag.clone()));
    let kept = match cx.copier_from(&cx.destination).zip(source) {
        Some((copier, source)) if there.size <= copier.largest() => {
            let condition = if capabilities.copies_locally { Precondition::IfAbsent } else { Precondition::None };
            let options = CopyOptions::new().precondition(condition.clone());
            let copy = || copier.copy(source.clone(), &target, options.clone());
            cx.destination.retry(condition == Precondition::None, copy).await.map(drop)
        }
        Some((copier, source)) => in_parts(cx, copier, source, there, &target).await,
        None => copy_through_engine(cx, there, &target).await,
    };
    match kept {
        // The response was lost, so check what is stored.
        Err(error) if error.effect() == Effect::Unknown && is_kept(cx, there, &target).await? => Ok(()),
        kept => kept.map_err(|error| error.with_context("backup", &target)),
    }
}

/// Whether the object is already backed up.
async fn is_kept(cx: &Context, there: &ObjectMeta, target: &ObjectKey) -> Result<bool> {
    let Some(info) = cx.destination.find(target, HeadOptions::new()).await? else { return Ok(false) };
    let found = info.meta;
    if found.size == there.size {
        let (ours, theirs) = (Source::new(&cx.destination, there), Source::new(&cx.destination, &found));
        if ours.digest(None).await?.root == theirs.digest(None).await?.root {
            return Ok(true);
        }
    }
    let message = "the backup has another object of this name already; use another backup_prefix";
    Err(Error::new(ErrorKind::AlreadyExists, message).with_context("backup", target))
}

/// Copies an object that is too large for one request.
async fn in_parts(
    cx: &Context,
    copier: &dyn ServerCopy,
    source: CopySource,
    there: &ObjectMeta,
    target: &ObjectKey,
) -> Result<()> {
    let multipart = cx.destination.multipart()?;
    let attributes = attributes(&Source::new(&cx.destination, there)).await?;
    let options = CreateUploadOptions::new().attributes(attributes).size(there.size).copied(true);
    let upload = cx.destination.retry(true, || multipart.create(target, options.clone())).await?;
    let copied = copy_parts(cx, copier, source, there.size, &upload).await;
    if copied.is_err() {
        // The first error is the one to return.
        let _ = multipart.abort(&upload).await;
    }
    copied
}

/// The attributes that the backup gets.
async fn attributes(source: &Source) -> Result<Attributes> {
    let (attributes, unreadable) = source.attributes().await?;
    if unreadable {
        tracing::warn!(key = %source.key, "the tags may not be read, so the backup has none");
    }
    Ok(attributes)
}

async fn copy_parts(
    cx: &Context,
    copier: &dyn ServerCopy,
    source: CopySource,
    size: u64,
    upload: &Upload,
) -> Result<()> {
    let mut receipts = Vec::new();
    for (number, range) in (1..).zip(ranges(size)) {
        let part = PartSpec::new(number, range);
        receipts.push(cx.destination.retry(true, || copier.copy_part(source.clone(), upload, part.clone())).await?);
    }
    cx.destination.multipart()?.complete(upload, receipts, CompleteOptions::new()).await.map(drop)
}

fn ranges(size: u64) -> impl Iterator<Item = Range<u64>> {
    (0..size.div_ceil(PART)).map(move |index| index * PART..((index + 1) * PART).min(size))
}

/// Reads the object and writes the backup, where the store does not copy by itself.
async fn copy_through_engine(cx: &Context, there: &ObjectMeta, target: &ObjectKey) -> Result<()> {
    let slot = cx.scheduler.enter(cx.lane(there.size), there.size).await?;
    let source = Source::new(&cx.destination, there);
    let mut attributes = attributes(&source).await?;
    if cx.destination.capabilities().attributes.is_empty() {
        attributes = Attributes::default();
    }
    let condition = if cx.destination.capabilities().put_if_absent.is_available() {
        Precondition::IfAbsent
    } else {
        Precondition::None
    };
    cx.destination
        .retry_in(&slot, condition == Precondition::None, || {
            let piece = Piece::new(source.clone(), 0..there.size, None);
            let body = Body::from_source(there.size, Arc::new(piece));
            let options = PutOptions::new().attributes(attributes.clone()).precondition(condition.clone());
            cx.destination.storage().put(target, body, options)
        })
        .await
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_the_object() {
        for (size, parts) in [(1, 1), (PART, 1), (PART + 1, 2), (7 * PART + 5, 8)] {
            let ranges: Vec<_> = ranges(size).collect();
            assert_eq!((ranges.len(), ranges[0].start, ranges[parts - 1].end), (parts, 0, size));
            assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start));
        }
    }
}
