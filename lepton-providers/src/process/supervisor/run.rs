//! The supervisor's loop.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;
use std::time::Duration;

use lepton_core::{Error, ErrorKind, Result, SharedRuntime};
use rustix::fs::{FlockOperation, flock};

use super::context::Context;
use super::unit::{Progress, Unit};
use crate::process::state::{StateDir, remove, try_lock, write_json};
use crate::process::system::Identity;

/// The hidden argument of a supervisor.
pub(in crate::process) const SUPERVISE: &str = "lepton-supervise";

/// How long a supervisor that has just ended may hold its lock.
pub(in crate::process) const PATIENCE: Duration = Duration::from_secs(1);

/// The time between two steps while something remains to be done.
const MOVING: Duration = Duration::from_millis(20);

/// The time between two steps while everything is as it should be.
const SETTLED: Duration = Duration::from_millis(200);

/// Supervises the workloads of this state folder until it has had no workload for a while.
///
/// # Errors
/// `conflict` if another supervisor is at work; errors of the system.
pub(in crate::process) async fn run(env: SharedRuntime, folder: &Path) -> Result<()> {
    let (state_dir, settings) = StateDir::open(folder)?;
    let lock = take_lock(&env, &state_dir).await?;
    let own = Identity::own().map_err(|error| Error::io("the supervisor cannot be identified", error))?;
    let context = Context::new(env, state_dir, settings)?;
    let file = context.state_dir.supervisor_file();
    write_json(&file, &own, false)?;
    let done = supervise(&context, &lock).await;
    if done.is_err() {
        // This process may live on, but it supervises no more.
        let _ = remove(&file);
    }
    done
}

async fn supervise(context: &Context, lock: &File) -> Result<()> {
    let (mut units, mut swept) = (BTreeMap::new(), false);
    let mut busy = context.env.uptime();
    while context.state_dir.exists() {
        swept = swept || sweep(&context.state_dir)?;
        let found = step(context, &mut units);
        if !units.is_empty() {
            busy = context.env.uptime();
        }
        let idle = context.env.uptime().saturating_sub(busy);
        if idle >= context.settings.idle() && leave(context, lock)? {
            break;
        }
        context.env.sleep(if found { SETTLED } else { MOVING }).await;
    }
    Ok(())
}

/// Removes what killed processes have left of workloads that they made or removed. While another
/// process has the lock, such as a driver that is making a workload, it returns `false` and is to
/// be tried again.
fn sweep(state_dir: &StateDir) -> Result<bool> {
    let Some(_state) = state_dir.try_lock()? else { return Ok(false) };
    state_dir.leftovers()?.iter().try_for_each(|left| remove(left))?;
    Ok(true)
}

async fn take_lock(env: &SharedRuntime, state_dir: &StateDir) -> Result<File> {
    let start = env.uptime();
    loop {
        if let Some(lock) = try_lock(&state_dir.supervisor_lock())? {
            return Ok(lock);
        }
        if env.uptime().saturating_sub(start) >= PATIENCE {
            return Err(Error::new(ErrorKind::Conflict, "another supervisor is at work in this folder")
                .with_context("path", state_dir.root().display()));
        }
        env.sleep(MOVING).await;
    }
}

/// One step of each workload; returns whether everything is as it should be.
fn step(context: &Context, units: &mut BTreeMap<String, Unit>) -> bool {
    context.beat.again();
    let Ok(names) = context.state_dir.names() else { return true };
    for name in names {
        units.entry(name.clone()).or_insert_with(|| Unit::new(context, name));
    }
    let mut settled = true;
    for name in units.keys().cloned().collect::<Vec<_>>() {
        let others = units.iter().filter(|(other, _)| **other != name).flat_map(|(_, unit)| unit.ports());
        let taken: BTreeSet<u16> = others.collect();
        let Some(unit) = units.get_mut(&name) else { continue };
        context.beat.again();
        match unit.step(context, &taken) {
            Progress::Settled => {}
            Progress::Pending => settled = false,
            Progress::Gone => drop(units.remove(&name)),
        }
    }
    settled
}

/// Releases the lock of the supervisor, unless there is a new workload or another process has the
/// lock of the state, which may be creating one. A driver that creates one afterwards finds no
/// supervisor, and starts another.
fn leave(context: &Context, lock: &File) -> Result<bool> {
    let Some(_state) = context.state_dir.try_lock()? else { return Ok(false) };
    if !context.state_dir.names()?.is_empty() {
        return Ok(false);
    }
    remove(&context.state_dir.supervisor_file())?;
    flock(lock, FlockOperation::Unlock).map_err(|errno| Error::io("the lock cannot be released", errno.into()))?;
    Ok(true)
}
