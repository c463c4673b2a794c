//! The way of one object, from its entry to its line in the manifest.

use std::sync::Arc;

use lepton_core::{
    CreateUploadOptions, ETag, Effect, Error, ErrorKind, HeadOptions, ObjectInfo, ObjectKey, ObjectMeta, Precondition,
    Result, Upload,
};

use crate::backup;
use crate::checksum::{check_source, combine, extra_crc};
use crate::commit;
use crate::diff::{Reason, Verdict, decide, is_ours, look};
use crate::history;
use crate::manifest::ManifestEntry;
use crate::plan::{Entry, Layout, Pin, There};
use crate::proofs;
use crate::read::{self, Source, is_source, side};
use crate::reconcile::{Left, abort, abort_lost, reconcile};
use crate::resume::{Note, OpenUpload, UploadPlan};
use crate::retry::{attempts, wait};
use crate::run::Run;
use crate::server::{self, Copied};
use crate::write::{self, Parts, Sent};

/// What an earlier run left of an object.
#[derive(Debug, Default)]
pub(crate) struct Earlier {
    pub(crate) upload: Option<OpenUpload>,
    /// It may have written the object.
    pub(crate) maybe_written: bool,
    /// It has kept what the object replaces, which had this tag.
    pub(crate) kept: Option<Option<ETag>>,
    /// Of the versions of a key, how many it has finished.
    pub(crate) recorded: u64,
    /// What it proved of the object.
    pub(crate) proof: Option<Box<ManifestEntry>>,
    /// The object failed, and is tried again by its key alone.
    pub(crate) failed: bool,
}

/// How an object ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    Done(Box<ManifestEntry>),
    /// The destination has the key's history; so many bytes of it were brought now.
    History {
        bytes: u64,
    },
    /// The destination has the same.
    Unchanged(Box<ManifestEntry>),
    /// Source and destination are as an earlier run proved them.
    Proven(Box<ManifestEntry>),
    Skipped,
    /// By what the source told when it was asked, the filters leave it out; or it failed
    /// before, and is gone.
    LeftOut,
    /// Only the destination has it.
    Extra(Box<ObjectMeta>),
    Failed(Error),
}

impl Outcome {
    /// What measurements call it, if they count it.
    pub(crate) fn name(&self) -> Option<&'static str> {
        match self {
            Self::Done(_) => Some("copied"),
            Self::Unchanged(_) | Self::Proven(_) => Some("unchanged"),
            Self::Skipped => Some("skipped"),
            Self::Failed(error) if error.kind() == ErrorKind::Cancelled => None,
            Self::Failed(_) => Some("failed"),
            Self::History { .. } | Self::LeftOut | Self::Extra(_) => None,
        }
    }
}

/// Moves one object. When its source changes, its upload vanishes or its bytes
/// go wrong on their way it begins again, so many times as the settings say.
pub(crate) async fn object(run: Arc<Run>, mut entry: Entry, mut earlier: Earlier) -> Outcome {
    if run.options.settings.versions {
        return history::history(&run, &entry, earlier).await;
    }
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
    if run.copier().is_none() {
        return Ok(None);
    }
    if let Some(open) = earlier.upload.take_if(|open| open.parts.is_empty()) {
        give_up(run, entry, layout, open).await?;
    }
    match earlier.upload {
        Some(_) => Ok(None),
        None => server::copy(run, entry, layout, precondition).await,
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
    let parts = match write::parts(run, &source, layout, extra, &upload, held).await {
        Ok(parts) => parts,
        Err(error) => return Err(abandon(run, entry, &upload, error).await),
    };
    let digests: Vec<_> = parts.values().map(|(_, digest)| digest.clone()).collect();
    let digest = combine(&digests, extra);
    let tls = run.source().capabilities().tls;
    let source_check = match check_source(&digest, &info.meta, tls) {
        Ok(check) => check,
        Err(algorithm) => return Err(abandon(run, entry, &upload, read::differs(algorithm)).await),
    };
    run.log.note_durably(&Note::CompleteIntent { key: entry.source.key.clone() }).await?;
    let receipts: Vec<_> = parts.values().map(|(receipt, _)| receipt.clone()).collect();
    match commit::complete(run, entry, &upload, &receipts, &digest, precondition).await {
        Ok(receipt) => Ok((Sent { digest, receipt, source_check, lost }, parts)),
        Err(error) => Err(abandon(run, entry, &upload, error).await),
    }
}

/// Begins an upload: intent, effect, outcome.
pub(crate) async fn begin(run: &Run, entry: &Entry, layout: Layout, options: CreateUploadOptions) -> Result<Upload> {
    let key = entry.source.key.clone();
    let plan = UploadPlan::new(entry.target.clone(), layout, Pin::of(&entry.source), run.env.now());
    run.log.note_durably(&Note::UploadIntent { key: key.clone(), upload: plan.clone() }).await?;
    let options = options.size(layout.size);
    let multipart = run.multipart()?;
    let upload = attempts(run, true, || async {
        let created = multipart.create(&entry.target, options.clone()).await;
        if created.as_ref().is_err_and(|error| error.effect() == Effect::Unknown) {
            abort_lost(run, &plan).await?;
        }
        created
    })
    .await?;
    run.log.note_durably(&Note::UploadBegun { key, id: upload.id.clone() }).await?;
    Ok(upload)
}

/// An upload that failed for good is aborted; one that may still be of use to a
/// later run stays.
async fn abandon(run: &Run, entry: &Entry, upload: &Upload, error: Error) -> Error {
    let useless = matches!(
        error.kind(),
        ErrorKind::SourceChanged
            | ErrorKind::ChecksumMismatch
            | ErrorKind::AlreadyExists
            | ErrorKind::PreconditionFailed
            | ErrorKind::UploadNotFound
            | ErrorKind::TooLarge
    );
    if useless
        && error.effect() != Effect::Unknown
        && let Err(failed) = abort(run, upload, entry).await
    {
        tracing::warn!(key = %entry.target, error = %failed.report(), "an upload could not be aborted");
    }
    error
}

/// An upload is left of an object that now goes in one piece, or not at all.
async fn give_up(run: &Run, entry: &Entry, layout: Layout, open: OpenUpload) -> Result<()> {
    let source = Source::new(run.source(), &entry.source);
    if let Left::Held(upload, _) = reconcile(run, entry, &source, layout, None, open).await? {
        abort(run, &upload, entry).await?;
    }
    Ok(())
}

fn manifest_line(entry: &Entry, layout: Layout, sent: Sent, parts: &Parts, reason: Reason) -> ManifestEntry {
    let roots = if parts.len() > 1 { parts.values().map(|(_, digest)| digest.root).collect() } else { Vec::new() };
    ManifestEntry {
        key: entry.target.clone(),
        source_key: entry.renamed(),
        size: layout.size,
        reason: Some(reason),
        unchanged: None,
        server_copy: None,
        sha256_tree: Some(sent.digest.root),
        part_size: layout.part_size,
        parts: roots,
        crc64nvme: Some(format!("{:016x}", sent.digest.crc64)),
        source_etag: entry.source.etag.clone(),
        source_version: entry.source.version.clone(),
        source_check: sent.source_check,
        etag: sent.receipt.etag,
        version: sent.receipt.version,
        check: sent.receipt.check,
        lost: sent.lost,
        superseded: false,
        history: None,
        delete_marker: false,
    }
}
