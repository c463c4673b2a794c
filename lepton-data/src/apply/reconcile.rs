//! Resumes an upload that an earlier run left: the journal has the intent, the store has
//! the parts.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use futures_util::TryStreamExt as _;
use lepton_core::{
    BodySource as _, ChecksumAlgorithm, Crc, ObjectKey, PartInfo, PartReceipt, Result, Upload, UploadInfo, crc,
    from_hex, md5,
};

use crate::apply::context::Context;
use crate::digest::checksum::{PartDigest, Parts};
use crate::digest::reader::{Piece, Source};
use crate::ledger::note::{Note, UploadPlan};
use crate::ledger::resumed::OpenUpload;
use crate::schedule::lanes::Lane;
use crate::types::entry::{Entry, Pin};
use crate::types::layout::Layout;

/// How far the clocks of this host and the store may differ in the search for an upload
/// whose ID was lost.
const CLOCKS: Duration = Duration::from_secs(120);

/// What became of an upload.
#[derive(Debug)]
pub(crate) enum Leftover {
    /// It exists and holds these parts.
    Held(Upload, Parts),
    /// It is gone, but all its parts were there when the run was about to
    /// complete it: the object may be there.
    MaybeComplete(Upload, Parts),
    /// There is nothing to resume.
    Nothing,
}

/// Finds out what became of an upload. An upload that cannot be used is aborted.
pub(crate) async fn reconcile(
    cx: &Context,
    entry: &Entry,
    source: &Source,
    layout: Layout,
    extra: Option<Crc>,
    open: OpenUpload,
) -> Result<Leftover> {
    let Some(id) = open.id.clone() else {
        abort_lost(cx, &open.plan).await?;
        return Ok(Leftover::Nothing);
    };
    let upload = Upload::new(open.plan.target.clone(), id);
    let same =
        open.plan.layout == layout && open.plan.pin == Pin::of(&entry.source) && open.plan.target == entry.target;
    if !same {
        abort(cx, &upload, entry).await?;
        return Ok(Leftover::Nothing);
    }
    match cx.destination.list_parts(&upload).await? {
        Some(listed) => {
            let parts = adopt(cx, source, layout, extra, &open, listed).await?;
            Ok(Leftover::Held(upload, parts))
        }
        None if open.completing && open.parts.len() == layout.parts() as usize => {
            Ok(Leftover::MaybeComplete(upload, open.parts))
        }
        None => {
            cx.log.note(&Note::UploadGone { key: entry.source.key.clone() })?;
            Ok(Leftover::Nothing)
        }
    }
}

/// Keeps the listed parts that are known to hold the right bytes: those that the
/// journal has, and those whose tag or checksum matches the source's bytes.
async fn adopt(
    cx: &Context,
    source: &Source,
    layout: Layout,
    extra: Option<Crc>,
    open: &OpenUpload,
    listed: Vec<PartInfo>,
) -> Result<Parts> {
    let mut parts = Parts::new();
    for part in listed {
        if part.number == 0 || part.number > layout.parts() || part.size != layout.part(part.number).len() {
            continue;
        }
        let journalled = open.parts.get(&part.number).filter(|(receipt, _)| receipt.etag == part.etag);
        let digest = match journalled {
            Some((_, digest)) => Some(digest.clone()),
            None => compare(cx, source, layout, extra, &part).await?,
        };
        if let Some(digest) = digest {
            cx.scheduler.counters.done_bytes.add(part.size);
            cx.scheduler.counters.resumed_bytes.add(part.size);
            let (key, receipt) = (source.key.clone(), part.clone());
            if journalled.is_none() {
                cx.log.note(&Note::PartDone { key, receipt, digest: digest.clone() })?;
            }
            parts.insert(part.number, (part, digest));
        }
    }
    Ok(parts)
}

/// Reads the source's bytes of a part that the store holds and the journal does
/// not have; `None` if they differ or cannot be compared.
async fn compare(
    cx: &Context,
    source: &Source,
    layout: Layout,
    extra: Option<Crc>,
    part: &PartReceipt,
) -> Result<Option<PartDigest>> {
    let range = layout.part(part.number).range;
    cx.destination
        .retry(true, || async {
            let _slot = cx.scheduler.enter(Lane::Parts, range.end - range.start).await?;
            let piece = Arc::new(Piece::new(source.clone(), range.clone(), extra));
            let mut bytes = Vec::new();
            let mut leaves = piece.open();
            while let Some(leaf) = leaves.try_next().await? {
                leaf.pieces.iter().for_each(|piece| bytes.extend_from_slice(piece));
            }
            Ok(holds(part, &bytes).then_some(PartDigest::from(piece.digest()?)))
        })
        .await
}

fn holds(part: &PartReceipt, bytes: &[u8]) -> bool {
    if let Some(stored) = &part.checksum {
        return match stored.algorithm {
            ChecksumAlgorithm::Crc64Nvme => stored.value == crc(Crc::Crc64Nvme, bytes).to_be_bytes(),
            algorithm => {
                lepton_core::StoredChecksum::of(algorithm, bytes).is_some_and(|ours| ours.value == stored.value)
            }
        };
    }
    from_hex(part.etag.unquoted()).is_some_and(|tag| tag == md5(bytes))
}

/// Aborts an upload of ours and records this in the journal.
pub(crate) async fn abort(cx: &Context, upload: &Upload, entry: &Entry) -> Result<()> {
    cx.destination.abort(upload).await?;
    cx.log.note(&Note::UploadGone { key: entry.source.key.clone() })
}

/// Aborts an upload of an object that is no longer at the source.
pub(crate) async fn abort_orphan(cx: &Context, key: ObjectKey, open: OpenUpload) -> Result<()> {
    let Some(id) = open.id else { return abort_lost(cx, &open.plan).await };
    let upload = Upload::new(open.plan.target, id);
    cx.destination.abort(&upload).await?;
    cx.log.note(&Note::UploadGone { key })
}

/// Aborts an upload whose creation response was lost, or was never written to disk. An
/// upload is taken for ours if it was started about that time and holds no parts, because
/// parts are sent only after the ID is on disk. All others belong to another client and
/// are left alone.
pub(crate) async fn abort_lost(cx: &Context, plan: &UploadPlan) -> Result<()> {
    if !cx.destination.capabilities().list_uploads.is_available() {
        return Ok(());
    }
    let target = &plan.target;
    for info in cx.destination.list_uploads(target).await? {
        let empty = cx.destination.list_parts(&info.upload).await?.is_none_or(|parts| parts.is_empty());
        if empty && begun_about(&info, plan.at) {
            cx.destination.abort(&info.upload).await?;
        } else {
            cx.note_foreign(target, &info.upload.id)?;
        }
    }
    Ok(())
}

fn begun_about(info: &UploadInfo, at: u64) -> bool {
    let at = UNIX_EPOCH + Duration::from_secs(at);
    info.initiated.is_some_and(|initiated| initiated + CLOCKS >= at && initiated <= at + CLOCKS)
}
