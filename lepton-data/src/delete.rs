//! The end of a mirror: deleting what only the destination has.
//!
//! Nothing is deleted before both listings have ended cleanly and every copy has
//! its receipt, nor if it is more than allowed, nor if it changed since it was
//! listed.

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use lepton_core::journal::Replay;
use lepton_core::{DeleteRequest, EnvExt as _, Error, ErrorKind, HeadOptions, ObjectKey, ObjectMeta, Result, Support};
use tokio::sync::mpsc;

use crate::backup;
use crate::options::TransferSettings;
use crate::resume::extra_of;
use crate::retry::attempts;
use crate::run::{Run, ends_the_run};
use crate::settle::{Extras, Ledger};

/// An object that only the destination has, and where the source would have it.
type Extra = (ObjectKey, ObjectMeta);

/// Deletes all extras that the journal holds.
///
/// # Errors
/// `too_many_deletes`, before the first one; what ends a run.
pub(crate) async fn extras(run: &Arc<Run>, journal: PathBuf, ledger: &mut Ledger) -> Result<()> {
    let extras = ledger.extras();
    allowed(&run.options.settings, extras)?;
    // What is to be deleted, and that all else is done, is on disk before.
    run.log.commit().await?;
    let mut batches = batches(run, journal);
    let mut seen = 0;
    while let Some(batch) = batches.recv().await.transpose()? {
        run.control.go().await?;
        let earlier = usize::try_from(extras.earlier.saturating_sub(seen)).unwrap_or(usize::MAX).min(batch.len());
        seen += batch.len() as u64;
        for (key, result) in delete(run, batch, earlier).await? {
            match result {
                Ok(true) => run.counters.add(|c| &c.deleted_objects, 1),
                Ok(false) => {}
                Err(error) if ends_the_run(&error) || error.kind() == ErrorKind::Cancelled => return Err(error),
                Err(error) => ledger.not_deleted(key, &error),
            }
        }
    }
    Ok(())
}

/// Whether so much may be deleted.
fn allowed(settings: &TransferSettings, extras: Extras) -> Result<()> {
    let Extras { found, of, .. } = extras;
    let refuse = |limit: String| {
        let message = format!("{found} of the destination's {of} objects are not at the source; {limit}");
        Err(Error::new(ErrorKind::TooManyDeletes, message).with_operation("delete"))
    };
    if let Some(most) = settings.max_delete.filter(|most| found > *most) {
        return refuse(format!("max_delete allows {most} to be deleted, so none was"));
    }
    let percent = settings.max_delete_percent;
    if u128::from(found) * 100 > u128::from(of) * u128::from(percent) {
        return refuse(format!("max_delete_percent allows {percent} % to be deleted, so none was"));
    }
    Ok(())
}

/// The extras of the journal, in batches of what the store deletes at once.
fn batches(run: &Arc<Run>, journal: PathBuf) -> mpsc::Receiver<Result<Vec<Extra>>> {
    let (send, receive) = mpsc::channel(1);
    let size = run.target().delete_batch.clamp(1, 1000);
    drop(run.env.run_blocking(move || {
        let found = Replay::of(&journal).and_then(|replay| {
            let mut batch = Vec::new();
            for record in replay {
                batch.extend(extra_of(&record?)?);
                if batch.len() >= size && send.blocking_send(Ok(std::mem::take(&mut batch))).is_err() {
                    return Ok(());
                }
            }
            // The receiver is gone when the run has ended.
            let _ = send.blocking_send(Ok(batch));
            Ok(())
        });
        if let Err(error) = found {
            let _ = send.blocking_send(Err(error));
        }
    }));
    receive
}

type Deleted = Vec<(ObjectKey, Result<bool>)>;

/// Deletes a batch, each object only if it is still what was listed. The first
/// `earlier` were found by an earlier run: the source is asked whether it has them
/// now. Tells for each whether it was deleted.
async fn delete(run: &Run, batch: Vec<Extra>, earlier: usize) -> Result<Deleted> {
    let conditional = run.target().conditional_delete == Support::Native;
    let asked = stream::iter(batch.into_iter().enumerate()).map(|(index, (key, there))| async move {
        let verdict = still_extra(run, &key, &there, index < earlier, conditional).await;
        (there, verdict)
    });
    let asked: Vec<(ObjectMeta, Result<bool>)> = asked.buffered(run.options.settings.concurrency.get()).collect().await;
    let request =
        |there: &ObjectMeta| DeleteRequest::new(there.key.clone()).if_match(there.etag.clone().filter(|_| conditional));
    let requests: Vec<DeleteRequest> =
        asked.iter().filter(|(_, verdict)| matches!(verdict, Ok(true))).map(|(there, _)| request(there)).collect();
    let results = match requests.is_empty() {
        true => Vec::new(),
        // An object that is gone counts as deleted, so asking twice does no harm.
        false => attempts(run, true, || run.destination().delete(requests.clone())).await?,
    };
    let mut results = results.into_iter();
    let settle = |(there, verdict): (ObjectMeta, Result<bool>)| {
        let result = match verdict {
            Ok(true) => results.next().unwrap_or_else(|| Err(unanswered())).map(|()| true).map_err(changed),
            other => other,
        };
        (there.key, result)
    };
    Ok(asked.into_iter().map(settle).collect())
}

/// Whether an object is still one that only the destination has, and, where the
/// delete itself cannot ask, what was listed.
async fn still_extra(run: &Run, key: &ObjectKey, there: &ObjectMeta, ask: bool, conditional: bool) -> Result<bool> {
    if ask {
        match attempts(run, true, || run.source().head(key, HeadOptions::new())).await {
            Ok(_) => return Ok(false),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    // A backup is of what was listed, and of nothing that is gone.
    let backed_up = run.options.settings.backup_prefix.is_some();
    let asks_itself = conditional && there.etag.is_some() && !backed_up;
    if !asks_itself && !is_as_listed(run, there).await? {
        return Ok(false);
    }
    match backup::keep(run, there).await {
        // Somebody else has deleted it.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        kept => kept.map(|()| true),
    }
}

/// Whether the object is there as it was listed; `false` if it is gone.
async fn is_as_listed(run: &Run, there: &ObjectMeta) -> Result<bool> {
    match attempts(run, true, || run.destination().head(&there.key, HeadOptions::new())).await {
        Ok(now) if now.meta.etag == there.etag && now.meta.size == there.size => Ok(true),
        Ok(_) => Err(Error::new(ErrorKind::PreconditionFailed, CHANGED).with_context("key", &there.key)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deletes_are_capped_by_number_and_by_share() {
        let refused = |found, of, most, percent| {
            let mut settings = TransferSettings::default();
            (settings.max_delete, settings.max_delete_percent) = (most, percent);
            allowed(&settings, Extras { found, earlier: 0, of }).err().map(|error| error.to_string())
        };
        for (found, of, most, percent) in [
            (0, 0, None, 10),
            (10, 100, None, 10),
            (5, 5, None, 100),
            (3, 100, Some(3), 10),
            (u64::MAX, u64::MAX, None, 100),
        ] {
            assert_eq!(refused(found, of, most, percent), None);
        }
        assert!(refused(11, 100, None, 10).is_some_and(|said| said.contains("11 of the destination's 100")));
        assert!(refused(1, 1, None, 99).is_some());
        assert!(refused(1, 100, None, 0).is_some());
        assert!(refused(4, 100, Some(3), 10).is_some_and(|said| said.contains("max_delete allows 3")));
    }
}
