//! One workload.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use lepton_core::{Error, ErrorKind, Result};
use rustix::process::Signal;

use super::context::Context;
use super::replica::Replica;
use super::rollout::{self, View};
use crate::process::state::{Record, Status, Workload, folder_names, remove, wipe_unused};
use crate::process::system::{Members, Scope};

/// A workload and its replicas.
#[derive(Debug)]
pub(super) struct Unit {
    name: String,
    folder: PathBuf,
    /// The content of the file that was read last. Times and inodes may be those of an older file.
    content: Option<Vec<u8>>,
    workload: Option<Workload>,
    /// In the order of their start; `None` until they have been adopted.
    replicas: Option<Vec<Replica>>,
    published: Option<Status>,
    /// The number of the next replica.
    next: u64,
    /// The generation of the workload that the replicas have been sent.
    generation: u64,
    /// The files of secrets that are needed, since the others were wiped.
    needed: Option<BTreeSet<PathBuf>>,
}

/// The progress of a workload after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// Everything is as it should be.
    Settled,
    /// Something remains to be done.
    Pending,
    /// The workload no longer exists.
    Gone,
}

impl Unit {
    pub(super) fn new(context: &Context, name: String) -> Self {
        let folder = context.state_dir.workload(&name);
        Self {
            name,
            folder,
            content: None,
            workload: None,
            replicas: None,
            published: None,
            next: 1,
            generation: 0,
            needed: None,
        }
    }

    /// The ports of its replicas.
    pub(super) fn ports(&self) -> impl Iterator<Item = u16> {
        self.replicas.iter().flatten().flat_map(|replica| replica.record.ports.values().copied())
    }

    /// One step. An error is published, and the step is tried again.
    pub(super) fn step(&mut self, context: &Context, taken: &BTreeSet<u16>) -> Progress {
        let found = self.try_step(context, taken);
        if found.as_ref().is_ok_and(|found| *found == Progress::Gone) {
            return Progress::Gone;
        }
        let problem = found.as_ref().err().map(Error::full_message);
        let replicas = self.replicas.iter().flatten().map(Replica::seen).collect();
        let generation = self.workload.as_ref().map_or(0, |workload| workload.generation);
        let status = Status { generation, replicas, problem };
        if self.published.as_ref() != Some(&status) && status.write(&self.folder).is_ok() {
            self.published = Some(status);
        }
        found.unwrap_or(Progress::Pending)
    }

    fn try_step(&mut self, context: &Context, taken: &BTreeSet<u16>) -> Result<Progress> {
        self.read(context)?;
        let Some(workload) = self.workload.clone() else { return Ok(Progress::Gone) };
        if self.replicas.is_none() {
            match self.adopt(context) {
                Err(_) if workload.deleted => {
                    // Its records cannot be read; the markers identify its processes.
                    self.members(context).signal(Signal::KILL);
                    self.replicas = Some(Vec::new());
                }
                adopted => adopted?,
            }
        }
        if self.generation != workload.generation {
            self.replicas.iter_mut().flatten().for_each(Replica::hurry);
            self.generation = workload.generation;
        }
        self.step_replicas(context, &workload, taken)?;
        if workload.deleted {
            return self.delete(context);
        }
        self.wipe_unused(context)?;
        self.roll_out(context, &workload)
    }

    /// Reads what is wanted, if that has changed.
    fn read(&mut self, context: &Context) -> Result<()> {
        let content = fs::read(Workload::path(&self.folder)).ok();
        if content.is_some() && content == self.content {
            return Ok(());
        }
        self.workload = Workload::read(&context.state_dir, &self.name)?;
        self.content = content;
        Ok(())
    }

    /// Finds the replicas of an earlier supervisor.
    fn adopt(&mut self, context: &Context) -> Result<()> {
        let above = context.state_dir.replicas(&self.name);
        let before = Status::read(&self.folder).ok().flatten().unwrap_or_default();
        self.generation = before.generation;
        let mut found = Vec::new();
        for id in folder_names(&above)? {
            context.beat.again();
            let folder = above.join(&id);
            let Some(record) = Record::read(&folder)? else {
                // Without a record no process was started.
                remove(&folder)?;
                continue;
            };
            let seen = before.replicas.iter().find(|seen| seen.id == id && seen.attempt == record.attempt);
            let ready = seen.is_some_and(|seen| seen.ready);
            found.push((number(&id), Replica::adopt(folder, record, Some(ready))));
        }
        found.sort_by_key(|(number, _)| *number);
        self.next = found.last().map_or(1, |(number, _)| number.saturating_add(1));
        self.replicas = Some(found.into_iter().map(|(_, replica)| replica).collect());
        Ok(())
    }

