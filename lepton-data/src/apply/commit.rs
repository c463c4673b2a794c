//! Makes an object visible. If the response was lost, finds out whether it is visible.

use futures_util::TryStreamExt as _;
use lepton_core::{
    CompleteOptions, Effect, Error, ErrorKind, GetOptions, HeadOptions, ObjectMeta, PartReceipt, Precondition,
    PutReceipt, Result, ServerCheck, TreeHasher, Upload, from_hex, md5, to_hex,
};

use crate::apply::context::Context;
use crate::digest::checksum::{PieceDigest, agrees};
use crate::listing::key_versions;
use crate::types::entry::{DestinationState, Entry};
use crate::types::side::Side;

/// What is stored at the destination, compared with what should be.
#[derive(Debug)]
pub(crate) enum ReadBack {
    /// The same bytes.
    Same(ObjectMeta),
    /// Nothing.
    Absent,
    /// Something else.
    Other(ObjectMeta),
}

/// Whether a failed request may have taken effect: the response was lost, or the condition
/// failed because the same request had arrived before, for example repeated by a proxy.
pub(crate) fn may_be_ours(error: &Error) -> bool {
    let refused = matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::PreconditionFailed);
    error.effect() == Effect::Unknown || (refused && Side::of(error) != Some(Side::Source))
}

/// Completes an upload of these parts. If the response is lost, the object is read back. It is read
/// back, too, if an earlier request may have arrived and this one is confirmed: some stores that were
/// killed within the first confirm the second and do not have the object. `earlier` is whether an
/// earlier run has sent one.
pub(crate) async fn complete(
    cx: &Context,
    entry: &Entry,
    upload: &Upload,
    receipts: &[PartReceipt],
    digest: &PieceDigest,
    precondition: &Precondition,
    earlier: bool,
) -> Result<PutReceipt> {
    let multipart = cx.destination.multipart()?;
    let etag = composite_etag(receipts);
    let mut asked_before = false;
    for _ in 0..cx.scheduler.attempts {
        let options = CompleteOptions::new().precondition(precondition.clone());
        let again = || multipart.complete(upload, receipts.to_vec(), options.clone());
        let error = match cx.destination.retry(false, again).await {
            Ok(receipt) if earlier || asked_before => {
                let found = read_back(cx, entry, digest, etag.as_deref()).await?;
                return if is_lost(entry, &found) { Err(lost(upload)) } else { Ok(receipt) };
            }
            Ok(receipt) => return Ok(receipt),
            Err(error) => error,
        };
        let gone = error.kind() == ErrorKind::UploadNotFound;
        if !gone && !may_be_ours(&error) {
            return Err(error);
        }
        if let ReadBack::Same(meta) = read_back(cx, entry, digest, etag.as_deref()).await? {
            // The same bytes may have been there before, and the upload may still be open.
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

/// Whether a confirmed object has not become visible. Another object than the one before was written
/// after it.
fn is_lost(entry: &Entry, found: &ReadBack) -> bool {
    match (found, &entry.there) {
        (ReadBack::Same(_), _) | (ReadBack::Other(_), DestinationState::Absent) => false,
        (ReadBack::Other(now), DestinationState::Present(before)) => now.etag == before.etag,
        (ReadBack::Absent, _) | (ReadBack::Other(_), DestinationState::Unknown) => true,
    }
}

/// The error with which the object starts again.
fn lost(upload: &Upload) -> Error {
    let message = "the destination has confirmed an upload and does not have the object";
    Error::new(ErrorKind::UploadNotFound, message).with_context("key", &upload.key)
}

/// The object at the destination; in a history, the version that was added since.
///
/// # Errors
/// `conflict` if the history is not the one that this version was to follow.
pub(crate) async fn landed(cx: &Context, entry: &Entry) -> Result<Option<ObjectMeta>> {
    let mut options = HeadOptions::new();
    if let Some(earlier) = entry.earlier_versions() {
        let Some(version) = key_versions::unknown_version(&cx.destination, &entry.target, earlier).await? else {
            return Ok(None);
        };
        if version.is_delete_marker {
            return Err(key_versions::conflict(&entry.target, "somebody else deleted it"));
        }
        options = options.version(version.meta.version);
    }
    Ok(cx.destination.find(&entry.target, options).await?.map(|info| info.meta))
}

/// Compares the destination with what should be there: by its checksum or tag where they
/// suffice, else by reading it.
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

/// The receipt of an object that was found to be right. What the server checked is
/// unknown.
pub(crate) fn receipt_of(meta: ObjectMeta) -> PutReceipt {
    PutReceipt::new(ServerCheck::None).etag(meta.etag).version(meta.version).checksums(meta.checksums)
}

/// The tag that S3 gives an object of these parts: the MD5 of their MD5s, and
/// their number. `None` if the parts' tags are not MD5s.
pub(crate) fn composite_etag(parts: &[PartReceipt]) -> Option<String> {
    let sums: Option<Vec<Vec<u8>>> =
        parts.iter().map(|part| from_hex(part.etag.unquoted()).filter(|sum| sum.len() == 16)).collect();
    Some(format!("{}-{}", to_hex(&md5(&sums?.concat())), parts.len()))
}
