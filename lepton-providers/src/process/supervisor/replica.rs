//! The state machine of one replica.
//!
//! Each step looks at what is there and does at most one thing. What cannot be found again is
//! in the record before it is done: a start before the process exists, an end before the signal.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Child;
use std::time::Duration;

use lepton_core::Result;

use super::context::{Context, millis};
use super::environment::Environment;
use super::launch::{self, Started};
use super::probes::{Probes, Verdict};
use super::reasons::{self, StartError};
use super::{ports, stopping};
use crate::process::state::{Applied, Ended, Record, Seen, remove, trim_output};
use crate::process::system::Identity;

/// The delay after which a start that could not be tried is tried again.
const AGAIN_MS: u64 = 1000;

/// A replica.
#[derive(Debug)]
pub(super) struct Replica {
    folder: PathBuf,
    pub(super) record: Record,
    /// The process of the last start, if this supervisor has started it.
    child: Option<Child>,
    process: Option<Identity>,
    /// When the program was seen to run.
    executed: Option<Duration>,
    probes: Probes,
    /// Whether it is ready.
    ready: bool,
    /// What an earlier supervisor saw, until the replica is seen to run.
    adopted: Option<bool>,
    /// Why the last start could not be tried.
    start_error: Option<StartError>,
}

/// What a look at the processes has shown.
enum Look {
    Launching,
    Running(Identity),
    Ended { what: Ended, counted: bool },
}

impl Replica {
    /// A new replica, which is not on the disk before its first start.
    pub(super) fn new(context: &Context, folder: PathBuf, id: String, applied: &Applied) -> Self {
        let record = Record {
            id,
            revision: applied.id.clone(),
            applied: applied.clone(),
            attempt: 0,
            live: false,
            ports: BTreeMap::new(),
            restarts: 0,
            failures: 0,
            boot: context.boot.clone(),
            not_before_ms: 0,
            stop: None,
            ended: None,
        };
        Self::adopt(folder, record, None)
    }

    /// A replica of an earlier supervisor; `ready` is what that one has published.
    pub(super) fn adopt(folder: PathBuf, record: Record, ready: Option<bool>) -> Self {
        Self {
            folder,
            record,
            child: None,
            process: None,
            executed: None,
            probes: Probes::default(),
            ready: ready == Some(true),
            adopted: ready,
            start_error: None,
        }
    }

    /// One step; `taken` are the ports of the other replicas. Returns whether it still exists.
    pub(super) fn step(&mut self, context: &Context, owner: &str, taken: &BTreeSet<u16>) -> Result<bool> {
        if !self.record.live {
            if self.record.stop.is_some() {
                remove(&self.folder)?;
                return Ok(false);
            }
            let waits = self.record.boot == context.boot && context.now_ms() < self.record.not_before_ms;
            if !waits {
                self.start(context, owner, taken)?;
            }
            return Ok(true);
        }
        match self.look()? {
            Look::Launching => {}
            Look::Running(process) if self.record.stop.is_some() => {
                self.ready = false;
                stopping::advance(context, &self.folder, &mut self.record, &process)?;
            }
            Look::Running(_) => self.watch(context, owner)?,
            Look::Ended { what, counted } => self.finish(context, what, counted)?,
        }
        Ok(true)
    }

    /// Requests its end. It is not started again.
    pub(super) fn stop(&mut self, context: &Context) -> Result<()> {
        if self.is_terminating() {
            return Ok(());
        }
        stopping::request(context, &mut self.record, true, None);
        self.ready = false;
        self.save(context)
    }

    /// Makes it one of a later revision that runs alike.
    pub(super) fn promote(&mut self, context: &Context, applied: &Applied) -> Result<()> {
        (self.record.revision, self.record.applied) = (applied.id.clone(), applied.clone());
        self.save(context)
    }

    /// Tries a start that waits at once, since something was changed for it.
    pub(super) fn hurry(&mut self) {
        if !self.record.live {
            self.start_error = None;
            self.record.not_before_ms = 0;
            self.record.ended.take_if(|ended| ended.cannot_start);
        }
    }

    fn save(&mut self, context: &Context) -> Result<()> {
        if self.record.boot != context.boot {
            // The time was one of another boot.
            self.record.not_before_ms = 0;
            self.record.boot.clone_from(&context.boot);
        }
        if self.record.attempt == 0 { Ok(()) } else { self.record.write(&self.folder) }
    }

    fn start(&mut self, context: &Context, owner: &str, taken: &BTreeSet<u16>) -> Result<()> {
        let mut next = self.record.clone();
        let prepared = ports::choose(&next.applied.spec, &next.ports, taken).and_then(|ports| {
            next.ports = ports;
            Environment::of(&context.state_dir, owner, &next)
        });
        let environment = match prepared {
            Ok(environment) => environment,
            Err(error) => {
                self.start_error = Some(StartError::new(&error));
                self.record.not_before_ms = context.now_ms().saturating_add(AGAIN_MS);
                return Ok(());
            }
        };
        next.attempt = next.attempt.saturating_add(1);
        (next.live, next.boot) = (true, context.boot.clone());
        crate::process::state::create_folder(&self.folder)?;
        next.write(&self.folder)?;
        self.record = next;
        (self.process, self.executed, self.adopted, self.start_error) = (None, None, None, None);
        match launch::start(&self.folder, &self.record, &environment) {
            Ok(child) => self.child = Some(child),
            // The next look finds no process, and takes the start back.
            Err(error) => self.start_error = Some(StartError::new(&error)),
        }
        Ok(())
    }

