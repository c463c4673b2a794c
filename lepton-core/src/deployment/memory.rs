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
use crate::{Error, ErrorKind, Result, SharedEnv};

/// A deployment in memory, for tests and as the reference of the contract. Each call of
/// [`observe`](Deployment::observe) moves it one step: a replica starts, then it is ready, then
/// an old one ends. A program named `false` never becomes ready, as the program of this name.
#[derive(Debug, Clone)]
pub struct MemoryDeployment {
    env: SharedEnv,
    capabilities: DeploymentCapabilities,
    state: Arc<Mutex<BTreeMap<String, Workload>>>,
}

#[derive(Debug)]
struct Workload {
    owner: String,
    revisions: Vec<Applied>,
    desired: u32,
    replicas: Vec<Replica>,
    started: u64,
    log: Vec<LogLine>,
    deleted: bool,
}

#[derive(Debug)]
struct Applied {
    revision: Revision,
    key: OperationKey,
    secrets: String,
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
    pub fn new(env: SharedEnv) -> Self {
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
    fn last(&self) -> Option<&Applied> {
        self.revisions.last()
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
        let last = state.get(&spec.name).filter(|workload| !workload.deleted).and_then(Workload::last);
        let changed = last.is_some_and(|last| last.secrets != secrets.keyed_digest(SECRETS_KEY));
        Ok(DeploymentPlan::compare(last.map(|last| &last.revision.spec), spec, changed))
    }

    async fn apply(&self, spec: &WorkloadSpec, secrets: &Secrets, key: &OperationKey) -> Result<RevisionId> {
        let plan = self.plan(spec, secrets).await?;
        let mut state = self.state();
        if let Some(workload) = state.get(&spec.name) {
            if workload.owner != key.owner {
                let message = format!("the workload {} belongs to {}", spec.name, workload.owner);
                return Err(Error::new(ErrorKind::Conflict, message));
            }
            if workload.deleted {
                return Err(Error::new(ErrorKind::Conflict, format!("the workload {} is being deleted", spec.name)));
            }
            if let Some(applied) = workload.revisions.iter().find(|applied| applied.key == *key) {
                if applied.revision.spec != *spec {
                    let message = format!("the key {} was used with another spec of {}", key.key, spec.name);
                    return Err(Error::new(ErrorKind::Conflict, message));
                }
                return Ok(applied.revision.id.clone());
            }
            if let (Change::Unchanged, Some(last)) = (plan.change, workload.last()) {
                return Ok(last.revision.id.clone());
            }
        }
        let workload = state.entry(spec.name.clone()).or_insert_with(|| Workload {
            owner: key.owner.clone(),
            revisions: Vec::new(),
            desired: 0,
            replicas: Vec::new(),
            started: 0,
            log: Vec::new(),
            deleted: false,
        });
        let id = RevisionId::new((workload.revisions.len() + 1).to_string());
        let revision = Revision::new(id.clone(), spec.clone(), self.env.now());
        let secrets = secrets.keyed_digest(SECRETS_KEY);
        workload.revisions.push(Applied { revision, key: key.clone(), secrets });
        workload.desired = spec.replicas;
        Ok(id)
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
        let mut lines = Vec::new();
        for line in &workload.log {
            let later = workload.log.iter().filter(|other| other.replica == line.replica);
            let place = workload.log.iter().filter(|other| other.replica == line.replica).position(|l| l == line);
            let behind = later.count() - place.unwrap_or(0);
            if request.tail.is_none_or(|tail| behind <= tail) {
                lines.push(Ok(line.clone()));
            }
        }
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
