//! How a replica ends: traffic, termination signal, kill.

use std::path::Path;

use lepton_core::Result;
use rustix::process::Signal;

use super::context::Context;
use crate::process::state::{Ended, Record, Stop};
use crate::process::system::{Identity, Members, Scope};

/// After a run of this length a replica is no longer one that ends soon.
const HEALTHY_MS: u64 = 10 * 60 * 1000;

/// The longest delay of a restart.
const LONGEST_DELAY_MS: u64 = 5 * 60 * 1000;

/// The scope of a replica's processes.
pub(super) fn scope<'a>(context: &'a Context, record: &'a Record) -> Scope<'a> {
    Scope { state_id: &context.state_dir.id, workload: &record.applied.spec.name }
}

/// Requests the end of a replica.
pub(super) fn request(context: &Context, record: &mut Record, remove: bool, why: Option<String>) {
    let since_ms = context.now_ms();
    match &mut record.stop {
        Some(stop) => stop.remove |= remove,
        None => record.stop = Some(Stop { remove, why, since_ms, signalled_ms: None }),
    }
}

/// Takes the next step towards the end of a replica whose process is alive.
pub(super) fn advance(context: &Context, folder: &Path, record: &mut Record, process: &Identity) -> Result<()> {
    let (now, spec) = (context.now_ms(), &record.applied.spec);
    let grace = u64::from(spec.termination_grace_period_seconds) * 1000;
    let before = u64::from(spec.pre_stop_seconds) * 1000;
    let Some(stop) = &record.stop else { return Ok(()) };
    let members = || Members::find(scope(context, record), Some(&record.id), Some(process));
    match stop.signalled_ms {
        // A replica that is restarted has no traffic to lose.
        None if stop.remove && now < stop.since_ms.saturating_add(before) => Ok(()),
        None => {
            members().signal(Signal::TERM);
            if let Some(stop) = &mut record.stop {
                stop.signalled_ms = Some(now);
            }
            record.write(folder)
        }
        Some(at) if now >= at.saturating_add(grace) => {
            members().signal(Signal::KILL);
            Ok(())
        }
        Some(_) => Ok(()),
    }
}

/// Ends what the first process of a replica has left behind; returns whether nothing is left.
pub(super) fn sweep(context: &Context, record: &Record) -> bool {
    let left = Members::find(scope(context, record), Some(&record.id), None);
    left.signal(Signal::KILL);
    left.is_empty()
}

/// Notes that the process of the last start has ended; `ran_ms` is for how long it ran.
/// `counted` is false for a start that was withdrawn.
pub(super) fn ended(context: &Context, record: &mut Record, ended: Ended, ran_ms: u64, counted: bool) {
    record.live = false;
    record.boot.clone_from(&context.boot);
    record.not_before_ms = 0;
    let stop = record.stop.take_if(|stop| !stop.remove);
    if record.stop.is_some() {
        return;
    }
    if !counted {
        return;
    }
    let what = match stop.and_then(|stop| stop.why) {
        Some(why) => format!("it was ended: {why}"),
        None => ended.what,
    };
    record.ended = Some(Ended { what, ..ended });
    record.restarts = record.restarts.saturating_add(1);
    if ran_ms >= HEALTHY_MS {
        record.failures = 0;
    }
    record.not_before_ms =
        context.now_ms().saturating_add(delay_ms(context.settings.restart_delay_ms, record.failures));
    record.failures = record.failures.saturating_add(1);
}

/// The delay of the restart after so many failures in a row: none at first, then doubled each
/// time.
fn delay_ms(base: u64, failures: u32) -> u64 {
    let Some(doublings) = failures.checked_sub(1) else { return 0 };
    base.saturating_mul(1u64.checked_shl(doublings).unwrap_or(u64::MAX)).min(LONGEST_DELAY_MS.max(base))
}

#[cfg(test)]
mod tests {
    use super::delay_ms;

    #[test]
    fn the_delay_doubles_up_to_five_minutes() {
        let delays: Vec<_> = (0..9).map(|failures| delay_ms(10_000, failures) / 1000).collect();
        assert_eq!(delays, [0, 10, 20, 40, 80, 160, 300, 300, 300]);
        assert_eq!(delay_ms(10_000, u32::MAX), 300_000);
    }
}