    fn step_replicas(&mut self, context: &Context, workload: &Workload, taken: &BTreeSet<u16>) -> Result<()> {
        let mut used: BTreeSet<u16> = taken.iter().copied().chain(self.ports()).collect();
        let Some(replicas) = &mut self.replicas else { return Ok(()) };
        let (mut gone, mut first) = (BTreeSet::new(), None);
        for replica in replicas.iter_mut() {
            for port in replica.record.ports.values() {
                used.remove(port);
            }
            context.beat.again();
            // An error of one replica does not keep the others waiting.
            match replica.step(context, &workload.owner, &used) {
                Ok(true) => {}
                Ok(false) => drop(gone.insert(replica.record.id.clone())),
                Err(error) => drop(first.get_or_insert(error.with_context("replica", &replica.record.id))),
            }
            used.extend(replica.record.ports.values());
        }
        replicas.retain(|replica| !gone.contains(&replica.record.id));
        first.map_or(Ok(()), Err)
    }

    /// Starts and stops what is next.
    fn roll_out(&mut self, context: &Context, workload: &Workload) -> Result<Progress> {
        let last = workload.last()?;
        let Some(replicas) = &mut self.replicas else { return Ok(Progress::Pending) };
        for replica in replicas.iter_mut().filter(|replica| replica.record.revision != last.id) {
            if replica.record.applied.runs_as(last) && !replica.is_terminating() {
                context.beat.again();
                replica.promote(context, last)?;
            }
        }
        let view = |replica: &Replica| View {
            current: replica.record.revision == last.id,
            ready: replica.is_ready(),
            terminating: replica.is_terminating(),
        };
        let views: Vec<_> = replicas.iter().map(view).collect();
        let step = rollout::next(workload.desired as usize, &last.spec.strategy, &views);
        for index in &step.stop {
            context.beat.again();
            replicas[*index].stop(context)?;
        }
        for _ in 0..step.start {
            let id = format!("{}-{:08x}", self.next, context.env.random() & 0xffff_ffff);
            self.next = self.next.saturating_add(1);
            let folder = context.state_dir.replicas(&self.name).join(&id);
            replicas.push(Replica::new(context, folder, id, last));
        }
        let as_wanted = views.iter().all(|view| view.current && view.ready) && step == rollout::Step::default();
        Ok(if as_wanted { Progress::Settled } else { Progress::Pending })
    }

    fn members(&self, context: &Context) -> Members {
        Members::find(Scope { state_id: &context.state_dir.id, workload: &self.name }, None, None)
    }

    /// Takes the next step of deleting the workload. Its folder is removed last, when no process is
    /// left.
    fn delete(&mut self, context: &Context) -> Result<Progress> {
        for replica in self.replicas.iter_mut().flatten() {
            context.beat.again();
            replica.stop(context)?;
        }
        if self.replicas.iter().flatten().next().is_some() {
            return Ok(Progress::Pending);
        }
        let left = self.members(context);
        if !left.is_empty() {
            left.signal(Signal::KILL);
            return Ok(Progress::Pending);
        }
        let Some(_lock) = context.state_dir.try_lock()? else { return Ok(Progress::Pending) };
        let workload = Workload::read(&context.state_dir, &self.name)?;
        if workload.as_ref().is_some_and(|workload| !workload.deleted) {
            return Err(Error::new(ErrorKind::Conflict, "the workload was made again while it was deleted"));
        }
        let revisions = workload.iter().flat_map(|workload| &workload.revisions);
        wipe_unused(revisions.filter_map(|applied| applied.secrets.as_ref()), &BTreeSet::new())?;
        let gone = context.state_dir.workloads().join(format!(".gone-{:016x}", context.env.random()));
        fs::rename(&self.folder, &gone)
            .map_err(|error| crate::process::state::failed("the workload cannot be removed", &self.folder, error))?;
        remove(&gone)?;
        Ok(Progress::Gone)
    }

    /// Wipes the secrets that no replica needs any more.
    fn wipe_unused(&mut self, context: &Context) -> Result<()> {
        let last = self.workload.iter().filter_map(|workload| workload.revisions.last());
        let running = self.replicas.iter().flatten().map(|replica| &replica.record.applied);
        let kept = last.chain(running).filter_map(|applied| applied.secrets.as_ref());
        let needed: BTreeSet<_> = kept.map(|kept| kept.file.clone()).collect();
        if self.needed.as_ref() == Some(&needed) {
            return Ok(());
        }
        // A later step tries again.
        let Some(_lock) = context.state_dir.try_lock()? else { return Ok(()) };
        let Some(workload) = Workload::read(&context.state_dir, &self.name)? else { return Ok(()) };
        if self.workload.as_ref() != Some(&workload) {
            // A driver may have written new values; the next step knows them.
            return Ok(());
        }
        wipe_unused(workload.revisions.iter().filter_map(|applied| applied.secrets.as_ref()), &needed)?;
        self.needed = Some(needed);
        Ok(())
    }
}

/// The number at the beginning of a replica's id.
fn number(id: &str) -> u64 {
    id.split_once('-').and_then(|(number, _)| number.parse().ok()).unwrap_or(0)
}
