//! Sends bytes: an object in one piece, or the parts of an upload.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use lepton_core::{
    Attribute, Attributes, Body, Crc, Effect, Error, ErrorKind, ObjectMeta, PartReceipt, Precondition, PutOptions,
    PutReceipt, Result, RuntimeExt as _, Upload,
};

use crate::apply::commit::{ReadBack, may_be_ours, read_back, receipt_of};
use crate::apply::context::Context;
use crate::compare::objects::record_digest;
use crate::digest::checksum::{PartDigest, Parts, PieceDigest, SourceCheck, check_source, expected, extra_crc};
use crate::digest::reader;
use crate::digest::reader::{Piece, Source};
use crate::ledger::note::Note;
use crate::schedule::lanes::{Lane, Slot};
use crate::settings::transfer::MetadataPolicy;
use crate::telemetry::retry_count::along;
use crate::types::entry::Entry;
use crate::types::layout::Layout;
use crate::types::side::Side;

/// An object that is at the destination.
#[derive(Debug)]
pub(crate) struct Uploaded {
    pub(crate) digest: PieceDigest,
    pub(crate) receipt: PutReceipt,
    pub(crate) source_check: SourceCheck,
    pub(crate) lost: Vec<Attribute>,
}

/// Sends an object in one piece. If the response is lost, the object is read back.
pub(crate) async fn whole(cx: &Context, entry: &Entry, precondition: &Precondition) -> Result<Uploaded> {
    let slot = cx.scheduler.enter(Lane::Small, entry.source.size).await?;
    let source = Source::new(&cx.source, &entry.source);
    // In a history, a repeated request makes a second version.
    let idempotent = *precondition == Precondition::None && !entry.is_version();
    for attempt in 1.. {
        let error = match cx.destination.retry_in(&slot, idempotent, || put(cx, entry, &source, precondition)).await {
            Ok(sent) => {
                slot.done(entry.source.size);
                return Ok(sent);
            }
            Err(error) if may_be_ours(&error) => error,
            Err(error) => return Err(error),
        };
        let digest = source.digest(None).await?;
        match read_back(cx, entry, &digest, None).await? {
            ReadBack::Same(meta) => {
                let (_, lost) = describe(cx, &source).await?;
                let receipt = receipt_of(meta);
                return Ok(Uploaded { digest, receipt, source_check: SourceCheck::None, lost });
            }
            // The write was refused, and the object there is not ours.
            _ if error.effect() != Effect::Unknown => return Err(error),
            ReadBack::Other(meta) if entry.is_version() || !is_replaced(&meta, precondition) => {
                return Err(Error::new(ErrorKind::Conflict, "somebody else wrote the object at the same time")
                    .with_context("key", &entry.target)
                    .with_source(error));
            }
            // The write never took effect.
            ReadBack::Absent | ReadBack::Other(_) if attempt >= cx.scheduler.attempts => return Err(error),
            ReadBack::Absent | ReadBack::Other(_) => {
                let _rest = slot.rest();
                cx.scheduler.wait(attempt, &error).await?;
            }
        }
    }
    Err(Error::new(ErrorKind::Unexpected, "no attempt was made"))
}

/// Whether this is the object that was to be replaced.
fn is_replaced(found: &ObjectMeta, precondition: &Precondition) -> bool {
    matches!(precondition, Precondition::IfMatch(etag) if found.etag.as_ref() == Some(etag))
}

async fn put(cx: &Context, entry: &Entry, source: &Source, precondition: &Precondition) -> Result<Uploaded> {
    let reply = source.whole().await?;
    let (attributes, lost) = attributes(cx, source, reply.attributes, reply.tag_count).await?;
    let piece = Piece::new(source.clone(), 0..source.size, extra_crc(&reply.meta));
    let tls = cx.source.capabilities().tls;
    let piece = Arc::new(piece.expecting(expected(&reply.meta, tls)).primed(reply.body));
    let options = PutOptions::new().attributes(attributes).precondition(precondition.clone());
    let body = Body::from_source(piece.len(), Arc::clone(&piece) as Arc<_>);
    let receipt = cx.destination.storage().put(&entry.target, body, options).await?;
    let digest = piece.digest()?;
    let source_check =
        check_source(&digest, &reply.meta, tls).map_err(|algorithm| reader::differs(Side::Source, algorithm))?;
    Ok(Uploaded { digest, receipt, source_check, lost })
}

/// The source's attributes that the destination can keep, and those that are lost.
pub(crate) async fn attributes(
    cx: &Context,
    source: &Source,
    mut attributes: Attributes,
    tag_count: u32,
) -> Result<(Attributes, Vec<Attribute>)> {
    let mut tags_lost = false;
    if tag_count > 0 && attributes.tags.is_empty() {
        tags_lost = !cx.destination.capabilities().keeps(Attribute::Tags);
        if !tags_lost {
            match source.tags().await? {
                Some(tags) => attributes.tags = tags,
                None => tags_lost = true,
            }
        }
    }
    if cx.settings.record_digest {
        let digest = source.digest(None).await?;
        record_digest(&mut attributes, &digest.root.to_string(), cx.destination.capabilities().metadata_names);
    }
    add_defaults(cx, source, &mut attributes);
    let mut lost = cx.destination.capabilities().retain_kept(&mut attributes);
    if tags_lost {
        lost.push(Attribute::Tags);
    }
    refuse_loss(cx, source, &lost)?;
    Ok((attributes, lost))
}

