//! Copies that the destination makes by itself, if it can read the source with its
//! credentials: no byte passes through this process.
//!
//! The proof of such a copy is what the stores state about both objects; the manifest
//! names the basis. If the store does not copy an object, it is read and sent like any
//! other. Copies between disks of this machine are in `local_copy.rs`.

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use lepton_core::{
    Attribute, CompleteOptions, CopyOptions, CreateUploadOptions, Effect, Error, ErrorKind, HeadOptions, ObjectInfo,
    ObjectMeta, PartReceipt, PartSpec, Precondition, PutReceipt, Result, ServerCopy, Upload,
};

use crate::apply::commit::{composite_etag, landed, receipt_of};
use crate::apply::context::Context;
use crate::apply::copied::{ServerCopied, refused, source_of};
use crate::apply::reconcile::abort;
use crate::apply::upload::begin;
use crate::apply::write;
use crate::compare::objects::{statements, states_same};
use crate::digest::reader::Source;
use crate::ledger::note::Note;
use crate::listing::key_versions::conflict;
use crate::schedule::lanes::Slot;
use crate::types::entry::Entry;
use crate::types::layout::Layout;
use crate::types::reason::ComparedBy;

/// The size of one part of a copy that is too large for one request.
const PART: u64 = 1 << 30;

/// Parts of one object that are copied concurrently.
const AT_ONCE: usize = 8;

/// Lets the destination copy the object by itself; `None` if the object has to be
/// read and sent.
pub(crate) async fn copy(
    cx: &Arc<Context>,
    copier: &dyn ServerCopy,
    entry: &Entry,
    precondition: &Precondition,
) -> Result<Option<ServerCopied>> {
    let slot = cx.scheduler.enter(cx.lane(entry.source.size), 0).await?;
    let outcome = match entry.source.size <= copier.largest() {
        true => whole(cx, &slot, copier, entry, precondition)
            .await
            .map(|(receipt, answered)| (receipt, answered, Vec::new())),
        // After a lost response, the object counts as the copy only if its tag matches.
        false => in_parts(cx, copier, entry, precondition).await,
    };
    let (receipt, answered, lost) = match outcome {
        Ok(receipt) => receipt,
        Err(error) => return refused(cx, entry, error),
    };
    let basis = match verified(cx, entry, &receipt, answered).await? {
        None if entry.is_version() => Some(read_back(cx, entry, &receipt).await?),
        basis => basis,
    };
    match basis {
        Some(basis) => {
            slot.done(0);
            cx.scheduler.counters.server_copies.add(1);
            cx.scheduler.counters.done_bytes.add(entry.source.size);
            Ok(Some(ServerCopied { receipt, basis, read: None, lost }))
        }
        None => {
            let message = "the store's copy is not what the source is";
            refused(cx, entry, Error::new(ErrorKind::ChecksumMismatch, message))
        }
    }
}

/// Compares a copied version that the stores' statements do not verify. In a history the
/// copy is already a version, so it cannot be made again.
async fn read_back(cx: &Context, entry: &Entry, receipt: &PutReceipt) -> Result<ComparedBy> {
    let mut theirs = ObjectMeta::new(entry.target.clone(), entry.source.size);
    (theirs.etag, theirs.version) = (receipt.etag.clone(), receipt.version.clone());
    cx.comparer.same_version(&entry.source, &theirs).await?.ok_or_else(|| {
        let message = "the version that the destination copied is not the source's; delete that version there";
        let error = Error::new(ErrorKind::ChecksumMismatch, message).with_context("key", &entry.target);
        match &receipt.version {
            Some(version) => error.with_context("version", version),
            None => error,
        }
    })
}

/// Copies in one request. Returns the receipt, and whether the store gave it; else the
/// response was lost, and the receipt is of the object found there.
async fn whole(
    cx: &Context,
    slot: &Slot,
    copier: &dyn ServerCopy,
    entry: &Entry,
    condition: &Precondition,
) -> Result<(PutReceipt, bool)> {
    // In a history, a repeated request makes a second version.
    let idempotent = *condition == Precondition::None && !entry.is_version();
    let options = CopyOptions::new().precondition(condition.clone());
    let source = source_of(cx, entry)?;
    let copy = || copier.copy(source.clone(), &entry.target, options.clone());
    let copied = cx.destination.retry_in(slot, idempotent, copy).await;
    match copied {
        Err(error) if error.effect() == Effect::Unknown => {
            found(cx, entry).await?.map(|receipt| (receipt, false)).ok_or(error)
        }
        copied => copied.map(|receipt| (receipt, true)),
    }
}

