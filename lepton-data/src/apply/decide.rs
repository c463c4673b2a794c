//! What the destination holds already, and what follows from it.

use std::borrow::Cow;

use lepton_core::{Error, ErrorKind, HeadOptions, ObjectMeta, Precondition, Result};

use crate::apply::commit::{Found, read_back};
use crate::compare::objects::compare;
use crate::compare::rules::Answer;
use crate::digest::reader;
use crate::digest::reader::Source;
use crate::schedule::retry::attempts;
use crate::settings::transfer::Existing;
use crate::transfer::run::Run;
use crate::types::entry::{Entry, Layout, There};
use crate::types::reason::{Basis, Reason};

/// What is to be done with an entry.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Copy it, under this condition on the destination.
    Copy { reason: Reason, precondition: Precondition },
    /// The destination has the same, as far as was compared.
    Unchanged(Basis, Box<ObjectMeta>),
    /// Leave the destination as it is.
    Skip,
}

/// Decides about one entry. `maybe_ours` says that an earlier run may have
/// written it: then what is there is compared, byte for byte by digest, instead
/// of being taken for somebody else's.
pub(crate) async fn decide(run: &Run, entry: &Entry, layout: Layout, maybe_ours: bool) -> Result<Verdict> {
    let existing = run.options.settings.existing;
    if let Some(reason) = entry.planned {
        return as_planned(run, entry, layout, reason, maybe_ours).await;
    }
    if existing == Existing::Overwrite {
        let reason = if entry.there == There::Absent { Reason::New } else { Reason::Overwrite };
        return Ok(Verdict::Copy { reason, precondition: Precondition::None });
    }
    let Some(there) = there(run, entry).await? else {
        return Ok(Verdict::Copy { reason: Reason::New, precondition: if_absent(run, layout) });
    };
    let guards = matches!(existing, Existing::Skip | Existing::Fail | Existing::Immutable);
    if guards && maybe_ours && is_ours(run, entry).await? {
        return Ok(Verdict::Copy { reason: Reason::Overwrite, precondition: Precondition::None });
    }
    match existing {
        Existing::Skip => return Ok(Verdict::Skip),
        Existing::Fail => return Err(exists(entry, "the destination has an object of this key already")),
        _ => {}
    }
    match compare(run, entry, &there).await? {
        Answer::Same(basis) => Ok(Verdict::Unchanged(basis, Box::new(there.into_owned()))),
        Answer::Different(basis) if existing == Existing::Immutable => {
            let reason = Reason::from(basis);
            Err(exists(entry, &format!("the destination has another object of this key, by {reason:?}")))
        }
        Answer::Different(_) if existing == Existing::IfNewer && is_newer_there(run, entry, &there) => {
            Ok(Verdict::Skip)
        }
        Answer::Different(basis) => {
            let precondition = if_unchanged(run, layout, &there);
            Ok(Verdict::Copy { reason: basis.into(), precondition })
        }
    }
}

/// What the destination has of the name: as it was listed, else as it says now.
pub(crate) async fn there<'a>(run: &Run, entry: &'a Entry) -> Result<Option<Cow<'a, ObjectMeta>>> {
    match &entry.there {
        There::Absent => Ok(None),
        There::Present(there) => Ok(Some(Cow::Borrowed(there))),
        There::Unknown => Ok(now(run, entry).await?.map(Cow::Owned)),
    }
}

/// What the destination says now.
async fn now(run: &Run, entry: &Entry) -> Result<Option<ObjectMeta>> {
    match attempts(run, true, || run.destination().head(&entry.target, HeadOptions::new())).await {
        Ok(info) => Ok(Some(info.meta)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Asks what the destination has, if nobody has looked yet.
pub(crate) async fn look(run: &Run, entry: &mut Entry) -> Result<()> {
    if entry.there == There::Unknown {
        entry.there = now(run, entry).await?.map_or(There::Absent, |there| There::Present(Box::new(there)));
    }
    Ok(())
}

/// A copy that a saved plan asks for, under the condition that the destination is
/// as the plan saw it. Where the store cannot take the condition it is asked.
async fn as_planned(run: &Run, entry: &Entry, layout: Layout, reason: Reason, maybe_ours: bool) -> Result<Verdict> {
    if maybe_ours && now(run, entry).await?.is_some() && is_ours(run, entry).await? {
        return Ok(Verdict::Copy { reason, precondition: Precondition::None });
    }
    let precondition = match &entry.there {
        There::Present(there) => if_unchanged(run, layout, there),
        _ => if_absent(run, layout),
    };
    if precondition == Precondition::None {
        let same = match (&entry.there, now(run, entry).await?) {
            (There::Present(there), Some(now)) => there.etag == now.etag && there.size == now.size,
            (There::Present(_), None) => false,
            (_, now) => now.is_none(),
        };
        if !same {
            let message = "the destination is not as the plan saw it, so it was left";
            return Err(Error::new(ErrorKind::PreconditionFailed, message).with_context("key", &entry.target));
        }
    }
    Ok(Verdict::Copy { reason, precondition })
}

fn exists(entry: &Entry, message: &str) -> Error {
    Error::new(ErrorKind::AlreadyExists, message.to_owned()).with_context("key", &entry.target)
}

fn is_newer_there(run: &Run, entry: &Entry, there: &ObjectMeta) -> bool {
    match (there.last_modified, entry.source.last_modified) {
        (Some(there), Some(ours)) => run.rules.is_newer(there, ours),
        _ => false,
    }
}

/// The condition that nobody writes the object in between, where it can be had.
pub(crate) fn if_absent(run: &Run, layout: Layout) -> Precondition {
    let target = run.target();
    let support = if layout.multipart { target.conditional_complete } else { target.put_if_absent };
    if support.is_available() { Precondition::IfAbsent } else { Precondition::None }
}

/// The condition that what is replaced is what was compared, where it can be had.
pub(crate) fn if_unchanged(run: &Run, layout: Layout, there: &ObjectMeta) -> Precondition {
    let target = run.target();
    let support = if layout.multipart { target.conditional_complete } else { target.put_if_match };
    match &there.etag {
        Some(etag) if support.is_available() => Precondition::IfMatch(etag.clone()),
        _ => Precondition::None,
    }
}

/// Whether the destination has exactly the source's bytes, so that writing them
/// again does no harm.
pub(crate) async fn is_ours(run: &Run, entry: &Entry) -> Result<bool> {
    let source = Source::new(run.source(), &entry.source);
    let digest = reader::digest(run, &source, None).await?;
    Ok(matches!(read_back(run, entry, &digest, None).await?, Found::Same(_)))
}
