//! The way of one object, from its entry to its line in the manifest.

use std::sync::Arc;

use lepton_core::{
    CreateUploadOptions, Error, ErrorKind, HeadOptions, ObjectInfo, ObjectKey, ObjectMeta, Precondition, Result,
};

use crate::apply::copied::Copied;
use crate::apply::decide::{Verdict, decide, is_ours, look};
use crate::apply::manifest_line::manifest_line;
use crate::apply::outcome::{Earlier, Outcome};
use crate::apply::reconcile::{Left, abort, reconcile};
use crate::apply::upload::{abandon, begin, give_up};
use crate::apply::write::Sent;
use crate::apply::{backup, commit, local_copy, server_copy, write};
use crate::digest::checksum::{Parts, check_source, combine, extra_crc};
use crate::digest::reader;
use crate::digest::reader::Source;
use crate::ledger::journal::{Note, OpenUpload};
use crate::ledger::manifest::ManifestEntry;
use crate::ledger::proofs;
use crate::schedule::retry::{attempts, wait};
use crate::transfer::run::Run;
use crate::types::entry::{Entry, Layout, There};
use crate::types::reason::Reason;
use crate::types::side::{is_source, side};

/// Moves one object. When its source changes, its upload vanishes or its bytes
/// go wrong on their way it begins again, so many times as the settings say.
pub(crate) async fn object(run: Arc<Run>, mut entry: Entry, mut earlier: Earlier) -> Outcome {
    if !entry.known {
        match find(&run, &mut entry).await {
            Ok(true) => {}
            Ok(false) => return Outcome::LeftOut,
            // Nothing is left to be done for it. What a list names must be there.
            Err(error) if earlier.failed && error.kind() == ErrorKind::NotFound && run.options.keys.is_none() => {
                tracing::info!(key = %entry.source.key, "an object that failed before is gone at the source");
                return Outcome::LeftOut;
            }
            Err(error) => return Outcome::Failed(error),
        }
    }
    let mut again = 0;
    loop {
        let error = match once(&run, &mut entry, &mut earlier).await {
            Ok(outcome) => return outcome,
            Err(error) => error,
        };
        if !may_begin_again(&error) || again >= run.options.settings.source_changes {
            return match existing_outcome(&run, &error) {
                Some(outcome) => outcome,
                None => Outcome::Failed(error.with_context("key", &entry.source.key)),
            };
        }
        again += 1;
        run.counters.retried(error.kind());
        tracing::info!(key = %entry.source.key, error = %error.report(), "the object is begun again");
        // Who is writing it may not be done yet.
        if let Err(cancelled) = wait(&run, again, &error).await {
            return Outcome::Failed(cancelled);
        }
        let fresh = attempts(&run, true, || at_source(&run, &entry.source.key)).await;
        match fresh {
            Ok(info) => entry.source = info.meta,
            Err(gone) if gone.kind() == ErrorKind::NotFound => return Outcome::Failed(error),
            Err(error) => return Outcome::Failed(error),
        }
    }
}

/// Asks the source for an object of which only the key is known; `false` if the
/// filters leave it out.
pub(crate) async fn find(run: &Run, entry: &mut Entry) -> Result<bool> {
    let key = &entry.source.key;
    let info = attempts(run, true, || at_source(run, key)).await?;
    (entry.source, entry.known) = (info.meta, true);
    run.counters.add(|c| &c.listed_bytes, entry.source.size);
    Ok(run.filter.takes_size_and_age(&entry.source))
}

/// What the source has of this key now.
async fn at_source(run: &Run, key: &ObjectKey) -> Result<ObjectInfo> {
    run.source().head(key, HeadOptions::new()).await.map_err(side)
}

/// Whether the object may come out right from its start: its source changed, its
/// upload vanished, or bytes of the source went wrong on their way.
pub(crate) fn may_begin_again(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::SourceChanged | ErrorKind::UploadNotFound => true,
        ErrorKind::ChecksumMismatch => is_source(error),
        _ => false,
    }
}