/// The receipt of the object at the destination, if it has the size of the source.
async fn found(cx: &Context, entry: &Entry) -> Result<Option<PutReceipt>> {
    match landed(cx, entry).await? {
        Some(meta) if meta.size == entry.source.size => Ok(Some(receipt_of(meta))),
        Some(_) if entry.is_version() => Err(conflict(&entry.target, "somebody else wrote it")),
        _ => Ok(None),
    }
}

async fn in_parts(
    cx: &Context,
    copier: &dyn ServerCopy,
    entry: &Entry,
    condition: &Precondition,
) -> Result<(PutReceipt, bool, Vec<Attribute>)> {
    let source = Source::new(&cx.source, &entry.source);
    let (attributes, unreadable) = source.attributes().await?;
    let lost = if unreadable { vec![Attribute::Tags] } else { Vec::new() };
    write::refuse_loss(cx, &source, &lost)?;
    let layout = Layout { size: entry.source.size, part_size: PART.min(copier.largest()), multipart: true };
    let options = CreateUploadOptions::new().attributes(attributes).copied(true);
    let upload = begin(cx, entry, layout, options).await?;
    let copied = match copy_parts(cx, copier, entry, layout, &upload).await {
        Ok(parts) => complete(cx, entry, &upload, parts, condition).await,
        Err(error) => Err(error),
    };
    if copied.is_err()
        && let Err(error) = abort(cx, &upload, entry).await
    {
        tracing::warn!(key = %entry.target, error = %error.full_message(), "an upload could not be aborted");
    }
    copied.map(|receipt| (receipt, true, lost))
}

async fn copy_parts(
    cx: &Context,
    copier: &dyn ServerCopy,
    entry: &Entry,
    layout: Layout,
    upload: &Upload,
) -> Result<Vec<PartReceipt>> {
    let source = &source_of(cx, entry)?;
    let copy = |part: PartSpec| async move {
        cx.scheduler.control.go().await?;
        cx.destination.retry(true, || copier.copy_part(source.clone(), upload, part.clone())).await
    };
    stream::iter((1..=layout.parts()).map(|number| copy(layout.part(number)))).buffered(AT_ONCE).try_collect().await
}

async fn complete(
    cx: &Context,
    entry: &Entry,
    upload: &Upload,
    parts: Vec<PartReceipt>,
    condition: &Precondition,
) -> Result<PutReceipt> {
    let multipart = cx.destination.multipart()?;
    let tag = composite_etag(&parts);
    let options = CompleteOptions::new().precondition(condition.clone());
    cx.log.note_durably(&Note::CompleteIntent { key: entry.source.key.clone() }).await?;
    let completed = cx.destination.retry(false, || multipart.complete(upload, parts.clone(), options.clone())).await;
    match completed {
        Err(error) if error.effect() == Effect::Unknown || error.kind() == ErrorKind::UploadNotFound => {
            let ours = |receipt: &PutReceipt| {
                tag.is_some() && receipt.etag.as_ref().map(lepton_core::ETag::unquoted) == tag.as_deref()
            };
            let receipt = found(cx, entry).await?.filter(ours).ok_or(error)?;
            // The same object may have been there before, and the upload may still be open.
            cx.destination.abort(upload).await?;
            Ok(receipt)
        }
        completed => completed,
    }
}

/// The basis on which the copy is known to equal the source: their tags, a checksum that
/// both sides state, or only the size and the tag that the store gave the copy. The last
/// requires that the store `answered`, because an older object may have the same size.
/// `None` if the statements differ or do not suffice.
async fn verified(cx: &Context, entry: &Entry, receipt: &PutReceipt, answered: bool) -> Result<Option<ComparedBy>> {
    if let (Some(ours), Some(theirs)) = (&entry.source.etag, &receipt.etag)
        && cx.comparer.rules.same_tag(ours, theirs)
    {
        return Ok(Some(ComparedBy::Etag));
    }
    let source = Source::new(&cx.source, &entry.source);
    let ours = source.head().await?;
    let version = receipt.version.clone().filter(|_| entry.is_version());
    let options = HeadOptions::new().version(version);
    let theirs = cx.destination.head(&entry.target, options.clone()).await?;
    let same = |ours: &ObjectInfo, theirs: &ObjectInfo| states_same(&statements(ours), &statements(theirs));
    Ok(match same(&ours, &theirs) {
        Some(true) => Some(ComparedBy::Checksum),
        Some(false) => None,
        None if theirs.meta.size != entry.source.size => None,
        None if receipt.etag.is_some() && theirs.meta.etag != receipt.etag => None,
        None => answered.then_some(ComparedBy::Size),
    })
}
