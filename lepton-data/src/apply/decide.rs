//! Decides what to do with an object, from what the destination already has.

use std::borrow::Cow;

use lepton_core::{Error, ErrorKind, HeadOptions, ObjectMeta, Precondition, Result};

use crate::apply::commit::{ReadBack, read_back};
use crate::apply::context::Context;
use crate::compare::rules::Answer;
use crate::digest::reader::Source;
use crate::settings::transfer::ExistingPolicy;
use crate::types::entry::{DestinationState, Entry, Mode};
use crate::types::layout::Layout;
use crate::types::reason::{ComparedBy, Reason};

/// The decision about an entry.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Copy it, under this condition on the destination.
    Copy { reason: Reason, precondition: Precondition },
    /// The destination has the same object, on this basis.
    Unchanged(ComparedBy, Box<ObjectMeta>),
    /// Leave the destination as it is.
    Skip,
}

/// Decides about one entry. `maybe_ours` means that an earlier run may have written the
/// object at the destination: then its bytes are compared by digest, instead of assuming
/// that another client wrote it.
pub(crate) async fn decide(cx: &Context, entry: &Entry, layout: Layout, maybe_ours: bool) -> Result<Verdict> {
    let existing = cx.settings.existing;
    if let Mode::Planned(reason) = entry.mode {
        return as_planned(cx, entry, layout, reason, maybe_ours).await;
    }
    if existing == ExistingPolicy::Overwrite {
        let reason = if entry.there == DestinationState::Absent { Reason::New } else { Reason::Overwrite };
        return Ok(Verdict::Copy { reason, precondition: Precondition::None });
    }
    let Some(there) = there(cx, entry).await? else {
        return Ok(Verdict::Copy { reason: Reason::New, precondition: if_absent(cx, layout) });
    };
    let guards = matches!(existing, ExistingPolicy::Skip | ExistingPolicy::Fail | ExistingPolicy::Immutable);
    if guards && maybe_ours && is_ours(cx, entry).await? {
        return Ok(Verdict::Copy { reason: Reason::Overwrite, precondition: Precondition::None });
    }
    match existing {
        ExistingPolicy::Skip => return Ok(Verdict::Skip),
        ExistingPolicy::Fail => return Err(exists(entry, "the destination has an object of this key already")),
        _ => {}
    }
    match cx.comparer.compare(&entry.source, &there).await? {
        Answer::Same(basis) => Ok(Verdict::Unchanged(basis, Box::new(there.into_owned()))),
        Answer::Different(basis) if existing == ExistingPolicy::Immutable => {
            let reason = Reason::from(basis);
            Err(exists(entry, &format!("the destination has another object of this key, by {reason:?}")))
        }
        Answer::Different(_) if existing == ExistingPolicy::IfNewer && is_newer_there(cx, entry, &there) => {
            Ok(Verdict::Skip)
        }
        Answer::Different(basis) => {
            let precondition = if_unchanged(cx, layout, &there);
            Ok(Verdict::Copy { reason: basis.into(), precondition })
        }
    }
}

/// The object at the destination: as it was listed, else as it is now.
pub(crate) async fn there<'a>(cx: &Context, entry: &'a Entry) -> Result<Option<Cow<'a, ObjectMeta>>> {
    match &entry.there {
        DestinationState::Absent => Ok(None),
        DestinationState::Present(there) => Ok(Some(Cow::Borrowed(there))),
        DestinationState::Unknown => Ok(now(cx, entry).await?.map(Cow::Owned)),
    }
}

/// The object at the destination as it is now.
async fn now(cx: &Context, entry: &Entry) -> Result<Option<ObjectMeta>> {
    Ok(cx.destination.find(&entry.target, HeadOptions::new()).await?.map(|info| info.meta))
}

/// Requests the state of the destination, if it is unknown.
pub(crate) async fn look(cx: &Context, entry: &mut Entry) -> Result<()> {
    if entry.there == DestinationState::Unknown {
        entry.there =
            now(cx, entry).await?.map_or(DestinationState::Absent, |there| DestinationState::Present(Box::new(there)));
    }
    Ok(())
}

/// A copy that a saved plan asks for, under the condition that the destination is
/// as the plan saw it. If the store does not support the condition, it is checked here.
async fn as_planned(cx: &Context, entry: &Entry, layout: Layout, reason: Reason, maybe_ours: bool) -> Result<Verdict> {
    if maybe_ours && now(cx, entry).await?.is_some() && is_ours(cx, entry).await? {
        return Ok(Verdict::Copy { reason, precondition: Precondition::None });
    }
    let precondition = match &entry.there {
        DestinationState::Present(there) => if_unchanged(cx, layout, there),
        _ => if_absent(cx, layout),
    };
    if precondition == Precondition::None && !is_as_seen(cx, entry).await? {
        let message = "the destination is not as the plan saw it, so it was left";
        return Err(Error::new(ErrorKind::PreconditionFailed, message).with_context("key", &entry.target));
    }
    Ok(Verdict::Copy { reason, precondition })
}

/// Whether the destination still is as it was listed, for a store that cannot check that itself.
pub(crate) async fn is_as_seen(cx: &Context, entry: &Entry) -> Result<bool> {
    Ok(match (&entry.there, now(cx, entry).await?) {
        (DestinationState::Present(there), Some(now)) => there.etag == now.etag && there.size == now.size,
        (DestinationState::Present(_), None) => false,
        (_, now) => now.is_none(),
    })
}

fn exists(entry: &Entry, message: &str) -> Error {
    Error::new(ErrorKind::AlreadyExists, message.to_owned()).with_context("key", &entry.target)
}

fn is_newer_there(cx: &Context, entry: &Entry, there: &ObjectMeta) -> bool {
    match (there.last_modified, entry.source.last_modified) {
        (Some(there), Some(ours)) => cx.comparer.rules.is_newer(there, ours),
        _ => false,
    }
}

/// The condition that the object does not exist yet, if the store supports it.
pub(crate) fn if_absent(cx: &Context, layout: Layout) -> Precondition {
    let target = cx.destination.capabilities();
    let support = if layout.multipart { target.conditional_complete } else { target.put_if_absent };
    if support.is_available() { Precondition::IfAbsent } else { Precondition::None }
}

/// The condition that the replaced object is the one that was compared, if the store
/// supports it.
pub(crate) fn if_unchanged(cx: &Context, layout: Layout, there: &ObjectMeta) -> Precondition {
    let target = cx.destination.capabilities();
    let support = if layout.multipart { target.conditional_complete } else { target.put_if_match };
    match &there.etag {
        Some(etag) if support.is_available() => Precondition::IfMatch(etag.clone()),
        _ => Precondition::None,
    }
}

/// Whether the destination has exactly the source's bytes, so that writing them
/// again is harmless.
pub(crate) async fn is_ours(cx: &Context, entry: &Entry) -> Result<bool> {
    let source = Source::new(&cx.source, &entry.source);
    let digest = source.digest(None).await?;
    Ok(matches!(read_back(cx, entry, &digest, None).await?, ReadBack::Same(_)))
}