    /// Looks for the process of the last start.
    fn look(&mut self) -> Result<Look> {
        let attempt = self.record.attempt;
        let exit = match &mut self.child {
            Some(child) => child.try_wait().ok().flatten(),
            None => None,
        };
        let may_come = self.child.is_some() && exit.is_none() && self.record.stop.is_none();
        if self.process.is_none() {
            let started = match launch::claimed(&self.folder, attempt)? {
                Started::Unclaimed if may_come => return Ok(Look::Launching),
                Started::Unclaimed => launch::revoke(&self.folder, attempt)?,
                started => started,
            };
            if let Started::By(process) = started {
                self.process = Some(process);
            }
        }
        let Some(process) = &self.process else {
            let start_error = self.start_error.clone();
            let cannot_start = start_error.as_ref().is_some_and(|start_error| start_error.permanent);
            let what = start_error.map_or_else(|| "it was not started".into(), |start_error| start_error.message);
            let counted = self.child.is_some() || self.start_error.is_some();
            let what = exit.map_or(what, |exit| format!("its start ended with {exit}"));
            return Ok(Look::Ended { what: Ended { what, cannot_start }, counted });
        };
        let alive = if self.child.is_some() { exit.is_none() } else { process.is_alive() };
        if alive {
            return Ok(Look::Running(process.clone()));
        }
        let ended = match (launch::failure(&self.folder, attempt), exit) {
            (Some(failure), _) => Ended { what: failure.message, cannot_start: !failure.transient },
            (None, Some(exit)) => Ended { what: format!("it ended with {exit}"), cannot_start: false },
            (None, None) => Ended { what: "it ended while no supervisor ran".into(), cannot_start: false },
        };
        Ok(Look::Ended { what: ended, counted: true })
    }

    /// Checks a replica that runs.
    fn watch(&mut self, context: &Context, owner: &str) -> Result<()> {
        let now = context.env.uptime();
        let executed = match self.executed {
            Some(executed) => executed,
            None if launch::has_executed(&self.folder, self.record.attempt) => {
                self.probes = Probes::start(context, owner, &self.record, self.adopted)?;
                *self.executed.insert(now)
            }
            None => return Ok(()),
        };
        match self.probes.verdict(context, owner, &self.record)? {
            Verdict::Restart(why) => {
                self.ready = false;
                stopping::request(context, &mut self.record, false, Some(why));
                self.save(context)?;
            }
            Verdict::Ready(Some(ready)) => self.ready = ready,
            Verdict::Ready(None) => {
                let settled = now.saturating_sub(executed) >= context.settings.settle();
                self.ready = settled || self.adopted == Some(true);
            }
        }
        // Output that cannot be trimmed grows, but that does not affect the replica.
        let _ = trim_output(&self.folder, context.settings.output_limit);
        Ok(())
    }

    /// Notes its end, once none of its processes is left.
    fn finish(&mut self, context: &Context, what: Ended, counted: bool) -> Result<()> {
        self.ready = false;
        self.probes = Probes::default();
        let swept = stopping::sweep(context, &self.record);
        let reaped = self.child.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None)));
        if !(swept && reaped) {
            return Ok(());
        }
        let ran = self.executed.map_or(Duration::ZERO, |at| context.env.uptime().saturating_sub(at));
        stopping::ended(context, &mut self.record, what, millis(ran), counted);
        self.record.write(&self.folder)?;
        (self.child, self.process, self.executed, self.adopted) = (None, None, None, None);
        let attempt = self.record.attempt;
        remove(&Record::claim(&self.folder, attempt))?;
        remove(&Record::failure(&self.folder, attempt))
    }

    pub(super) fn is_terminating(&self) -> bool {
        self.record.stop.as_ref().is_some_and(|stop| stop.remove)
    }

    pub(super) fn is_ready(&self) -> bool {
        self.ready
    }

    /// The replica as drivers see it.
    pub(super) fn seen(&self) -> Seen {
        let reason = || reasons::reason(&self.record, &self.folder, self.start_error.as_ref(), self.probes.failure());
        Seen {
            id: self.record.id.clone(),
            revision: self.record.revision.clone(),
            attempt: self.record.attempt,
            process: self.process.clone().filter(|_| self.record.live),
            ready: self.ready,
            terminating: self.is_terminating(),
            restarts: self.record.restarts,
            ports: self.record.ports.clone(),
            reason: (!self.ready && !self.is_terminating()).then(reason),
        }
    }
}
