//! Carries out one intent.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use lepton_core::data_set::{Clearance, Side};
use lepton_core::deployment::{Endpoint, OperationKey, WorkloadSpec, wait_until_absent, wait_until_ready};
use lepton_core::migration::{Event, Intent};
use lepton_core::traffic::{Backend, HoldRequest, Release, RouteChange};
use lepton_core::{Error, ErrorKind, Result, Sha256};

use super::migration::Parts;

/// The pause between two looks at something that takes time.
const LOOK: Duration = Duration::from_millis(20);

/// Carries out an intent and returns what happened. What goes on in the background returns only
/// when it has ended by itself. `clearance` is there for the switch only.
pub(super) async fn carry_out(
    parts: Arc<Parts>,
    intent: Intent,
    epoch: u64,
    clearance: Option<Clearance>,
) -> Result<Event> {
    match intent {
        Intent::Copy { data_set } => {
            parts.data_set(&data_set)?.copy(Side::A).await?;
            Ok(Event::Copied { data_set })
        }
        Intent::Follow { data_set, from } => follow(&parts, data_set, from).await,
        Intent::WatchLag => parts.watch_lag().await,
        Intent::Deploy => parts.deploy().await,
        Intent::Test => Ok(parts.test().await),
        Intent::Hold { epoch } => parts.hold(epoch).await,
        Intent::KeepHold { epoch } => parts.keep_hold(epoch).await,
        Intent::Drain { side } => parts.drain(side).await,
        Intent::Quiesce { data_set, side } => {
            parts.data_set(&data_set)?.quiesce(side, true, epoch).await?;
            Ok(Event::Quiesced { data_set })
        }
        Intent::LastDelta { data_set, from, epoch } => {
            Ok(Event::Verdict(parts.data_set(&data_set)?.delta(from, epoch).await?))
        }
        Intent::Allow { data_set, side, deny } => {
            let set = parts.data_set(&data_set)?;
            if deny {
                set.quiesce(side.other(), true, epoch).await?;
            }
            set.quiesce(side, false, epoch).await?;
            Ok(Event::Allowed { data_set })
        }
        Intent::ReleaseForward { epoch, .. } => match clearance {
            Some(clearance) => parts.release(Release::Forward(clearance), epoch).await,
            None => Err(Error::new(ErrorKind::Unexpected, "a switch without a clearance")),
        },
        Intent::ReleaseBack { epoch } => parts.release(Release::Back, epoch).await,
        Intent::Reverse { data_set, from } => match parts.data_set(&data_set)?.reverse(from, epoch).await {
            Err(error) if error.kind() == ErrorKind::Conflict => {
                Ok(Event::ReverseConflict { data_set, items: vec![error.to_string()] })
            }
            reversed => reversed.map(|()| Event::Reversed { data_set }),
        },
        Intent::Undo => parts.undo().await,
        Intent::Decommission => Err(Error::unsupported("side A is decommissioned by its owner")),
        other => Err(Error::unsupported(format!("this driver does not know the intent {}", other.name()))),
    }
}

/// Follows until somebody has changed the follower.
async fn follow(parts: &Parts, data_set: String, from: Side) -> Result<Event> {
    let mut rounds = parts.data_set(&data_set)?.follow(from);
    while let Some(round) = rounds.next().await {
        match round {
            Err(error) if error.kind() == ErrorKind::Conflict && from == Side::B => {
                return Ok(Event::ReverseConflict { data_set, items: vec![error.to_string()] });
            }
            Err(error) => tracing::warn!(data_set, "a round failed, the next one follows: {error}"),
            Ok(lag) => tracing::debug!(data_set, items = lag.items, bytes = lag.bytes, "followed"),
        }
    }
    Err(Error::new(ErrorKind::Unexpected, "the follower has ended by itself").with_context("data set", data_set))
}

impl Parts {
    async fn watch_lag(&self) -> Result<Event> {
        loop {
            let mut behind = false;
            for set in &self.data_sets {
                let lag = set.lag(Side::A).await?;
                behind |= lag.rounds == 0 || lag.age > self.lag;
            }
            if !behind {
                return Ok(Event::CaughtUp);
            }
            self.env.sleep(LOOK).await;
        }
    }

