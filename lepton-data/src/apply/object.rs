//! Moves one object, from its entry to its manifest line.

use std::sync::Arc;

use lepton_core::{
    CreateUploadOptions, Error, ErrorKind, HeadOptions, ObjectInfo, ObjectKey, ObjectMeta, Precondition, Result,
};

use crate::apply::context::Context;
use crate::apply::copied::ServerCopied;
use crate::apply::decide::{Verdict, decide, is_as_seen, is_ours, look};
use crate::apply::manifest_line::manifest_line;
use crate::apply::outcome::{Earlier, Outcome};
use crate::apply::reconcile::{Leftover, abort, reconcile};
use crate::apply::upload::{abandon, begin, give_up};
use crate::apply::write::Uploaded;
use crate::apply::{backup, commit, local_copy, server_copy, write};
use crate::digest::checksum::{Parts, check_source, combine, extra_crc};
use crate::digest::reader;
use crate::digest::reader::Source;
use crate::ledger::manifest::ManifestEntry;
use crate::ledger::note::Note;
use crate::ledger::proofs;
use crate::ledger::resumed::OpenUpload;
use crate::types::entry::{DestinationState, Entry, Mode};
use crate::types::layout::Layout;
use crate::types::reason::Reason;
use crate::types::side::Side;

/// Moves one object. If its source changes, its upload vanishes or its bytes are
/// corrupted in flight, it starts again, up to `source_changes` times.
pub(crate) async fn object(cx: Arc<Context>, mut entry: Entry, mut earlier: Earlier) -> Outcome {
    if entry.is_named() {
        match find(&cx, &mut entry).await {
            Ok(true) => {}
            Ok(false) => return Outcome::LeftOut,
            // There is nothing left to do for it.
            Err(error) if earlier.may_be_gone && error.kind() == ErrorKind::NotFound => {
                tracing::info!(key = %entry.source.key, "an object that failed before is gone at the source");
                return Outcome::LeftOut;
            }
            Err(error) => return Outcome::Failed(error),
        }
    }
    let mut again = 0;
    loop {
        let error = match once(&cx, &mut entry, &mut earlier).await {
            Ok(outcome) => return outcome,
            Err(error) => error,
        };
        if !may_begin_again(&error) || again >= cx.settings.source_changes {
            return match existing_outcome(&cx, &error) {
                Some(outcome) => outcome,
                None => Outcome::Failed(error.with_context("key", &entry.source.key)),
            };
        }
        again += 1;
        tracing::info!(key = %entry.source.key, error = %error.full_message(), "the object is begun again");
        // The writer of the source may still be writing.
        if let Err(cancelled) = cx.scheduler.wait(again, &error).await {
            return Outcome::Failed(cancelled);
        }
        let fresh = at_source(&cx, &entry.source.key).await;
        match fresh {
            Ok(info) => entry.source = info.meta,
            Err(gone) if gone.kind() == ErrorKind::NotFound => return Outcome::Failed(error),
            Err(error) => return Outcome::Failed(error),
        }
    }
}

/// Requests the metadata of an object of which only the key is known; `false` if the
/// filters exclude it.
pub(crate) async fn find(cx: &Context, entry: &mut Entry) -> Result<bool> {
    let key = &entry.source.key;
    let info = at_source(cx, key).await?;
    (entry.source, entry.mode) = (info.meta, Mode::Listed);
    cx.scheduler.counters.listed_bytes.add(entry.source.size);
    Ok(cx.lister.filter.takes_size_and_age(&entry.source))
}

/// The object at the source as it is now.
async fn at_source(cx: &Context, key: &ObjectKey) -> Result<ObjectInfo> {
    cx.source.head(key, HeadOptions::new()).await
}

/// Whether the object may succeed if it starts again: its source changed, its
/// upload vanished, or bytes of the source were corrupted in flight.
pub(crate) fn may_begin_again(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::SourceChanged | ErrorKind::UploadNotFound => true,
        ErrorKind::ChecksumMismatch => Side::of(error) == Some(Side::Source),
        _ => false,
    }
}

/// The outcome if another client wrote the object between our check and our conditional
/// write.
fn existing_outcome(cx: &Context, error: &Error) -> Option<Outcome> {
    let skip = cx.settings.existing == crate::ExistingPolicy::Skip;
    (skip && error.kind() == ErrorKind::AlreadyExists).then_some(Outcome::Skipped)
}

