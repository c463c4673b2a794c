//! The effects of a fence on the route.

use std::sync::Arc;
use std::time::Duration;

use lepton_core::data_set::{Clearance, Quiesced, Side};
use lepton_core::migration::Event;
use lepton_core::traffic::HoldRequest;
use lepton_core::{ErrorKind, Result, RetryClass};

use super::parts::{LOOK, Parts};

impl Parts {
    /// Holds new writes. A fence towards side B is given up before that if nothing at side B could
    /// answer the held requests.
    pub(super) async fn hold(&self, epoch: u64) -> Result<Event> {
        let routed = self.workloads.iter().any(|workload| workload.route.is_some() && !workload.after_switch);
        if routed && self.traffic().get().await?.owner == Side::A && self.replicas().await?.is_empty() {
            return Ok(Event::GivenUp { why: "no replica of side B is ready".to_owned() });
        }
        let (traffic, request) =
            (Arc::clone(&self.traffic.provider), HoldRequest::new(epoch).limits(self.limits.clone()));
        match self.effect(&self.traffic.lock, async move { traffic.hold(request).await }).await {
            Ok(_) => Ok(Event::Held),
            Err(error) if error.kind() == ErrorKind::PreconditionFailed => {
                Ok(Event::GivenUp { why: format!("a hold was not possible: {error}") })
            }
            Err(error) => Err(error),
        }
    }

    /// Reports to the hold until it has ended.
    pub(super) async fn keep_hold(&self, epoch: u64) -> Result<Event> {
        let ended = || Ok(Event::GivenUp { why: "the hold has ended by itself".to_owned() });
        let pause = (self.limits.silence / 4).min(Duration::from_secs(1));
        loop {
            let renewed = match self.traffic().get().await {
                Ok(route) => match route.hold.filter(|hold| hold.epoch == epoch) {
                    Some(hold) => self.traffic().renew(&hold.id).await,
                    None => return ended(),
                },
                Err(error) => Err(error),
            };
            match renewed {
                Ok(_) => self.env.sleep(pause).await,
                Err(error) if error.kind() == ErrorKind::PreconditionFailed => return ended(),
                // The timer of the route decides meanwhile.
                Err(error) => {
                    tracing::warn!("the hold cannot be renewed: {error}");
                    self.env.sleep(LOOK).await;
                }
            }
        }
    }

    pub(super) async fn drain(&self, side: Side) -> Result<Event> {
        loop {
            let in_flight = self.traffic().drain(side, self.in_flight).await?;
            if in_flight.no_writes() {
                return Ok(Event::Drained { unknown: in_flight.unknown });
            }
            self.env.sleep(LOOK).await;
        }
    }

    pub(super) async fn quiesce(&self, data_set: String, side: Side, epoch: u64) -> Result<Event> {
        // An apply in flight, of a state before the fence, could start writers afterwards.
        drop(self.deploying.lock().await);
        let proof = match self.deny(&data_set, side, true, epoch).await? {
            Quiesced::Proven(how) => Some(how),
            _ => None,
        };
        Ok(Event::Quiesced { data_set, proof })
    }

    /// Makes a side accept writes. A policy may take a moment to be in effect; what fails for as
    /// long as a hold may last is for a person to decide.
    pub(super) async fn allow(&self, data_set: String, side: Side, epoch: u64) -> Result<Event> {
        let begun = self.env.uptime();
        loop {
            let Err(error) = self.deny(&data_set, side, false, epoch).await else {
                return Ok(Event::Allowed { data_set });
            };
            if self.env.uptime().saturating_sub(begun) >= self.limits.time {
                return Err(error.with_retry(RetryClass::Never));
            }
            tracing::warn!(data_set, "side {side} does not accept writes yet: {error}");
            self.env.sleep(LOOK).await;
        }
    }

    /// Makes a side refuse its application's writes, or accept them.
    pub(super) async fn deny(&self, data_set: &str, side: Side, deny: bool, epoch: u64) -> Result<Quiesced> {
        let set = self.data_set(data_set)?;
        let provider = Arc::clone(&set.provider);
        self.effect(&set.lock, async move { provider.quiesce(side, deny, epoch).await }).await
    }

    /// Moves the ownership to the side that was cleared, or without a clearance ends the hold;
    /// returns the state of the register afterwards. A lost reply is answered by reading it.
    pub(super) async fn register(&self, switch: Option<Clearance>, epoch: u64) -> Result<Event> {
        let traffic = Arc::clone(&self.traffic.provider);
        let changed = async move {
            if let Some(hold) = traffic.get().await?.hold.filter(|hold| hold.epoch == epoch) {
                let changed = match switch {
                    Some(to) => traffic.switch(to, &hold.id, epoch).await,
                    None => traffic.release(&hold.id, epoch).await,
                };
                if let Err(error) = changed {
                    tracing::warn!("the change of the route was not confirmed, the register is read: {error}");
                }
            }
            traffic.get().await
        };
        let route = self.effect(&self.traffic.lock, changed).await?;
        let holding = route.hold.is_some_and(|hold| hold.epoch == epoch);
        Ok(Event::Register { owner: route.owner, epoch: route.epoch, holding })
    }
}