    async fn deploy(&self) -> Result<Event> {
        let mut backends = Vec::new();
        for workload in &self.workloads {
            let name = &workload.spec.name;
            let key = OperationKey::new(&self.name, "deploy", digest(&workload.spec)?);
            let revision = workload.deployment.apply(&workload.spec, &workload.secrets, &key).await?;
            let deployment = &*workload.deployment;
            let seen = wait_until_ready(deployment, name, &revision, &self.wait, &*self.env, |_| {}).await?;
            let routed = |endpoint: &&Endpoint| Some(&endpoint.port) == workload.route.as_ref();
            backends.extend(seen.endpoints.iter().filter(routed).map(|e| Backend::new(&e.replica, &e.address)));
        }
        if !backends.is_empty() {
            let version = self.traffic.get().await?.version;
            self.traffic.set(RouteChange::Backends(Side::B, backends), version).await?;
        }
        Ok(Event::Deployed)
    }

    async fn test(&self) -> Event {
        for test in &self.tests {
            if let Err(error) = test.run().await {
                return Event::TestsFailed { why: format!("{}: {error}", test.name()) };
            }
        }
        Event::TestsPassed
    }

    async fn hold(&self, epoch: u64) -> Result<Event> {
        match self.traffic.hold(HoldRequest::new(epoch).limits(self.limits.clone())).await {
            Ok(_) => Ok(Event::Held),
            Err(error) if error.kind() == ErrorKind::PreconditionFailed => {
                Ok(Event::GivenUp { why: format!("a hold was not possible: {error}") })
            }
            Err(error) => Err(error),
        }
    }

    /// Reports to the hold until it has ended.
    async fn keep_hold(&self, epoch: u64) -> Result<Event> {
        loop {
            let hold = match self.traffic.get().await {
                Ok(route) => route.hold.filter(|hold| hold.epoch == epoch),
                // The router is asked again; its own timer decides meanwhile.
                Err(error) => {
                    tracing::warn!("the route does not answer: {error}");
                    self.env.sleep(LOOK).await;
                    continue;
                }
            };
            let ended = || Ok(Event::GivenUp { why: "the hold has ended by itself".to_owned() });
            let Some(hold) = hold else { return ended() };
            match self.traffic.renew(&hold.id).await {
                Err(error) if error.kind() == ErrorKind::PreconditionFailed => return ended(),
                renewed => drop(renewed),
            }
            self.env.sleep((self.limits.silence / 4).min(Duration::from_secs(1))).await;
        }
    }

    async fn drain(&self, side: Side) -> Result<Event> {
        while !self.traffic.drain(side, self.in_flight).await?.no_writes() {
            self.env.sleep(LOOK).await;
        }
        Ok(Event::Drained)
    }

    /// Ends the hold, and returns what the register says afterwards. Nothing is guessed: a reply
    /// that is lost is answered by reading the register.
    async fn release(&self, to: Release, epoch: u64) -> Result<Event> {
        if let Some(hold) = self.traffic.get().await?.hold.filter(|hold| hold.epoch == epoch) {
            let released = self.traffic.release(to, &hold.id, epoch).await;
            if let Err(error) = released {
                tracing::warn!("the release was not confirmed, the register is read: {error}");
            }
        }
        let route = self.traffic.get().await?;
        let holding = route.hold.is_some_and(|hold| hold.epoch == epoch);
        Ok(Event::Register { owner: route.owner, epoch: route.epoch, holding })
    }

    async fn undo(&self) -> Result<Event> {
        let version = self.traffic.get().await?.version;
        self.traffic.set(RouteChange::Backends(Side::B, Vec::new()), version).await?;
        for workload in &self.workloads {
            workload.deployment.delete(&workload.spec.name).await?;
            wait_until_absent(&*workload.deployment, &workload.spec.name, &self.wait, &*self.env).await?;
        }
        for set in &self.data_sets {
            set.quiesce(Side::A, false, 0).await?;
        }
        Ok(Event::Undone)
    }
}

/// The key of an apply: another spec is another effect.
fn digest(spec: &WorkloadSpec) -> Result<String> {
    let json = serde_json::to_vec(spec);
    let json = json.map_err(|source| Error::invalid_input(format!("the workload cannot be written: {source}")))?;
    Ok(Sha256::of(&json).to_string())
}
