//! The reference: a route that exists only in memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::contract::{Counters, InFlight, InFlightPolicy, Traffic, TrafficCapabilities};
use super::route::{Hold, HoldId, HoldRequest, Route, RouteChange, Weights};
use crate::data_set::{Clearance, Side};
use crate::{Error, ErrorKind, Result, RetryClass, SharedRuntime};

/// A route in memory, for tests and as the reference of the contract. Clones share it.
/// [`send`](Self::send) is its user.
#[derive(Debug, Clone)]
pub struct MemoryTraffic {
    env: SharedRuntime,
    capabilities: TrafficCapabilities,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    route: Route,
    counters: Counters,
    held: Option<Held>,
    holds: u64,
}

#[derive(Debug)]
struct Held {
    request: HoldRequest,
    id: HoldId,
    begun: Duration,
    renewed: Duration,
    waiting: u64,
    /// Those of them that write.
    writes: u64,
}

/// Where a request went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// To this side.
    To(Side),
    /// It waits for the end of the hold.
    Held,
    /// It was refused with 503.
    Refused,
}

impl MemoryTraffic {
    /// A route that sends everything to side A.
    pub fn new(env: SharedRuntime) -> Self {
        let capabilities = TrafficCapabilities { hold: true, verify: true, owner: true, weights: false };
        let state = State { route: Route::new(), counters: Counters::new(), held: None, holds: 0 };
        Self { env, capabilities, state: Arc::new(Mutex::new(state)) }
    }

    /// A request of a user.
    pub fn send(&self, writes: bool) -> Sent {
        let mut state = self.state();
        if let Some(held) = state.held.as_mut().filter(|held| writes || held.request.all) {
            if held.waiting >= held.request.limits.requests as u64 {
                state.counters.refused += 1;
                state.end();
                return Sent::Refused;
            }
            held.waiting += 1;
            held.writes += u64::from(writes);
            return Sent::Held;
        }
        let owner = state.route.owner;
        state.count(owner, u64::from(writes), 1);
        Sent::To(owner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.expire(self.env.uptime());
        state
    }
}

impl State {
    fn count(&mut self, side: Side, writes: u64, requests: u64) {
        let counters = match side {
            Side::A => &mut self.counters.a,
            Side::B => &mut self.counters.b,
        };
        counters.requests += requests;
        counters.writes += writes;
    }

    /// Ends a hold that is too long or whose driver is silent.
    fn expire(&mut self, now: Duration) {
        let over = self.held.as_ref().is_some_and(|held| {
            let limits = &held.request.limits;
            now.saturating_sub(held.begun) >= limits.time || now.saturating_sub(held.renewed) >= limits.silence
        });
        if over {
            self.end();
        }
    }

    /// Ends the hold and sends what waits to the owner.
    fn end(&mut self) {
        if let Some(held) = self.held.take() {
            self.route.version += 1;
            self.counters.held += held.waiting;
            self.count(self.route.owner, held.writes, held.waiting);
        }
    }

    fn route(&self, now: Duration) -> Route {
        let mut route = self.route.clone();
        route.hold = self.held.as_ref().map(|held| held.hold(now));
        route
    }

    fn holding(&mut self, id: &HoldId) -> Result<&mut Held> {
        let ended = || refused(format!("the hold {id} has ended"));
        self.held.as_mut().filter(|held| held.id == *id).ok_or_else(ended)
    }

    fn holding_of(&mut self, id: &HoldId, epoch: u64) -> Result<()> {
        match self.holding(id)?.request.epoch {
            its if its == epoch => Ok(()),
            its => Err(refused(format!("the hold {id} is of epoch {its}, not {epoch}"))),
        }
    }
}

impl Held {
    fn hold(&self, now: Duration) -> Hold {
        let mut hold = Hold::new(self.id.clone(), self.request.epoch);
        (hold.waiting, hold.age) = (self.waiting, now.saturating_sub(self.begun));
        hold
    }
}

fn refused(why: String) -> Error {
    Error::new(ErrorKind::PreconditionFailed, why).with_retry(RetryClass::Never)
}

#[async_trait]
impl Traffic for MemoryTraffic {
    fn capabilities(&self) -> &TrafficCapabilities {
        &self.capabilities
    }

    fn url(&self) -> &'static str {
        "memory:"
    }

    async fn get(&self) -> Result<Route> {
        Ok(self.state().route(self.env.uptime()))
    }

    async fn set(&self, change: RouteChange, if_version: u64) -> Result<Route> {
        let mut state = self.state();
        if state.route.version != if_version {
            let message = format!("the route has version {}, not {if_version}", state.route.version);
            return Err(refused(message));
        }
        match change {
            RouteChange::Backends(Side::A, backends) => state.route.a = backends,
            RouteChange::Backends(Side::B, backends) => state.route.b = backends,
            RouteChange::Weights(_) => return Err(Error::unsupported("the weights of this route follow its owner")),
        }
        state.route.version += 1;
        Ok(state.route(self.env.uptime()))
    }

    async fn verify(&self) -> Result<Counters> {
        Ok(self.state().counters)
    }

    async fn hold(&self, request: HoldRequest) -> Result<Hold> {
        let (mut state, now) = (self.state(), self.env.uptime());
        if let Some(held) = &mut state.held {
            if held.request.epoch != request.epoch {
                let message = format!("the fence of epoch {} holds", held.request.epoch);
                return Err(Error::new(ErrorKind::Conflict, message));
            }
            held.renewed = now;
            return Ok(held.hold(now));
        }
        if request.epoch <= state.route.epoch {
            let message = format!("epoch {} is not above {}", request.epoch, state.route.epoch);
            return Err(refused(message));
        }
        (state.route.epoch, state.holds) = (request.epoch, state.holds + 1);
        state.route.version += 1;
        let id = HoldId::new(state.holds.to_string());
        let held = Held { request, id, begun: now, renewed: now, waiting: 0, writes: 0 };
        let hold = held.hold(now);
        state.held = Some(held);
        Ok(hold)
    }

    async fn renew(&self, hold: &HoldId) -> Result<Hold> {
        let (mut state, now) = (self.state(), self.env.uptime());
        let held = state.holding(hold)?;
        held.renewed = now;
        Ok(held.hold(now))
    }

    async fn switch(&self, to: Clearance, hold: &HoldId, epoch: u64) -> Result<Route> {
        let mut state = self.state();
        state.holding_of(hold, epoch)?;
        if to.epoch() != epoch || to.to() == state.route.owner {
            let (epoch, to) = (to.epoch(), to.to());
            return Err(refused(format!("the clearance is for side {to} in epoch {epoch}")));
        }
        (state.route.owner, state.route.weights) = (to.to(), Weights::all(&to));
        state.route.version += 1;
        Ok(state.route(self.env.uptime()))
    }

    async fn release(&self, hold: &HoldId, epoch: u64) -> Result<Route> {
        let mut state = self.state();
        state.holding_of(hold, epoch)?;
        state.end();
        Ok(state.route(self.env.uptime()))
    }

    async fn drain(&self, _: Side, _: InFlightPolicy) -> Result<InFlight> {
        // Every request here ends as it is sent.
        Ok(InFlight::new())
    }
}
