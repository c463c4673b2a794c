//! The end of a mirror: deletes extraneous objects, which only the destination has.
//!
//! Nothing is deleted before both listings have ended cleanly and every copy has
//! its receipt, except for what is in the way of a copy. Nothing is deleted if it is more
//! than allowed. An object that changed since it was listed is not deleted.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use lepton_core::journal::Replay;
use lepton_core::{Error, ErrorKind, ObjectKey, ObjectMeta, Result, RuntimeExt as _};

use crate::apply::delete;
use crate::apply::delete::Extraneous;
use crate::ledger::note::extraneous_of;
use crate::ledger::plan_file::PlanSummary;
use crate::settings::transfer::TransferConfig;
use crate::telemetry::observer::ObjectEnd;
use crate::transfer::builder::Transfer;
use crate::transfer::run::Run;
use crate::transfer::tracker::{Extras, Tracker};
use crate::types::side::ends_the_run;

/// Deletes those extraneous objects that the journal records and `takes` includes.
///
/// # Errors
/// `too_many_deletes`, before the first delete; errors that end a run.
pub(crate) async fn extras(
    run: &Arc<Run>,
    journal: PathBuf,
    ledger: &mut Tracker,
    takes: impl Fn(&ObjectKey) -> bool,
) -> Result<()> {
    let extras = ledger.extras();
    allowed(&run.options.settings, extras)?;
    // The objects to delete, and that all others are done, must be on disk first.
    run.context.log.commit().await?;
    let mut found = ExtraneousReader::open(run, journal).await?;
    let mut seen = 0;
    loop {
        let batch = found.next(run).await?;
        if batch.is_empty() {
            return Ok(());
        }
        run.scheduler.control.go().await?;
        let sizes: HashMap<_, _> = batch.iter().map(|(_, there)| (there.key.clone(), there.size)).collect();
        let ended = |key: &ObjectKey, end| {
            run.options.observer.ended(key, sizes.get(key).copied().unwrap_or_default(), end);
        };
        let earlier = |index| index < extras.earlier;
        let extra =
            |(index, (sort_key, there))| Extraneous { sort_key, there, earlier: earlier(index), maybe_gone: false };
        let read = batch.len() as u64;
        let batch: Vec<Extraneous> = (seen..).zip(batch).map(extra).filter(|extra| takes(&extra.there.key)).collect();
        seen += read;
        if batch.is_empty() {
            continue;
        }
        let deleted = run.scheduler.control.unless_aborted(delete::delete(&run.context, batch)).await.flatten()?;
        for (key, result) in deleted {
            match result {
                Ok(true) => {
                    run.scheduler.counters.deleted_objects.add(1);
                    run.scheduler.counters.metrics.ended("deleted");
                    ended(&key, ObjectEnd::Deleted);
                }
                Ok(false) => {}
                Err(error)
                    if ends_the_run(&error) || run.context.log.has_failed() || error.kind() == ErrorKind::Cancelled =>
                {
                    return Err(error);
                }
                Err(error) => {
                    ended(&key, ObjectEnd::Failed(error.full_message()));
                    ledger.not_deleted(key, &error);
                }
            }
        }
    }
}

impl Transfer {
    /// Why a run would delete nothing of what a plan of this transfer deletes, if it is more than
    /// the limits allow: `too_many_deletes`.
    pub fn refused_deletes(&self, plan: &PlanSummary) -> Option<Error> {
        let of = plan.deletes + plan.unchanged + plan.skipped + plan.replaced;
        allowed(&self.options.settings, Extras { found: plan.deletes, earlier: 0, of }).err()
    }
}

/// Checks the limits on deletes.
fn allowed(settings: &TransferConfig, extras: Extras) -> Result<()> {
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

/// Reads the extraneous objects that the journal records.
struct ExtraneousReader(Option<Replay>);

impl ExtraneousReader {
    async fn open(run: &Run, journal: PathBuf) -> Result<Self> {
        Ok(Self(Some(run.scheduler.env.run_blocking(move || Replay::of(&journal)).join().await??)))
    }

    /// The objects for the store's next batch delete; empty at the end.
    async fn next(&mut self, run: &Run) -> Result<Vec<(ObjectKey, ObjectMeta)>> {
        let Some(mut replay) = self.0.take() else { return Ok(Vec::new()) };
        let size = run.context.destination.capabilities().delete_batch.clamp(1, 1000);
        let reading = run.scheduler.env.run_blocking(move || {
            let found =
                replay.by_ref().filter_map(|record| record.and_then(|record| extraneous_of(&record)).transpose());
            (found.take(size).collect::<Result<Vec<_>>>(), replay)
        });
        let (batch, replay) = reading.join().await?;
        self.0 = Some(replay);
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deletes_are_capped_by_number_and_by_share() {
        let refused = |found, of, most, percent| {
            let mut settings = TransferConfig::default();
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
