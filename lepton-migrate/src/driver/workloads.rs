//! The effects on the workloads of both sides, and on the backends of side B.

use std::sync::Arc;
use std::time::Duration;

use lepton_core::data_set::Side;
use lepton_core::deployment::{
    Deployment, Endpoint, OperationKey, RevisionId, Secrets, WorkloadSpec, wait_until_absent, wait_until_ready,
};
use lepton_core::migration::Event;
use lepton_core::traffic::{Backend, RouteChange};
use lepton_core::{Error, ErrorKind, Result, RetryClass, Sha256};

use super::journal::Note;
use super::parts::{LOOK, Parts};
use super::workload::Workload;

/// How often the backends of side B are compared with its replicas.
const REPLICAS: Duration = Duration::from_millis(500);
/// How long the counters of side A must stand still before it is decommissioned.
const STILL: Duration = Duration::from_secs(2);

impl Parts {
    /// Creates the workloads of side B that start before the switch, after its application was
    /// denied to write once more.
    pub(super) async fn deploy(&self, epoch: u64) -> Result<Event> {
        for set in &self.data_sets {
            self.deny(set.provider.name(), Side::B, true, epoch).await?;
        }
        self.make_steps(false).await?;
        self.create(|workload| !workload.after_switch).await?;
        Ok(Event::Deployed)
    }

    /// Makes the steps and creates the workloads of side B that come after the switch.
    pub(super) async fn start(&self) -> Result<Event> {
        self.make_steps(true).await?;
        self.create(|workload| workload.after_switch).await?;
        Ok(Event::Started)
    }

    async fn create(&self, which: impl Fn(&Workload) -> bool) -> Result<()> {
        for workload in self.workloads.iter().filter(|workload| which(workload)) {
            self.create_one(workload).await.map_err(|error| redacted(error, &workload.secrets))?;
        }
        let backends = self.replicas().await?;
        if backends.is_empty() { Ok(()) } else { self.set_backends(backends).await }
    }

    async fn create_one(&self, workload: &Workload) -> Result<()> {
        let revision = self.apply(workload).await?;
        let (deployment, name) = (&*workload.deployment, &workload.spec.name);
        wait_until_ready(deployment, name, &revision, &self.wait, &*self.env, |_| {}).await.map(drop)
    }

    async fn apply(&self, workload: &Workload) -> Result<RevisionId> {
        let name = workload.spec.name.clone();
        let secrets = workload.secrets.keyed_digest(self.digest_key.as_bytes());
        let key = OperationKey::new(&self.name, "deploy", digest(&workload.spec, &secrets)?);
        let (workload, record) = (workload.clone(), self.record.clone());
        let applied = async move {
            record.note(&Note::Apply { workload: name.clone(), key: key.key.clone() }).await?;
            let revision = workload.deployment.apply(&workload.spec, &workload.secrets, &key).await?;
            record.note(&Note::Applied { workload: name, revision: revision.clone() }).await?;
            Ok(revision)
        };
        self.effect(&self.deploying, applied).await
    }

    /// The replicas of side B that can get users' requests.
    pub(super) async fn replicas(&self) -> Result<Vec<Backend>> {
        let mut backends = Vec::new();
        for workload in self.workloads.iter().filter(|workload| workload.route.is_some()) {
            let Some(seen) = workload.deployment.observe(&workload.spec.name).await? else { continue };
            let serves = |endpoint: &&Endpoint| {
                Some(&endpoint.port) == workload.route.as_ref() && endpoint.ready && !endpoint.terminating
            };
            backends.extend(seen.endpoints.iter().filter(serves).map(|e| Backend::new(&e.replica, &e.address)));
        }
        backends.sort();
        Ok(backends)
    }

    /// Keeps the backends of side B current: a replica that is restarted may get another address.
    /// If no replica is ready, those of before stay.
    pub(super) async fn keep_backends(&self) -> Result<Event> {
        loop {
            self.env.sleep(REPLICAS).await;
            let kept = match self.replicas().await {
                Ok(backends) if backends.is_empty() => Ok(()),
                Ok(backends) => self.set_backends(backends).await,
                Err(error) => Err(error),
            };
            if let Err(error) = kept {
                tracing::warn!("the backends of side B could not be compared with its replicas: {error}");
            }
        }
    }

