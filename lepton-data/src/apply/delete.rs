//! Deletes one batch: each object is checked, deleted, and retried until its outcome is
//! known.

use futures_util::{StreamExt as _, stream};
use lepton_core::{
    Decision, DeleteRequest, Effect, Error, ErrorKind, HeadOptions, ObjectKey, ObjectMeta, Result, Support, decide,
};

use crate::apply::backup;
use crate::apply::context::Context;
use crate::listing::key_versions;
use crate::schedule::lanes::Lane;
use crate::types::side::Side;

/// An object that only the destination has.
#[derive(Debug)]
pub(crate) struct Extraneous {
    /// Its sort key, as if the source had it.
    pub(crate) sort_key: ObjectKey,
    pub(crate) there: ObjectMeta,
    /// An earlier run found it, so the source may have it by now.
    pub(crate) earlier: bool,
    /// The response to a request to delete it was lost.
    pub(crate) maybe_gone: bool,
}

/// The key of an object, and whether it was deleted.
pub(crate) type Deleted = (ObjectKey, Result<bool>);

/// Deletes a batch, each object only if it is still as it was listed. After a transient
/// error, an object is checked again before the retry.
pub(crate) async fn delete(cx: &Context, batch: Vec<Extraneous>) -> Result<Vec<Deleted>> {
    let (mut open, mut done) = (batch, Vec::new());
    for attempt in 1.. {
        let last = attempt >= cx.scheduler.attempts;
        let (results, mut passing) = once(cx, open).await;
        if let Some(error) = passing.take_if(|error| last || !may_pass(error)) {
            return Err(error);
        }
        let unknown = passing.as_ref().is_some_and(|error| error.effect() == Effect::Unknown);
        open = Vec::new();
        for (mut extra, result) in results {
            match result {
                None => {
                    extra.maybe_gone |= unknown;
                    open.push(extra);
                }
                Some(Err(error)) if !last && may_pass(&error) => {
                    extra.maybe_gone |= error.effect() == Effect::Unknown;
                    open.push(extra);
                    passing = Some(error);
                }
                Some(Err(error)) if error.kind() == ErrorKind::PreconditionFailed && is_gone(cx, &extra).await => {
                    done.push((extra.there.key, Ok(extra.maybe_gone)));
                }
                Some(result) => done.push((extra.there.key, result)),
            }
        }
        let Some(error) = passing else { break };
        cx.scheduler.wait(attempt, &error).await?;
    }
    Ok(done)
}

/// Whether the error is transient. A delete is idempotent, because an object that is gone
/// counts as deleted.
fn may_pass(error: &Error) -> bool {
    matches!(decide(error, true), Decision::Again(_) | Decision::Refresh)
}

/// The result of checking an object.
enum Verdict {
    /// It is still there, and these requests delete it.
    Delete(Vec<DeleteRequest>),
    /// It is left alone, or it is gone; `deleted` if our request may have deleted it.
    Leave { deleted: bool },
}

/// Checks the objects and deletes those that are still there, once. If the request failed
/// as a whole, returns its error, and `None` for each object of the request.
async fn once(cx: &Context, batch: Vec<Extraneous>) -> (Vec<(Extraneous, Option<Result<bool>>)>, Option<Error>) {
    let asked = stream::iter(batch).map(|extra| async move {
        let verdict = ask(cx, &extra).await;
        (extra, verdict)
    });
    let asked: Vec<_> = asked.buffered(cx.scheduler.lanes.limit(Lane::Small)).collect().await;
    let requests = asked.iter().flat_map(|(_, verdict)| match verdict {
        Ok(Verdict::Delete(requests)) => requests.clone(),
        _ => Vec::new(),
    });
    let requests: Vec<DeleteRequest> = requests.collect();
    cx.scheduler.take_request().await;
    let begun = cx.scheduler.env.uptime();
    let (mut answers, failed) = match requests.is_empty() {
        true => (Vec::new().into_iter(), None),
        false => match cx.destination.storage().delete(requests).await {
            Ok(answers) => (answers.into_iter(), None),
            Err(error) => (Vec::new().into_iter(), Some(error)),
        },
    };
    let mut settle = |(extra, verdict)| {
        let result = match verdict {
            Ok(Verdict::Delete(_)) if failed.is_some() => None,
            Ok(Verdict::Delete(requests)) => Some(answered(&mut answers, requests.len()).map(|()| true)),
            Ok(Verdict::Leave { deleted }) => Some(Ok(deleted)),
            Err(error) => Some(Err(error)),
        };
        (extra, result)
    };
    let settled: Vec<(Extraneous, Option<Result<bool>>)> = asked.into_iter().map(&mut settle).collect();
    let refused = settled.iter().filter_map(|(_, result)| result.as_ref()?.as_ref().err());
    refused.chain(&failed).for_each(|error| cx.scheduler.throttled(Lane::Small, Side::Destination, begun, error));
    (settled, failed)
}

