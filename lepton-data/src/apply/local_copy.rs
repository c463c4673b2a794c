//! Copies between disks of this machine. The operating system shares the bytes or copies
//! them by itself, and the source is read once, for its digest.
//!
//! The digest is of the source and not of the copy, so that a verification of the copy
//! finds errors of the system. The source is read before the copy is made, so that an
//! object that becomes visible has its proof.

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use lepton_core::{CopyOptions, Effect, Precondition, PutReceipt, Result, RuntimeExt as _, ServerCopy};

use crate::apply::commit::{ReadBack, read_back, receipt_of};
use crate::apply::context::Context;
use crate::apply::copied::{ServerCopied, SourceDigest, refused, source_of};
use crate::digest::checksum::{PartDigest, PieceDigest, check_source, combine, extra_crc};
use crate::digest::reader;
use crate::digest::reader::Source;
use crate::telemetry::retry_count::along;
use crate::types::entry::Entry;
use crate::types::layout::Layout;
use crate::types::reason::ComparedBy;
use crate::types::side::Side;

/// Lets the disk copy the object, if that saves anything; `None` if it is to be read
/// and written.
pub(crate) async fn copy(
    cx: &Arc<Context>,
    copier: &dyn ServerCopy,
    entry: &Entry,
    layout: Layout,
    precondition: &Precondition,
) -> Result<Option<ServerCopied>> {
    let source = source_of(cx, entry)?;
    match cx.destination.retry(true, || copier.is_cheaper(&source, &entry.target)).await {
        Ok(true) => {}
        Ok(false) => return Ok(None),
        Err(error) => return refused(cx, entry, error),
    }
    let read = read(cx, entry, layout).await?;
    let slot = cx.scheduler.enter(cx.lane(entry.source.size), 0).await?;
    let idempotent = *precondition == Precondition::None;
    let options = CopyOptions::new().precondition(precondition.clone());
    let copy = cx.destination.retry(idempotent, || copier.copy(source.clone(), &entry.target, options.clone()));
    let copied = match steered(cx, copy).await {
        // Whether the copy became visible is unknown.
        Err(error) if error.effect() == Effect::Unknown => found(cx, entry, &read.digest).await?.ok_or(error),
        copied => copied.map(|receipt| (receipt, ComparedBy::Size)),
    };
    match copied {
        Ok((receipt, basis)) => {
            slot.done(0);
            cx.scheduler.counters.server_copies.add(1);
            Ok(Some(ServerCopied { receipt, basis, read: Some(read), lost: Vec::new() }))
        }
        Err(error) => {
            cx.scheduler.counters.done_bytes.sub(entry.source.size);
            refused(cx, entry, error)
        }
    }
}

/// The receipt of the object at the destination, if it has the bytes of the source.
async fn found(cx: &Context, entry: &Entry, digest: &PieceDigest) -> Result<Option<(PutReceipt, ComparedBy)>> {
    Ok(match read_back(cx, entry, digest, None).await? {
        ReadBack::Same(meta) => Some((receipt_of(meta), ComparedBy::Content)),
        ReadBack::Absent | ReadBack::Other(_) => None,
    })
}

/// Reads the source in parts, each with a slot of the pool.
async fn read(cx: &Arc<Context>, entry: &Entry, layout: Layout) -> Result<SourceDigest> {
    let source = Source::new(&cx.source, &entry.source);
    let (extra, lane) = (extra_crc(&entry.source), cx.lane(entry.source.size));
    let begin = |number| {
        let (cx, source, range) = (Arc::clone(cx), source.clone(), layout.part(number).range);
        async move {
            let len = range.end - range.start;
            let slot = cx.scheduler.enter(lane, len).await?;
            let env = Arc::clone(&cx.scheduler.env);
            let part = env.spawn_task(along(async move {
                let digest = source.digest_of(range, extra).await?;
                slot.done(len);
                cx.scheduler.counters.done_bytes.add(len);
                Ok(PartDigest::from(digest))
            }));
            Ok(async { part.join().await.flatten() })
        }
    };
    let at_once = cx.settings.concurrency.get();
    let parts: Vec<_> = stream::iter(1..=layout.parts()).then(begin).try_buffered(at_once).try_collect().await?;
    let digest = combine(&parts, extra);
    let tls = cx.source.capabilities().tls;
    let source_check =
        check_source(&digest, &entry.source, tls).map_err(|algorithm| reader::differs(Side::Source, algorithm))?;
    let roots = if parts.len() > 1 { parts.iter().map(|part| part.root).collect() } else { Vec::new() };
    Ok(SourceDigest { digest, roots, part_size: layout.part_size, source_check })
}

/// Runs the work under the run's control: a pause suspends it, a cancel ends it.
async fn steered<T>(cx: &Context, work: impl Future<Output = Result<T>>) -> Result<T> {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            biased;
            () = cx.scheduler.control.halted() => cx.scheduler.control.go().await?,
            done = &mut work => return done,
        }
    }
}
