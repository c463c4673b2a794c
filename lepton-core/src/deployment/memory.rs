//! The reference: a deployment that exists only in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};

use super::contract::{Deployment, DeploymentCapabilities, LogLine, LogRequest, LogStream, OperationKey};
use super::observation::{Endpoint, Observation, Reason, ReasonKind, Revision, RevisionId};
use super::plan::{Change, DeploymentPlan, Finding, Severity};
use super::secret::Secrets;
use super::spec::WorkloadSpec;
use crate::{Error, ErrorKind, Result, SharedRuntime};

/// A deployment in memory, for tests and as the reference of the contract. Each call of
/// [`observe`](Deployment::observe) moves it one step: a replica starts, then it is ready, then
/// an old one ends. A program named `false`
/// never becomes ready. A log that is followed ends after the lines that are there.
#[derive(Debug, Clone)]
pub struct MemoryDeployment {
    env: SharedRuntime,
    capabilities: DeploymentCapabilities,
    state: Arc<Mutex<BTreeMap<String, Workload>>>,
}

#[derive(Debug)]
struct Workload {
    owner: String,
    revisions: Vec<Applied>,
    keys: Vec<UsedKey>,
    desired: u32,
    replicas: Vec<Replica>,
    started: u64,
    log: Vec<LogLine>,
    deleted: bool,
}

#[derive(Debug)]
struct Applied {
    revision: Revision,
    secrets: String,
}

/// A key with the spec that it stands for and the revision that it returned.
#[derive(Debug)]
struct UsedKey {
    key: OperationKey,
    spec: WorkloadSpec,
    revision: RevisionId,
}

#[derive(Debug)]
struct Replica {
    id: String,
    revision: RevisionId,
    ready: bool,
    terminating: bool,
}

/// Secrets are compared within this process only.
const SECRETS_KEY: &[u8] = b"memory";

