//! Keeping what is about to be replaced or deleted, under another prefix of the
//! destination.

use std::ops::Range;
use std::sync::Arc;

use lepton_core::{
    Body, CompleteOptions, CopyOptions, CopySource, CreateUploadOptions, Effect, Error, ErrorKind, HeadOptions,
    KeyPrefix, ObjectKey, ObjectMeta, PartSpec, Precondition, PutOptions, Result, ServerCopy, Upload,
};

use crate::digest::reader;
use crate::digest::reader::{Piece, Source};
use crate::schedule::retry::{attempts, attempts_in};
use crate::transfer::run::Run;

/// The bytes of one part that the store copies by itself.
const PART: u64 = 1 << 30;

/// Where the object of this key at the destination is kept, if it is to be.
fn place(run: &Run, key: &ObjectKey) -> Option<ObjectKey> {
    let prefix = KeyPrefix::from(&**run.options.settings.backup_prefix.as_ref()?);
    let folder = run.options.destination.folder();
    Some(key.stripped(&folder).unwrap_or_else(|| key.clone()).prefixed(&prefix))
}

/// Whether this key of the destination belongs to what is kept, which is no part of
/// the transfer.
pub(crate) fn holds(run: &Run, key: &ObjectKey) -> bool {
    let rules = &run.target().keys;
    let begins = |prefix: &ObjectKey| rules.folded(key).starts_with(&rules.folded(prefix));
    run.options
        .settings
        .backup_prefix
        .as_ref()
        .and_then(|prefix| ObjectKey::try_from(prefix.as_str()).ok())
        .as_ref()
        .is_some_and(begins)
}

/// Keeps the object as it was listed, where that is asked for. What is kept already
/// is never replaced.
///
/// # Errors
/// `precondition_failed` if the object is another by now; `already_exists` if
/// something else is kept in its place.
pub(crate) async fn keep(run: &Run, there: &ObjectMeta) -> Result<()> {
    let Some(target) = place(run, &there.key) else { return Ok(()) };
    let capabilities = run.target();
    capabilities.keys.check(&target)?;
    if is_kept(run, there, &target).await? {
        return Ok(());
    }
    let source = CopySource::new(run.destination().as_ref(), there.key.clone());
    let source = source.map(|source| source.if_match(there.etag.clone()));
    let kept = match run.copier_from(run.destination()).zip(source) {
        Some((copier, source)) if there.size <= copier.largest() => {
            let condition = if capabilities.copies_here { Precondition::IfAbsent } else { Precondition::None };
            let options = CopyOptions::new().precondition(condition.clone());
            let copy = || copier.copy(source.clone(), &target, options.clone());
            attempts(run, condition == Precondition::None, copy).await.map(drop)
        }
        Some((copier, source)) => in_parts(run, copier, source, there, &target).await,
        None => through_here(run, there, &target).await,
    };
    match kept {
        // The answer was lost: what is there tells.
        Err(error) if error.effect() == Effect::Unknown && is_kept(run, there, &target).await? => Ok(()),
        kept => kept.map_err(|error| error.with_context("backup", &target)),
    }
}

/// Whether the place of the backup has the object already.
async fn is_kept(run: &Run, there: &ObjectMeta, target: &ObjectKey) -> Result<bool> {
    let found = match attempts(run, true, || run.destination().head(target, HeadOptions::new())).await {
        Ok(info) => info.meta,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    if found.size == there.size {
        let (ours, theirs) = (Source::new(run.destination(), there), Source::new(run.destination(), &found));
        if reader::digest(run, &ours, None).await?.root == reader::digest(run, &theirs, None).await?.root {
            return Ok(true);
        }
    }
    let message = "the backup has another object of this name already; use another backup_prefix";
    Err(Error::new(ErrorKind::AlreadyExists, message).with_context("backup", target))
}

/// An object that is too large for one copy.
async fn in_parts(
    run: &Run,
    copier: &dyn ServerCopy,
    source: CopySource,
    there: &ObjectMeta,
    target: &ObjectKey,
) -> Result<()> {
    let multipart = run.multipart()?;
    let head = || run.destination().head(&there.key, HeadOptions::new().tags(true));
    let attributes = attempts(run, true, head).await?.attributes;
    let options = CreateUploadOptions::new().attributes(attributes).size(there.size).copied(true);
    let upload = attempts(run, true, || multipart.create(target, options.clone())).await?;
    let copied = copy_parts(run, copier, source, there.size, &upload).await;
    if copied.is_err() {
        // The error that counts is the first.
        let _ = multipart.abort(&upload).await;
    }
    copied
}

async fn copy_parts(run: &Run, copier: &dyn ServerCopy, source: CopySource, size: u64, upload: &Upload) -> Result<()> {
    let mut receipts = Vec::new();
    for (number, range) in (1..).zip(ranges(size)) {
        let part = PartSpec::new(number, range);
        receipts.push(attempts(run, true, || copier.copy_part(source.clone(), upload, part.clone())).await?);
    }
    run.multipart()?.complete(upload, receipts, CompleteOptions::new()).await.map(drop)
}

fn ranges(size: u64) -> impl Iterator<Item = Range<u64>> {
    (0..size.div_ceil(PART)).map(move |index| index * PART..((index + 1) * PART).min(size))
}

/// A store that does not copy by itself.
async fn through_here(run: &Run, there: &ObjectMeta, target: &ObjectKey) -> Result<()> {
    let slot = run.pool.enter(run.lane(there.size), there.size).await?;
    let source = Source::new(run.destination(), there);
    let head = || run.destination().head(&there.key, HeadOptions::new().tags(true));
    let mut attributes = attempts(run, true, head).await?.attributes;
    if run.target().attributes.is_empty() {
        attributes = lepton_core::Attributes::default();
    }
    let condition = if run.target().put_if_absent.is_available() { Precondition::IfAbsent } else { Precondition::None };
    attempts_in(run, &slot, condition == Precondition::None, || {
        let piece = Piece::new(run, source.clone(), 0..there.size, None);
        let body = Body::from_source(there.size, Arc::new(piece));
        let options = PutOptions::new().attributes(attributes.clone()).precondition(condition.clone());
        run.destination().put(target, body, options)
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