    /// Sets the backends of side B, also while something else changes the route.
    async fn set_backends(&self, backends: Vec<Backend>) -> Result<()> {
        let (traffic, env) = (Arc::clone(&self.traffic.provider), Arc::clone(&self.env));
        let changed = async move {
            for _ in 0..100 {
                let route = traffic.get().await?;
                if route.backends(Side::B) == backends {
                    return Ok(());
                }
                let change = RouteChange::Backends(Side::B, backends.clone());
                match traffic.set(change, route.version).await {
                    Err(error) if error.kind() == ErrorKind::PreconditionFailed => env.sleep(LOOK).await,
                    set => return set.map(drop),
                }
            }
            let message = "the route changes too often for its backends to be set";
            Err(Error::new(ErrorKind::Unavailable, message).with_retry(RetryClass::Now))
        };
        self.effect(&self.traffic.lock, changed).await
    }

    /// Removes what this migration created at side B, takes the steps back, and makes side A accept
    /// writes. A workload of another owner is kept.
    pub(super) async fn undo(&self, epoch: u64) -> Result<Event> {
        self.take_steps_back().await?;
        self.set_backends(Vec::new()).await?;
        for workload in self.workloads.iter().rev() {
            self.delete(&workload.deployment, &workload.spec.name, Whose::Created).await?;
        }
        for set in &self.data_sets {
            self.deny(set.provider.name(), Side::A, false, epoch).await?;
        }
        Ok(Event::Undone)
    }

    /// Removes what the plan owns at side A, if no user's request gets there any more.
    pub(super) async fn decommission(&self) -> Result<Event> {
        let refused = |why: String| {
            let message = format!("side A is not decommissioned: {why}");
            Err(Error::new(ErrorKind::PreconditionFailed, message).with_retry(RetryClass::Never))
        };
        let route = self.traffic().get().await?;
        if route.owner != Side::B || route.weights.of(Side::A) > 0 {
            return refused(format!("the route still sends users there ({})", route.weights));
        }
        let before = self.traffic().verify().await?.a.requests;
        self.env.sleep(STILL).await;
        let requests = self.traffic().verify().await?.a.requests;
        if requests != before {
            return refused(format!("it got {} requests within {STILL:?}", requests.saturating_sub(before)));
        }
        for (deployment, name) in &self.old {
            self.delete(deployment, name, Whose::Anyone).await?;
        }
        Ok(Event::Decommissioned)
    }

    /// Deletes a workload and waits until it is gone.
    async fn delete(&self, deployment: &Arc<dyn Deployment>, name: &str, whose: Whose) -> Result<()> {
        let (theirs, record, workload) = (Arc::clone(deployment), self.record.clone(), name.to_owned());
        let owner = self.name.clone();
        let deleted = async move {
            if whose == Whose::Created && !theirs.find(&owner).await?.contains(&workload) {
                return Ok(false);
            }
            record.note(&Note::Delete { workload: workload.clone() }).await?;
            theirs.delete(&workload).await.map(|()| true)
        };
        if !self.effect(&self.deploying, deleted).await? {
            return Ok(());
        }
        wait_until_absent(&**deployment, name, &self.wait, &*self.env).await?;
        self.record.note(&Note::Deleted { workload: name.to_owned() }).await
    }
}

/// Which workloads may be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// Only what this migration created.
    Created,
    /// The workload that the plan names, also of another owner.
    Anyone,
}

/// The error without the values of secrets, which a provider or the log of a replica may repeat. It
/// goes into the journal.
fn redacted(error: Error, secrets: &Secrets) -> Error {
    error.with_texts(&|text| Some(secrets.redacted(text)).filter(|redacted| redacted != text))
}

/// The key of an apply: another spec, or another value of a secret, is another effect.
fn digest(spec: &WorkloadSpec, secrets: &str) -> Result<String> {
    let json = serde_json::to_vec(&(spec, secrets));
    let json = json.map_err(|source| Error::invalid_input(format!("the workload cannot be written: {source}")))?;
    Ok(Sha256::of(&json).to_string())
}