impl MemoryDeployment {
    /// A deployment without workloads.
    pub fn new(env: SharedRuntime) -> Self {
        let mut capabilities = DeploymentCapabilities::new();
        (capabilities.images, capabilities.commands, capabilities.rolling_update) = (true, true, true);
        (capabilities.volumes, capabilities.resources, capabilities.revisions) = (true, true, usize::MAX);
        Self { env, capabilities, state: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, BTreeMap<String, Workload>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Workload {
    fn new(owner: &str) -> Self {
        Self {
            owner: owner.to_owned(),
            revisions: Vec::new(),
            keys: Vec::new(),
            desired: 0,
            replicas: Vec::new(),
            started: 0,
            log: Vec::new(),
            deleted: false,
        }
    }

    fn last(&self) -> Option<&Applied> {
        self.revisions.last()
    }

    fn plan(&self, spec: &WorkloadSpec, secrets: &str) -> DeploymentPlan {
        // A scaled workload differs from what was applied.
        let applied = self.last().map(|last| WorkloadSpec { replicas: self.desired, ..last.revision.spec.clone() });
        let changed = self.last().is_some_and(|last| last.secrets != secrets);
        DeploymentPlan::compare(applied.as_ref(), spec, changed)
    }

    /// The revision that this key has returned before.
    fn used(&self, spec: &WorkloadSpec, key: &OperationKey) -> Result<Option<RevisionId>> {
        let conflict = |message| Err(Error::new(ErrorKind::Conflict, message));
        if self.owner != key.owner {
            return conflict(format!("the workload {} belongs to {}", spec.name, self.owner));
        }
        if self.deleted {
            return conflict(format!("the workload {} is being deleted", spec.name));
        }
        match self.keys.iter().find(|used| used.key == *key) {
            Some(used) if used.spec != *spec => {
                conflict(format!("the key {} was used with another spec of {}", key.key, spec.name))
            }
            used => Ok(used.map(|used| used.revision.clone())),
        }
    }

    /// One step towards what is wanted.
    fn step(&mut self) {
        let Some(last) = self.last() else { return };
        let (revision, broken) = (last.revision.id.clone(), starts_never(&last.revision.spec));
        if self.deleted {
            self.replicas.pop();
            return;
        }
        if let Some(replica) = self.replicas.iter_mut().find(|replica| replica.terminating) {
            let id = replica.id.clone();
            self.replicas.retain(|replica| replica.id != id);
            return;
        }
        let current = |replica: &&mut Replica| replica.revision == revision;
        if let Some(replica) = self.replicas.iter_mut().filter(current).find(|replica| !replica.ready && !broken) {
            replica.ready = true;
            return;
        }
        let updated = self.replicas.iter().filter(|replica| replica.revision == revision).count();
        let (desired, running) = (self.desired as usize, self.replicas.len());
        let outdated = self.replicas.iter_mut().find(|replica| replica.revision != revision);
        match outdated {
            Some(replica) if running > desired => replica.terminating = true,
            _ if updated < desired => self.start(&revision),
            Some(replica) => replica.terminating = true,
            None if updated > desired => self.replicas.last_mut().into_iter().for_each(|last| last.terminating = true),
            None => {}
        }
    }

    fn start(&mut self, revision: &RevisionId) {
        self.started += 1;
        let id = self.started.to_string();
        self.log.push(LogLine::new(&id, None, format!("revision {revision} starts")));
        self.replicas.push(Replica { id, revision: revision.clone(), ready: false, terminating: false });
    }

    fn observation(&self) -> Option<Observation> {
        let last = self.last()?;
        let mut seen = Observation::new(last.revision.id.clone(), if self.deleted { 0 } else { self.desired });
        for replica in &self.replicas {
            let updated = replica.revision == seen.revision;
            seen.updated += u32::from(updated);
            seen.outdated += u32::from(!updated);
            seen.ready += u32::from(updated && replica.ready && !replica.terminating);
            for port in &last.revision.spec.ports {
                let mut endpoint = Endpoint::new(&replica.id, &port.name, format!("memory:{}", replica.id));
                endpoint.ready = replica.ready && !replica.terminating;
                endpoint.terminating = replica.terminating;
                seen.endpoints.push(endpoint);
            }
        }
        if !seen.is_ready() {
            let reason = if starts_never(&last.revision.spec) {
                Reason::new(ReasonKind::CrashLoop, "the program ends at once").terminal()
            } else {
                Reason::new(ReasonKind::Progressing, format!("{} of {} replicas are ready", seen.ready, seen.desired))
            };
            seen.reasons.push(reason);
        }
        Some(seen)
    }
}

fn starts_never(spec: &WorkloadSpec) -> bool {
    spec.command.first().is_some_and(|program| program.rsplit('/').next() == Some("false"))
}

fn absent(name: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no workload {name}")).with_context("workload", name)
}

#[async_trait]
impl Deployment for MemoryDeployment {
    fn capabilities(&self) -> &DeploymentCapabilities {
        &self.capabilities
    }

    fn url(&self) -> &'static str {
        "memory:"
    }

    async fn preflight(&self, spec: &WorkloadSpec) -> Result<Vec<Finding>> {
        let wrong = spec.check().err().map(|error| {
            Finding::new(Severity::Error, &spec.name, error.to_string(), "correct the field that the message names")
        });
        Ok(wrong.into_iter().collect())
    }

    async fn plan(&self, spec: &WorkloadSpec, secrets: &Secrets) -> Result<DeploymentPlan> {
        spec.check()?;
        let state = self.state();
        let workload = state.get(&spec.name).filter(|workload| !workload.deleted);
        let secrets = secrets.keyed_digest(SECRETS_KEY);
        Ok(workload.map_or_else(|| DeploymentPlan::compare(None, spec, false), |found| found.plan(spec, &secrets)))
    }

    async fn apply(&self, spec: &WorkloadSpec, secrets: &Secrets, key: &OperationKey) -> Result<RevisionId> {
        spec.check()?;
        let secrets = secrets.keyed_digest(SECRETS_KEY);
        let mut state = self.state();
        if let Some(workload) = state.get(&spec.name)
            && let Some(revision) = workload.used(spec, key)?
        {
            return Ok(revision);
        }
        let workload = state.entry(spec.name.clone()).or_insert_with(|| Workload::new(&key.owner));
        if workload.plan(spec, &secrets).change != Change::Unchanged {
            let id = RevisionId::new((workload.revisions.len() + 1).to_string());
            let revision = Revision::new(id, spec.clone(), self.env.now());
            workload.revisions.push(Applied { revision, secrets });
            workload.desired = spec.replicas;
        }
        let revision = workload.last().map(|last| last.revision.id.clone()).ok_or_else(|| absent(&spec.name))?;
        workload.keys.push(UsedKey { key: key.clone(), spec: spec.clone(), revision: revision.clone() });
        Ok(revision)
    }

    async fn observe(&self, name: &str) -> Result<Option<Observation>> {
        let mut state = self.state();
        let Some(workload) = state.get_mut(name) else { return Ok(None) };
        workload.step();
        if workload.deleted && workload.replicas.is_empty() {
            state.remove(name);
            return Ok(None);
        }
        Ok(workload.observation())
    }

    async fn revisions(&self, name: &str) -> Result<Vec<Revision>> {
        let state = self.state();
        let workload = state.get(name).ok_or_else(|| absent(name))?;
        Ok(workload.revisions.iter().rev().map(|applied| applied.revision.clone()).collect())
    }

    async fn scale(&self, name: &str, replicas: u32) -> Result<()> {
        self.state().get_mut(name).ok_or_else(|| absent(name))?.desired = replicas;
        Ok(())
    }

    fn logs(&self, name: &str, request: LogRequest) -> LogStream {
        let state = self.state();
        let Some(workload) = state.get(name) else { return stream::iter([Err(absent(name))]).boxed() };
        let lines: Vec<_> = workload
            .log
            .iter()
            .enumerate()
            .filter(|(place, line)| {
                let later = workload.log[place + 1..].iter().filter(|later| later.replica == line.replica).count();
                request.tail.is_none_or(|tail| later < tail)
            })
            .map(|(_, line)| Ok(line.clone()))
            .collect();
        stream::iter(lines).boxed()
    }

    async fn delete(&self, name: &str) -> Result<()> {
        if let Some(workload) = self.state().get_mut(name) {
            workload.deleted = true;
        }
        Ok(())
    }

    async fn find(&self, owner: &str) -> Result<Vec<String>> {
        let state = self.state();
        Ok(state.iter().filter(|(_, workload)| workload.owner == owner).map(|(name, _)| name.clone()).collect())
    }
}