/// Adds what users expect of a copy: the time of its source, where the destination keeps times,
/// and the content type that is usual for its name, where it keeps types.
fn add_defaults(cx: &Context, source: &Source, attributes: &mut Attributes) {
    let to = cx.destination.capabilities();
    if to.keeps_mtime {
        source.last_modified.into_iter().for_each(|time| attributes.record_modified(time));
    } else if cx.settings.guess_content_type && attributes.content_type.is_none() && to.keeps(Attribute::ContentType) {
        let guess = source.key.as_str().and_then(|key| mime_guess::from_path(key).first_raw());
        attributes.content_type = guess.map(str::to_owned);
    }
}

/// Refuses to lose attributes, if the settings do not allow that.
pub(crate) fn refuse_loss(cx: &Context, source: &Source, lost: &[Attribute]) -> Result<()> {
    if lost.is_empty() || cx.settings.metadata != MetadataPolicy::Strict {
        return Ok(());
    }
    let message =
        format!("{lost:?} of the object cannot be read or cannot be kept by the destination, and metadata is strict");
    Err(Error::unsupported(message).with_context("key", &source.key))
}

/// The attributes of a source object that has not been read, and those that are lost.
pub(crate) async fn describe(cx: &Context, source: &Source) -> Result<(Attributes, Vec<Attribute>)> {
    let info = source.head().await?;
    attributes(cx, source, info.attributes, info.tag_count).await
}

/// Sends the parts that `held` lacks, each with a slot of the pool.
///
/// If one fails, or the run is cancelled, the parts in flight still end.
pub(crate) async fn parts(
    cx: &Arc<Context>,
    source: &Source,
    layout: Layout,
    extra: Option<Crc>,
    upload: &Upload,
    mut held: Parts,
) -> Result<(Parts, Sent)> {
    let mut failed = None;
    let mut sent_bytes = Sent::new(cx);
    let mut running = FuturesUnordered::new();
    let missing: Vec<u32> = (1..=layout.parts()).filter(|number| !held.contains_key(number)).collect();
    for number in missing {
        let turn = cx.scheduler.enter(Lane::Parts, layout.part(number).len());
        tokio::pin!(turn);
        let slot = loop {
            tokio::select! {
                biased;
                slot = &mut turn => break slot,
                Some(sent) = running.next(), if !running.is_empty() => keep(&mut held, &mut failed, &mut sent_bytes, sent),
            }
        };
        match slot {
            Ok(slot) if failed.is_none() => {
                let job =
                    Job { cx: Arc::clone(cx), source: source.clone(), upload: upload.clone(), layout, number, extra };
                let control = cx.scheduler.control.clone();
                let sent = along(async move { control.unless_aborted(job.send(slot)).await.flatten() });
                running.push(cx.scheduler.env.spawn_task(sent).join());
            }
            Ok(_) => break,
            Err(error) => {
                failed.get_or_insert(error);
                break;
            }
        }
    }
    while let Some(sent) = running.next().await {
        keep(&mut held, &mut failed, &mut sent_bytes, sent);
    }
    match failed {
        None => Ok((held, sent_bytes)),
        Some(error) => {
            if error.kind() == ErrorKind::Cancelled {
                // The next run resumes with these parts.
                sent_bytes.done();
            }
            Err(error)
        }
    }
}

/// The bytes of parts that the progress counts as done, until the object is done. If it is not
/// done after all, because it failed or starts again, they are no longer counted.
#[must_use]
pub(crate) struct Sent {
    cx: Arc<Context>,
    bytes: u64,
}

impl Sent {
    fn new(cx: &Arc<Context>) -> Self {
        Self { cx: Arc::clone(cx), bytes: 0 }
    }

    /// The object is done.
    pub(crate) fn done(mut self) {
        self.bytes = 0;
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        self.cx.scheduler.counters.done_bytes.sub(self.bytes);
    }
}

type PartSent = Result<Result<(PartReceipt, PartDigest)>>;

fn keep(held: &mut Parts, failed: &mut Option<Error>, bytes: &mut Sent, sent: PartSent) {
    match sent.and_then(|sent| sent) {
        Ok((receipt, digest)) => {
            bytes.bytes += receipt.size;
            held.insert(receipt.number, (receipt, digest));
        }
        Err(error) => {
            failed.get_or_insert(error);
        }
    }
}

/// One part in flight.
struct Job {
    cx: Arc<Context>,
    source: Source,
    upload: Upload,
    layout: Layout,
    number: u32,
    extra: Option<Crc>,
}

impl Job {
    async fn send(self, slot: Slot) -> Result<(PartReceipt, PartDigest)> {
        let (cx, part) = (&self.cx, self.layout.part(self.number));
        let multipart = cx.destination.multipart()?;
        let (receipt, digest) = cx
            .destination
            .retry_in(&slot, true, || async {
                let piece = Piece::new(self.source.clone(), part.range.clone(), self.extra);
                let piece = Arc::new(piece);
                let body = Body::from_source(piece.len(), Arc::clone(&piece) as Arc<_>);
                let receipt = multipart.upload_part(&self.upload, part.clone(), body).await?;
                Ok((receipt, PartDigest::from(piece.digest()?)))
            })
            .await?;
        slot.done(part.len());
        cx.scheduler.counters.parts.add(1);
        cx.scheduler.counters.done_bytes.add(part.len());
        let (key, receipt_too, digest_too) = (self.source.key.clone(), receipt.clone(), digest.clone());
        cx.log.note(&Note::PartDone { key, receipt: receipt_too, digest: digest_too })?;
        Ok((receipt, digest))
    }
}