/// Somebody wrote the object between our look and our conditional write.
fn existing_outcome(run: &Run, error: &Error) -> Option<Outcome> {
    let skip = run.options.settings.existing == crate::Existing::Skip;
    (skip && error.kind() == ErrorKind::AlreadyExists).then_some(Outcome::Skipped)
}

async fn once(run: &Arc<Run>, entry: &mut Entry, earlier: &mut Earlier) -> Result<Outcome> {
    let layout = Layout::choose(entry.source.size, run.options.settings.part_size, run.target())?;
    if run.options.settings.backup_prefix.is_some() || earlier.proof.is_some() {
        look(run, entry).await?;
    }
    if let Some(line) = earlier.proof.take_if(|proof| proofs::holds(proof, &entry.source, &entry.there)) {
        if let Some(open) = earlier.upload.take() {
            give_up(run, entry, layout, open).await?;
        }
        return Ok(Outcome::Proven(line));
    }
    let (reason, precondition) = match decide(run, entry, layout, earlier.maybe_written).await? {
        Verdict::Copy { reason, precondition } => (reason, precondition),
        left => {
            if let Some(open) = earlier.upload.take() {
                give_up(run, entry, layout, open).await?;
            }
            return Ok(match left {
                Verdict::Unchanged(basis, there) => {
                    Outcome::Unchanged(Box::new(ManifestEntry::unchanged(entry, &there, basis)))
                }
                _ => Outcome::Skipped,
            });
        }
    };
    if let There::Present(there) = &entry.there
        && run.options.settings.backup_prefix.is_some()
        && is_to_be_kept(run, entry, there, earlier).await?
    {
        backup::keep(run, there).await?;
        let (key, etag) = (entry.source.key.clone(), there.etag.clone());
        run.log.note_durably(&Note::Kept { key, etag: etag.clone() }).await?;
        earlier.kept = Some(etag);
    }
    let mut line = bring(run, entry, layout, reason, &precondition, earlier).await?;
    line.superseded = is_superseded(run, entry).await;
    run.log.done(&line)?;
    Ok(Outcome::Done(Box::new(line)))
}

/// Whether what is there is neither kept already nor the object itself, by an earlier run.
async fn is_to_be_kept(run: &Run, entry: &Entry, there: &ObjectMeta, earlier: &Earlier) -> Result<bool> {
    match &earlier.kept {
        None => Ok(true),
        Some(kept) if kept.is_some() && *kept == there.etag => Ok(false),
        Some(_) => Ok(!is_ours(run, entry).await?),
    }
}

/// Brings the object to the destination under this condition; gives its line.
pub(crate) async fn bring(
    run: &Arc<Run>,
    entry: &Entry,
    layout: Layout,
    reason: Reason,
    precondition: &Precondition,
    earlier: &mut Earlier,
) -> Result<ManifestEntry> {
    if let Some(copied) = by_the_store(run, entry, layout, precondition, earlier).await? {
        return Ok(ManifestEntry::copied(entry, copied, reason));
    }
    let (sent, roots) = through_here(run, entry, layout, precondition, earlier).await?;
    Ok(manifest_line(entry, layout, sent, &roots, reason))
}

/// Has the store copy the object by itself, unless an earlier run has sent parts of
/// it already. An upload without parts is given up: a copy can be made again.
async fn by_the_store(
    run: &Arc<Run>,
    entry: &Entry,
    layout: Layout,
    precondition: &Precondition,
    earlier: &mut Earlier,
) -> Result<Option<Copied>> {
    let Some(copier) = run.copier() else { return Ok(None) };
    if let Some(open) = earlier.upload.take_if(|open| open.parts.is_empty()) {
        give_up(run, entry, layout, open).await?;
    }
    match earlier.upload {
        Some(_) => Ok(None),
        None if run.target().copies_here => local_copy::copy(run, copier, entry, layout, precondition).await,
        None => server_copy::copy(run, copier, entry, precondition).await,
    }
}

