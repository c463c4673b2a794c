//! What is there.

use std::time::{Duration, UNIX_EPOCH};

use lepton_core::deployment::{Endpoint, Observation, Reason, ReasonKind, Revision};
use lepton_core::{Error, Result};

use super::apply::read;
use super::shared::{Driver, absent};
use super::summon::Supervision;
use crate::process::state::{Seen, Status, StatusReason};
use crate::process::system::Identity;

/// The state of a workload, from what is wanted, what the supervisor has published, and
/// whether the processes live.
pub(super) fn observe(driver: &Driver, name: &str) -> Result<Option<Observation>> {
    let Some(workload) = read(driver, name)? else { return Ok(None) };
    // Without a supervisor nothing progresses, not even the end of a workload.
    let supervision = driver.summoner.ensure(&driver.state_dir, driver.env.uptime());
    // It is derived from the rest: a damaged one is ignored until it is written again.
    let status = Status::read(&driver.state_dir.workload(name)).ok().flatten().unwrap_or_default();
    let last = workload.last()?;
    let mut seen = Observation::new(last.id.clone(), if workload.deleted { 0 } else { workload.desired });
    for replica in &status.replicas {
        add(&mut seen, replica);
    }
    let behind = status.generation != workload.generation;
    if behind {
        // They may be about what has been changed since.
        seen.reasons.clear();
    }
    // A workload whose supervisor is silent is not supervised, although it may be ready.
    let silent = matches!(supervision, Ok(Supervision::Silent(_)));
    if silent || !seen.is_ready() || workload.deleted {
        let progress = format!("{} of {} replicas are ready", seen.ready, seen.desired);
        seen.reasons.extend(supervised(supervision));
        // What keeps it from being worked on may be repaired.
        seen.reasons
            .extend(status.problem.filter(|_| !behind).map(|problem| Reason::new(ReasonKind::CannotStart, problem)));
        if seen.reasons.is_empty() {
            seen.reasons.push(Reason::new(ReasonKind::Progressing, progress));
        }
    }
    Ok(Some(seen))
}

fn add(seen: &mut Observation, replica: &Seen) {
    let updated = replica.revision == seen.revision;
    let ready = replica.ready && !replica.terminating && replica.process.as_ref().is_some_and(Identity::is_alive);
    seen.updated += u32::from(updated);
    seen.outdated += u32::from(!updated);
    seen.ready += u32::from(updated && ready);
    if updated {
        seen.restarts = seen.restarts.saturating_add(replica.restarts);
        seen.reasons.extend(replica.reason.as_ref().map(StatusReason::reason));
    }
    for (port, number) in &replica.ports {
        let mut endpoint = Endpoint::new(&replica.id, port, format!("127.0.0.1:{number}"));
        (endpoint.ready, endpoint.terminating) = (ready, replica.terminating);
        seen.endpoints.push(endpoint);
    }
}

/// The reason that the supervisor adds.
fn supervised(supervision: Result<Supervision>) -> Option<Reason> {
    match supervision {
        Ok(Supervision::Runs) => None,
        Ok(Supervision::Starting) => Some(Reason::new(ReasonKind::Progressing, "a supervisor is being started")),
        Ok(Supervision::Silent(why)) => Some(Reason::new(ReasonKind::Progressing, why)),
        Ok(Supervision::Fails(why)) => Some(Reason::new(ReasonKind::CannotStart, why).terminal()),
        Err(error) => Some(Reason::new(ReasonKind::CannotStart, Error::full_message(&error)).terminal()),
    }
}

pub(super) fn revisions(driver: &Driver, name: &str) -> Result<Vec<Revision>> {
    let workload = read(driver, name)?.ok_or_else(|| absent(name))?;
    let revisions = workload.revisions.iter().rev().map(|applied| {
        let time = UNIX_EPOCH.checked_add(Duration::from_millis(applied.applied_ms)).unwrap_or(UNIX_EPOCH);
        Revision::new(applied.id.clone(), applied.spec.clone(), time)
    });
    Ok(revisions.collect())
}

pub(super) fn find(driver: &Driver, owner: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for name in driver.state_dir.names()? {
        if read(driver, &name)?.is_some_and(|workload| workload.owner == owner) {
            found.push(name);
        }
    }
    Ok(found)
}