async fn once(cx: &Arc<Context>, entry: &mut Entry, earlier: &mut Earlier) -> Result<Outcome> {
    let layout = cx.layout(entry.source.size)?;
    if cx.settings.backup_prefix.is_some() || earlier.proof.is_some() || cx.guards {
        look(cx, entry).await?;
    }
    if let Some(line) = earlier.proof.take_if(|proof| proofs::holds(proof, &entry.source, &entry.there)) {
        if let Some(open) = earlier.upload.take() {
            give_up(cx, entry, layout, open).await?;
        }
        return Ok(Outcome::Proven(line));
    }
    let (reason, precondition) = match decide(cx, entry, layout, earlier.maybe_written).await? {
        Verdict::Copy { reason, precondition } => (reason, precondition),
        left => {
            if let Some(open) = earlier.upload.take() {
                give_up(cx, entry, layout, open).await?;
            }
            return Ok(match left {
                Verdict::Unchanged(basis, there) => {
                    Outcome::Unchanged(Box::new(ManifestEntry::unchanged(entry, &there, basis)))
                }
                _ => Outcome::Skipped,
            });
        }
    };
    if let DestinationState::Present(there) = &entry.there
        && cx.guards
        && !earlier.maybe_written
        && !proofs::knows(earlier.proof.as_deref(), there)
    {
        return Err(proofs::foreign(there));
    }
    if let DestinationState::Present(there) = &entry.there
        && cx.settings.backup_prefix.is_some()
        && is_to_be_kept(cx, entry, there, earlier).await?
    {
        backup::keep(cx, there).await?;
        let (key, etag) = (entry.source.key.clone(), there.etag.clone());
        cx.log.note_durably(&Note::Kept { key, etag: etag.clone() }).await?;
        earlier.kept = Some(etag);
    }
    if cx.guards {
        if precondition == Precondition::None && !earlier.maybe_written && !is_as_seen(cx, entry).await? {
            return Err(Error::new(ErrorKind::Conflict, "the destination was changed since it was listed; it is left")
                .with_context("key", &entry.target));
        }
        let key = cx.lister.mapping.sort_key(&entry.source.key);
        cx.log.note_durably(&Note::Writing { key }).await?;
        earlier.maybe_written = true;
    }
    let copied = copy_object(cx, entry, layout, reason, &precondition, earlier).await;
    let mut line = copied.map_err(|error| if cx.guards { guarded(error) } else { error })?;
    line.superseded = is_superseded(cx, entry).await;
    cx.log.done(&line)?;
    Ok(Outcome::Done(Box::new(line)))
}

/// At a guarded destination, a condition that did not hold is a conflict: another writer was faster.
fn guarded(error: Error) -> Error {
    let refused = matches!(error.kind(), ErrorKind::PreconditionFailed | ErrorKind::AlreadyExists);
    if refused && Side::of(&error) != Some(Side::Source) { error.with_kind(ErrorKind::Conflict) } else { error }
}

/// Whether the object at the destination must be backed up: it is not backed up yet, and an
/// earlier run did not write it.
async fn is_to_be_kept(cx: &Context, entry: &Entry, there: &ObjectMeta, earlier: &Earlier) -> Result<bool> {
    match &earlier.kept {
        None => Ok(true),
        Some(kept) if kept.is_some() && *kept == there.etag => Ok(false),
        Some(_) => Ok(!is_ours(cx, entry).await?),
    }
}

/// Moves the object to the destination under this condition; returns its line.
pub(crate) async fn copy_object(
    cx: &Arc<Context>,
    entry: &Entry,
    layout: Layout,
    reason: Reason,
    precondition: &Precondition,
    earlier: &mut Earlier,
) -> Result<ManifestEntry> {
    if let Some(copied) = copy_at_the_store(cx, entry, layout, precondition, earlier).await? {
        return Ok(ManifestEntry::copied(entry, copied, reason));
    }
    let (sent, roots) = copy_through_engine(cx, entry, layout, precondition, earlier).await?;
    Ok(manifest_line(entry, layout, sent, &roots, reason))
}

