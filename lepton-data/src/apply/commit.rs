//! Making an object visible, and finding out whether it is when the answer was
//! lost.

use futures_util::TryStreamExt as _;
use lepton_core::{
    CompleteOptions, Effect, Error, ErrorKind, GetOptions, HeadOptions, ObjectMeta, PartReceipt, Precondition,
    PutReceipt, Result, ServerCheck, TreeHasher, Upload, from_hex, md5, to_hex,
};

use crate::apply::context::Context;
use crate::digest::checksum::{PieceDigest, agrees};
use crate::listing::key_versions;
use crate::types::entry::Entry;
use crate::types::side::Side;

/// What is at the destination, compared with what should be.
#[derive(Debug)]
pub(crate) enum ReadBack {
    /// The very bytes.
    Same(ObjectMeta),
    /// Nothing.
    Absent,
    /// Something else.
    Other(ObjectMeta),
}

/// Whether what failed may have been done: the answer was lost, or the condition did
/// not hold because the request had arrived before, by itself or by a proxy that
/// repeats.
pub(crate) fn may_be_ours(error: &Error) -> bool {
    let refused = matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::PreconditionFailed);
    error.effect() == Effect::Unknown || (refused && Side::of(error) != Some(Side::Source))
}

/// Completes an upload of these parts. A lost answer is settled by reading back.
pub(crate) async fn complete(
    cx: &Context,
    entry: &Entry,
    upload: &Upload,
    receipts: &[PartReceipt],
    digest: &PieceDigest,
    precondition: &Precondition,
) -> Result<PutReceipt> {
    let multipart = cx.destination.multipart()?;
    let etag = composite_etag(receipts);
    let mut asked_before = false;
    for _ in 0..cx.scheduler.attempts {
        let options = CompleteOptions::new().precondition(precondition.clone());
        let again = || multipart.complete(upload, receipts.to_vec(), options.clone());
        let error = match cx.destination.retry(false, again).await {
            Ok(receipt) => return Ok(receipt),
            Err(error) => error,
        };
        let gone = error.kind() == ErrorKind::UploadNotFound;
        if !gone && !may_be_ours(&error) {
            return Err(error);
        }
        if let ReadBack::Same(meta) = read_back(cx, entry, digest, etag.as_deref()).await? {
            // The same bytes may have been there before, and the upload still is.
            cx.destination.abort(upload).await?;
            return Ok(receipt_of(meta));
        }
        if gone && asked_before {
            let message = "the upload is gone and the destination holds something else: somebody wrote the object";
            return Err(Error::new(ErrorKind::Conflict, message).with_context("key", &upload.key).with_source(error));
        }
        if gone || error.effect() != Effect::Unknown {
            return Err(error);
        }
        asked_before = true;
        cx.scheduler.counters.retried(error.kind());
    }
    Err(Error::new(ErrorKind::Unavailable, "the destination never said whether the upload is complete")
        .with_effect(Effect::Unknown)
        .with_context("key", &upload.key))
}

/// What is at the destination; of a history, the version that it has got since.
///
/// # Errors
/// `conflict` if the history is not the one that this version was to follow.
pub(crate) async fn landed(cx: &Context, entry: &Entry) -> Result<Option<ObjectMeta>> {
    let mut options = HeadOptions::new();
    if let Some(earlier) = entry.earlier_versions() {
        let Some(version) = key_versions::beside(&cx.destination, &entry.target, earlier).await? else {
            return Ok(None);
        };
        if version.is_delete_marker {
            return Err(key_versions::conflict(&entry.target, "somebody else deleted it"));
        }
        options = options.version(version.meta.version);
    }
    Ok(cx.destination.find(&entry.target, options).await?.map(|info| info.meta))
}

/// Compares the destination with what should be there: by its checksum or tag
/// where they tell, else by reading it.
pub(crate) async fn read_back(
    cx: &Context,
    entry: &Entry,
    digest: &PieceDigest,
    etag: Option<&str>,
) -> Result<ReadBack> {
    let Some(meta) = landed(cx, entry).await? else { return Ok(ReadBack::Absent) };
    if meta.size != digest.len {
        return Ok(ReadBack::Other(meta));
    }
    let by_etag = etag.is_some_and(|etag| meta.etag.as_ref().is_some_and(|found| found.unquoted() == etag));
    let verdict = if by_etag { Some(true) } else { meta.checksums.iter().find_map(|stored| agrees(digest, stored)) };
    let same = match verdict {
        Some(same) => same,
        None => read_whole(cx, entry, &meta).await? == *digest.root.0.as_slice(),
    };
    Ok(if same { ReadBack::Same(meta) } else { ReadBack::Other(meta) })
}

async fn read_whole(cx: &Context, entry: &Entry, meta: &ObjectMeta) -> Result<[u8; 32]> {
    cx.destination
        .retry(true, || async {
            let version = meta.version.clone().filter(|_| entry.is_version());
            let options = GetOptions::new().if_match(meta.etag.clone()).version(version).without_attributes(true);
            let reply = cx.destination.storage().get(&meta.key, options).await?;
            let hasher = reply.body.try_fold(TreeHasher::new(), |mut hasher, bytes| {
                hasher.update(&bytes);
                std::future::ready(Ok(hasher))
            });
            Ok(hasher.await?.finish().root.0)
        })
        .await
}

/// The receipt of an object that was found to be right. Nobody saw what the
/// server checked.
pub(crate) fn receipt_of(meta: ObjectMeta) -> PutReceipt {
    PutReceipt::new(ServerCheck::None).etag(meta.etag).version(meta.version).checksums(meta.checksums)
}

/// The tag that S3 gives an object of these parts: the MD5 of their MD5s and
/// their number. `None` where the parts' tags are no MD5s.
pub(crate) fn composite_etag(parts: &[PartReceipt]) -> Option<String> {
    let sums: Option<Vec<Vec<u8>>> =
        parts.iter().map(|part| from_hex(part.etag.unquoted()).filter(|sum| sum.len() == 16)).collect();
    Some(format!("{}-{}", to_hex(&md5(&sums?.concat())), parts.len()))
}