/// The store's answers to the next `requests` requests, which were for one object.
fn answered(answers: &mut impl Iterator<Item = Result<()>>, requests: usize) -> Result<()> {
    let all: Vec<Result<()>> = (0..requests).map(|_| answers.next().unwrap_or_else(|| Err(unanswered()))).collect();
    all.into_iter().collect::<Result<()>>().map_err(changed)
}

/// Checks that the source does not have the object, and, if the delete itself cannot be
/// conditional, that the object is as it was listed.
async fn ask(cx: &Context, extra: &Extraneous) -> Result<Verdict> {
    let Extraneous { sort_key, there, .. } = extra;
    if cx.is_a_name(&there.key) {
        return Ok(Verdict::Leave { deleted: false });
    }
    if extra.earlier {
        for source in cx.lister.mapping.sources(sort_key) {
            if cx.source.find(&source, HeadOptions::new()).await?.is_some() {
                return Ok(Verdict::Leave { deleted: false });
            }
        }
    }
    let settings = &cx.settings;
    let conditional = cx.destination.capabilities().conditional_delete == Support::Native;
    // A backup needs the object as it was listed. Versions are deleted by their IDs,
    // which is not conditional.
    let asks_itself =
        conditional && there.etag.is_some() && settings.backup_prefix.is_none() && !settings.delete_versions;
    // A missing object was deleted by our request without a response, or by another client.
    let gone = Verdict::Leave { deleted: extra.maybe_gone };
    if !asks_itself && !is_as_listed(cx, there).await? {
        return Ok(gone);
    }
    match backup::keep(cx, there).await {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(gone),
        kept => kept?,
    }
    let request = || DeleteRequest::new(there.key.clone());
    if settings.delete_versions && cx.destination.storage().versions().is_some() {
        // The oldest first. A version that is written from now on is not included.
        let versions = key_versions::listed(&cx.destination, &there.key).await?.into_iter().rev();
        let requests: Vec<DeleteRequest> = versions.map(|version| request().version(version.meta.version)).collect();
        // An object counts as deleted only if a request was sent for it.
        return Ok(if requests.is_empty() { gone } else { Verdict::Delete(requests) });
    }
    Ok(Verdict::Delete(vec![request().if_match(there.etag.clone().filter(|_| conditional))]))
}

/// Whether the condition on an object's tag failed because the object is gone: another
/// client deleted it, or an earlier run did and ended before the response. Some stores
/// report a failed condition for such an object.
async fn is_gone(cx: &Context, extra: &Extraneous) -> bool {
    matches!(cx.destination.find(&extra.there.key, HeadOptions::new()).await, Ok(None))
}

/// Whether the object is there as it was listed; `false` if it is gone.
async fn is_as_listed(cx: &Context, there: &ObjectMeta) -> Result<bool> {
    match cx.destination.find(&there.key, HeadOptions::new()).await? {
        Some(now) if now.meta.etag == there.etag && now.meta.size == there.size => Ok(true),
        Some(_) => Err(Error::new(ErrorKind::PreconditionFailed, CHANGED).with_context("key", &there.key)),
        None => Ok(false),
    }
}

const CHANGED: &str = "the object was written after it had been listed, so it was not deleted";

fn changed(error: Error) -> Error {
    if error.kind() == ErrorKind::PreconditionFailed {
        return Error::new(ErrorKind::PreconditionFailed, CHANGED).with_source(error);
    }
    error
}

fn unanswered() -> Error {
    Error::new(ErrorKind::Unexpected, "the store did not say whether it deleted the object")
}