/// Lets the store copy the object by itself, unless an earlier run has already sent parts
/// of it. An upload without parts is aborted, because a copy can be made again.
async fn copy_at_the_store(
    cx: &Arc<Context>,
    entry: &Entry,
    layout: Layout,
    precondition: &Precondition,
    earlier: &mut Earlier,
) -> Result<Option<ServerCopied>> {
    let Some(copier) = cx.copier() else { return Ok(None) };
    if let Some(open) = earlier.upload.take_if(|open| open.parts.is_empty()) {
        give_up(cx, entry, layout, open).await?;
    }
    match earlier.upload {
        Some(_) => Ok(None),
        None if cx.destination.capabilities().copies_locally => {
            local_copy::copy(cx, copier, entry, layout, precondition).await
        }
        None => server_copy::copy(cx, copier, entry, precondition).await,
    }
}

/// Reads the object and sends it.
async fn copy_through_engine(
    cx: &Arc<Context>,
    entry: &Entry,
    layout: Layout,
    precondition: &Precondition,
    earlier: &mut Earlier,
) -> Result<(Uploaded, Parts)> {
    if layout.multipart {
        return in_parts(cx, entry, layout, precondition, earlier.upload.take()).await;
    }
    if let Some(open) = earlier.upload.take() {
        give_up(cx, entry, layout, open).await?;
    }
    let sent = write::whole(cx, entry, precondition).await?;
    cx.scheduler.counters.parts.add(1);
    cx.scheduler.counters.done_bytes.add(layout.size);
    Ok((sent, Parts::new()))
}

/// Whether another version replaced the one that was read. Requested only if the
/// source was pinned by its version: any other read fails when the source changes.
async fn is_superseded(cx: &Context, entry: &Entry) -> bool {
    let Some(version) = &entry.source.version else { return false };
    match at_source(cx, &entry.source.key).await {
        Ok(now) => now.meta.version.as_ref() != Some(version),
        Err(error) if error.kind() == ErrorKind::NotFound => true,
        Err(error) => {
            // The copy is right either way.
            tracing::warn!(key = %entry.source.key, error = %error.full_message(), "the latest version was not told");
            false
        }
    }
}

/// Moves an object in parts and resumes the upload that an earlier run left.
async fn in_parts(
    cx: &Arc<Context>,
    entry: &Entry,
    layout: Layout,
    precondition: &Precondition,
    left: Option<OpenUpload>,
) -> Result<(Uploaded, Parts)> {
    let source = Source::new(&cx.source, &entry.source);
    let info = source.head().await?;
    let extra = extra_crc(&info.meta);
    let (attributes, lost) = write::attributes(cx, &source, info.attributes, info.tag_count).await?;
    let completing = left.as_ref().is_some_and(|open| open.completing);
    let left = match left {
        Some(open) => reconcile(cx, entry, &source, layout, extra, open).await?,
        None => Leftover::Nothing,
    };
    let (upload, held, earlier) = match left {
        Leftover::Held(upload, parts) | Leftover::MaybeComplete(upload, parts) => (upload, parts, completing),
        Leftover::Nothing => {
            let upload = begin(cx, entry, layout, CreateUploadOptions::new().attributes(attributes)).await?;
            (upload, Parts::new(), false)
        }
    };
    let resumed = !held.is_empty();
    let (parts, sent) = match write::parts(cx, &source, layout, extra, &upload, held).await {
        Ok(parts) => parts,
        Err(error) => return Err(abandon(cx, entry, &upload, error).await),
    };
    let digests: Vec<_> = parts.values().map(|(_, digest)| digest.clone()).collect();
    let digest = combine(&digests, extra);
    let tls = cx.source.capabilities().tls;
    let source_check = match check_source(&digest, &info.meta, tls) {
        Ok(check) => check,
        Err(algorithm) => return Err(abandon(cx, entry, &upload, reader::differs(Side::Source, algorithm)).await),
    };
    cx.log.note_durably(&Note::CompleteIntent { key: entry.source.key.clone() }).await?;
    let receipts: Vec<_> = parts.values().map(|(receipt, _)| receipt.clone()).collect();
    match commit::complete(cx, entry, &upload, &receipts, &digest, precondition, earlier).await {
        Ok(receipt) => {
            sent.done();
            Ok((Uploaded { digest, receipt, source_check, lost }, parts))
        }
        // A part whose request was interrupted may be listed and still be incomplete.
        Err(error) if resumed && error.kind() == ErrorKind::InvalidInput => {
            abort(cx, &upload, entry).await?;
            let message = "the store does not complete the upload that an earlier run left";
            Err(Error::new(ErrorKind::UploadNotFound, message).with_source(error))
        }
        Err(error) => Err(abandon(cx, entry, &upload, error).await),
    }
}