/// Reads the object and sends it.
async fn through_here(
    run: &Arc<Run>,
    entry: &Entry,
    layout: Layout,
    precondition: &Precondition,
    earlier: &mut Earlier,
) -> Result<(Sent, Parts)> {
    if layout.multipart {
        return in_parts(run, entry, layout, precondition, earlier.upload.take()).await;
    }
    if let Some(open) = earlier.upload.take() {
        give_up(run, entry, layout, open).await?;
    }
    let sent = write::whole(run, entry, precondition).await?;
    run.counters.add(|c| &c.parts, 1);
    run.counters.add(|c| &c.done_bytes, layout.size);
    Ok((sent, Parts::new()))
}

/// Whether another version took the place of the one that was read. Asked only
/// where the source was pinned by its version: no other read outlives that.
async fn is_superseded(run: &Run, entry: &Entry) -> bool {
    let Some(version) = &entry.source.version else { return false };
    match attempts(run, true, || at_source(run, &entry.source.key)).await {
        Ok(now) => now.meta.version.as_ref() != Some(version),
        Err(error) if error.kind() == ErrorKind::NotFound => true,
        Err(error) => {
            // The copy is right either way.
            tracing::warn!(key = %entry.source.key, error = %error.report(), "the latest version was not told");
            false
        }
    }
}

/// Moves an object in parts, taking up what an earlier run left of it.
async fn in_parts(
    run: &Arc<Run>,
    entry: &Entry,
    layout: Layout,
    precondition: &Precondition,
    left: Option<OpenUpload>,
) -> Result<(Sent, Parts)> {
    let source = Source::new(run.source(), &entry.source);
    let info = attempts(run, true, || source.head()).await?;
    let extra = extra_crc(&info.meta);
    let (attributes, lost) = write::attributes(run, &source, info.attributes, info.tag_count).await?;
    let left = match left {
        Some(open) => reconcile(run, entry, &source, layout, extra, open).await?,
        None => Left::Nothing,
    };
    let (upload, held) = match left {
        Left::Held(upload, parts) => (upload, parts),
        Left::MaybeComplete(upload, parts) => (upload, parts),
        Left::Nothing => {
            (begin(run, entry, layout, CreateUploadOptions::new().attributes(attributes)).await?, Parts::new())
        }
    };
    let resumed = !held.is_empty();
    let parts = match write::parts(run, &source, layout, extra, &upload, held).await {
        Ok(parts) => parts,
        Err(error) => return Err(abandon(run, entry, &upload, error).await),
    };
    let digests: Vec<_> = parts.values().map(|(_, digest)| digest.clone()).collect();
    let digest = combine(&digests, extra);
    let tls = run.source().capabilities().tls;
    let source_check = match check_source(&digest, &info.meta, tls) {
        Ok(check) => check,
        Err(algorithm) => return Err(abandon(run, entry, &upload, reader::differs(algorithm)).await),
    };
    run.log.note_durably(&Note::CompleteIntent { key: entry.source.key.clone() }).await?;
    let receipts: Vec<_> = parts.values().map(|(receipt, _)| receipt.clone()).collect();
    match commit::complete(run, entry, &upload, &receipts, &digest, precondition).await {
        Ok(receipt) => Ok((Sent { digest, receipt, source_check, lost }, parts)),
        // A part whose request broke off may be listed, and yet not be whole for the store.
        Err(error) if resumed && error.kind() == ErrorKind::InvalidInput => {
            abort(run, &upload, entry).await?;
            let message = "the store does not complete the upload that an earlier run left";
            Err(Error::new(ErrorKind::UploadNotFound, message).with_source(error))
        }
        Err(error) => Err(abandon(run, entry, &upload, error).await),
    }
}
