//! The end of a mirror: deleting what only the destination has.
//!
//! Nothing is deleted before both listings have ended cleanly and every copy has
//! its receipt, nor if it is more than allowed, nor if it changed since it was
//! listed.

use std::path::PathBuf;
use std::sync::Arc;

use lepton_core::journal::Replay;
use lepton_core::{EnvExt as _, Error, ErrorKind, ObjectKey, ObjectMeta, Result};
use tokio::sync::mpsc;

use crate::batch::{self, Extra};
use crate::options::TransferSettings;
use crate::resume::extra_of;
use crate::run::{Run, ends_the_run};
use crate::settle::{Extras, Ledger};

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
        let found = (seen..).zip(batch);
        let batch: Vec<Extra> = found
            .map(|(index, (key, there))| Extra { key, there, earlier: index < extras.earlier, maybe_gone: false })
            .collect();
        seen += batch.len() as u64;
        for (key, result) in batch::delete(run, batch).await? {
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
fn batches(run: &Arc<Run>, journal: PathBuf) -> mpsc::Receiver<Result<Vec<(ObjectKey, ObjectMeta)>>> {
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
