//! Copies from disk to disk of this machine. The system shares the bytes or moves
//! them by itself, and the source is read once, for its digest.
//!
//! The source and not the copy: the digest says what was to be copied, so that
//! whoever verifies the copy finds what the system did wrong. It is read before the
//! copy is made: what becomes visible has its proof.

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use lepton_core::{CopyOptions, Effect, EnvExt as _, Precondition, PutReceipt, Result, ServerCopy};

use crate::apply::commit::{Found, read_back, receipt_of};
use crate::apply::copied::{Copied, Read, refused, source_of};
use crate::digest::checksum::{PartDigest, PieceDigest, check_source, combine, extra_crc};
use crate::digest::reader;
use crate::digest::reader::Source;
use crate::schedule::retry::attempts;
use crate::telemetry::retry_count::along;
use crate::transfer::run::Run;
use crate::types::entry::{Entry, Layout};
use crate::types::reason::Basis;

/// Has the disk copy the object, if that spares anything; `None` if it is to be read
/// and written.
pub(crate) async fn copy(
    run: &Arc<Run>,
    copier: &dyn ServerCopy,
    entry: &Entry,
    layout: Layout,
    precondition: &Precondition,
) -> Result<Option<Copied>> {
    let source = source_of(run, entry)?;
    match attempts(run, true, || copier.spares(&source, &entry.target)).await {
        Ok(true) => {}
        Ok(false) => return Ok(None),
        Err(error) => return refused(run, entry, error),
    }
    let read = read(run, entry, layout).await?;
    let slot = run.pool.enter(run.lane(entry.source.size), 0).await?;
    let idempotent = *precondition == Precondition::None;
    let options = CopyOptions::new().precondition(precondition.clone());
    let copy = attempts(run, idempotent, || copier.copy(source.clone(), &entry.target, options.clone()));
    let copied = match steered(run, copy).await {
        // Whether it became visible is not known.
        Err(error) if error.effect() == Effect::Unknown => found(run, entry, &read.digest).await?.ok_or(error),
        copied => copied.map(|receipt| (receipt, Basis::Size)),
    };
    match copied {
        Ok((receipt, basis)) => {
            slot.done(0);
            run.counters.add(|c| &c.server_copies, 1);
            Ok(Some(Copied { receipt, basis, read: Some(read) }))
        }
        Err(error) => {
            run.counters.sub(|c| &c.done_bytes, entry.source.size);
            refused(run, entry, error)
        }
    }
}

/// What is at the destination, if it has the bytes of the source.
async fn found(run: &Run, entry: &Entry, digest: &PieceDigest) -> Result<Option<(PutReceipt, Basis)>> {
    Ok(match read_back(run, entry, digest, None).await? {
        Found::Same(meta) => Some((receipt_of(meta), Basis::Content)),
        Found::Absent | Found::Other(_) => None,
    })
}

/// Reads the source, part by part in their turns of the pool.
async fn read(run: &Arc<Run>, entry: &Entry, layout: Layout) -> Result<Read> {
    let source = Source::new(run.source(), &entry.source);
    let (extra, lane) = (extra_crc(&entry.source), run.lane(entry.source.size));
    let begin = |number| {
        let (run, source, range) = (Arc::clone(run), source.clone(), layout.part(number).range);
        async move {
            let len = range.end - range.start;
            let slot = run.pool.enter(lane, len).await?;
            let env = Arc::clone(&run.env);
            let part = env.spawn_task(along(async move {
                let digest = reader::digest_of(&run, &source, range, extra).await?;
                slot.done(len);
                run.counters.add(|c| &c.done_bytes, len);
                Ok(PartDigest::from(digest))
            }));
            Ok(async { part.join().await.flatten() })
        }
    };
    let at_once = run.options.settings.concurrency.get();
    let parts: Vec<_> = stream::iter(1..=layout.parts()).then(begin).try_buffered(at_once).try_collect().await?;
    let digest = combine(&parts, extra);
    let tls = run.source().capabilities().tls;
    let source_check = check_source(&digest, &entry.source, tls).map_err(reader::differs)?;
    let roots = if parts.len() > 1 { parts.iter().map(|part| part.root).collect() } else { Vec::new() };
    Ok(Read { digest, roots, part_size: layout.part_size, source_check })
}

/// Works while the run goes on: a pause holds the work where it is, a cancel ends it.
async fn steered<T>(run: &Run, work: impl Future<Output = Result<T>>) -> Result<T> {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            biased;
            () = run.control.halted() => run.control.go().await?,
            done = &mut work => return done,
        }
    }
}
