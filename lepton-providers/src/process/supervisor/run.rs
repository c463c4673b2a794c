//! The supervisor's loop.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;
use std::time::Duration;

use lepton_core::{Error, ErrorKind, Result, SharedEnv};
use rustix::fs::{FlockOperation, flock};

use super::context::Context;
use super::unit::{Progress, Unit};
use crate::process::state::{Beat, StateDir, remove, try_lock, write_json};
use crate::process::system::Identity;

/// The hidden argument of a supervisor.
pub(in crate::process) const SUPERVISE: &str = "lepton-supervise";

/// How long a supervisor that has just ended may hold its lock.
pub(in crate::process) const PATIENCE: Duration = Duration::from_secs(1);

/// The time between two steps while something is to come.
const MOVING: Duration = Duration::from_millis(20);

/// The time between two steps while everything is as it should be.
const SETTLED: Duration = Duration::from_millis(200);

/// Supervises the workloads of this state folder until it has had no workload for a while.
///
/// # Errors
/// `conflict` if another supervisor is at work; errors of the system.
pub(in crate::process) async fn run(env: SharedEnv, folder: &Path) -> Result<()> {
    let (state_dir, settings) = StateDir::open(folder)?;
    let lock = take_lock(&env, &state_dir).await?;
    let own = Identity::own().map_err(|error| Error::io("the supervisor cannot be identified", error))?;
    let context =
        Context::new(env, state_dir, settings).map_err(|error| Error::io("the boot cannot be identified", error))?;
    let beat = Beat::first(&context.state_dir)?;
    let file = context.state_dir.supervisor_file();
    write_json(&file, &own, false)?;
    let done = supervise(&context, &lock, beat).await;
    if done.is_err() {
        // This process may live on, but it supervises no more.
        let _ = remove(&file);
    }
    done
}

async fn supervise(context: &Context, lock: &File, mut beat: Beat) -> Result<()> {
    sweep(&context.state_dir)?;
    let mut units = BTreeMap::new();
    let mut busy = context.env.uptime();
    while context.state_dir.exists() {
        let found = step(context, &mut units, &mut beat);
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

/// Removes what killed processes have left of workloads that they made or removed. A driver that
/// is just making one has the lock.
fn sweep(state_dir: &StateDir) -> Result<()> {
    let _state = state_dir.lock()?;
    state_dir.leftovers()?.iter().try_for_each(|left| remove(left))
}

async fn take_lock(env: &SharedEnv, state_dir: &StateDir) -> Result<File> {
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

/// One step of each workload; says whether everything is as it should be.
fn step(context: &Context, units: &mut BTreeMap<String, Unit>, beat: &mut Beat) -> bool {
    beat.again();
    let Ok(names) = context.state_dir.names() else { return true };
    for name in names {
        units.entry(name.clone()).or_insert_with(|| Unit::new(context, name));
    }
    let mut settled = true;
    for name in units.keys().cloned().collect::<Vec<_>>() {
        let others = units.iter().filter(|(other, _)| **other != name).flat_map(|(_, unit)| unit.ports());
        let taken: BTreeSet<u16> = others.collect();
        let Some(unit) = units.get_mut(&name) else { continue };
        beat.again();
        match unit.step(context, &taken) {
            Progress::Settled => {}
            Progress::Pending => settled = false,
            Progress::Gone => drop(units.remove(&name)),
        }
    }
    settled
}

/// Gives up the lock, unless a workload has come meanwhile. A driver that makes one afterwards
/// finds no supervisor, and starts another.
fn leave(context: &Context, lock: &File) -> Result<bool> {
    let _state = context.state_dir.lock()?;
    if !context.state_dir.names()?.is_empty() {
        return Ok(false);
    }
    remove(&context.state_dir.supervisor_file())?;
    flock(lock, FlockOperation::Unlock).map_err(|errno| Error::io("the lock cannot be given up", errno.into()))?;
    Ok(true)
}
