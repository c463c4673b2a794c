//! Who may begin next: small objects, parts of large ones, and pages of the two
//! listings, each in a lane of its own with limits of its own.
//!
//! Small objects and parts share the places and the memory of the run. Each of the two
//! may take all while the other has nothing to do, but for a little, so that whoever
//! comes first need not wait; when both have work, each has a quarter for sure. So
//! small objects never wait for large parts, and parts never starve.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lepton_core::{Capabilities, MemoryBudget, Permit, SharedEnv};
use tokio::sync::oneshot;

use crate::schedule::concurrency_limit::{ConcurrencyLimit, START, START_LARGE, Unit, occupied};
use crate::telemetry::progress::{EndpointProgress, LaneProgress, LanesProgress};
use crate::types::layout::Layout;
use crate::types::side::Side;

/// The share of places and memory that a lane with work has for sure, and that is kept
/// for one without: one in so many.
const SHARE: usize = 4;
const KEPT: usize = 16;

/// The most pages of one listing that are asked for at once.
pub(crate) const LISTING: usize = 16;

/// What an object or part counts in what gets done, beside its bytes: the bytes that
/// could have passed while it was asked for and answered.
const REQUEST: u64 = 128 << 10;

/// One kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Objects that go in one piece, and all that is asked without a body.
    Small,
    /// Parts of large objects.
    Parts,
    /// Pages of the listing of one side.
    Listing(Side),
}

const LANES: [Lane; 4] = [Lane::Small, Lane::Parts, Lane::Listing(Side::Source), Lane::Listing(Side::Destination)];

impl Lane {
    /// The lane of an object of `size` bytes that goes to a store of these capabilities, in
    /// parts of at least `part_size`.
    pub(crate) fn of(size: u64, part_size: u64, to: &Capabilities) -> Self {
        let layout = Layout::choose(size, part_size, to);
        if layout.is_ok_and(|layout| layout.multipart) { Self::Parts } else { Self::Small }
    }

    fn index(self) -> usize {
        match self {
            Lane::Small => 0,
            Lane::Parts => 1,
            Lane::Listing(Side::Source) => 2,
            Lane::Listing(Side::Destination) => 3,
        }
    }

    /// The lane with which this one shares.
    fn beside(self) -> Option<Lane> {
        match self {
            Lane::Small => Some(Lane::Parts),
            Lane::Parts => Some(Lane::Small),
            Lane::Listing(_) => None,
        }
    }

    fn work(self, bytes: u64) -> u64 {
        if let Lane::Listing(_) = self { 1 } else { bytes.saturating_add(REQUEST) }
    }
}

/// The lanes of one run.
#[derive(Debug)]
pub(crate) struct Lanes {
    env: SharedEnv,
    places: usize,
    budget: MemoryBudget,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    traffic: [Traffic; 4],
    /// Of the two that share, the one that was served last.
    last: Lane,
}

/// One lane.
#[derive(Debug)]
struct Traffic {
    /// For the source and the destination; the smaller counts.
    laws: [ConcurrencyLimit; 2],
    throttled: [u64; 2],
    /// Objects in hand that will want places.
    open: usize,
    running: usize,
    /// Of these, those that wait to be tried again.
    resting: usize,
    held: u64,
    waiting: VecDeque<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    bytes: u64,
    grant: oneshot::Sender<Slot>,
}

impl Traffic {
    fn new(laws: [ConcurrencyLimit; 2]) -> Self {
        Self { laws, throttled: [0; 2], open: 0, running: 0, resting: 0, held: 0, waiting: VecDeque::new() }
    }

    fn limit(&self) -> usize {
        self.laws[0].limit().min(self.laws[1].limit())
    }

    fn occupied(&self) -> usize {
        occupied(self.running, self.resting)
    }

    fn has_work(&self) -> bool {
        self.open > 0 || self.running > 0 || !self.waiting.is_empty()
    }
}

impl Lanes {
    /// Lanes of so many places in all, which share the memory budget. Their limits are
    /// found if `adaptive`, else they are the number of places.
    pub(crate) fn new(env: SharedEnv, places: usize, memory: u64, adaptive: bool) -> Arc<Self> {
        let most = |lane: Lane| if lane.beside().is_some() { places - places / KEPT } else { LISTING };
        let start = |lane: Lane| if lane == Lane::Parts { START_LARGE } else { START };
        let law = |lane: Lane| {
            if adaptive {
                ConcurrencyLimit::adaptive(start(lane), most(lane))
            } else {
                ConcurrencyLimit::fixed(most(lane))
            }
        };
        let traffic = LANES.map(|lane| Traffic::new([law(lane), law(lane)]));
        let state = Mutex::new(State { traffic, last: Lane::Parts });
        Arc::new(Self { env, places, budget: MemoryBudget::new(memory), state })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place, and for memory; `None` only when the lanes are gone.
    ///
    /// Cancellation safe: dropping the future gives the place in the queue up.
    pub(crate) async fn enter(self: &Arc<Self>, lane: Lane, bytes: u64) -> Option<Slot> {
        let bytes = bytes.min(self.budget.largest());
        let granted = {
            let mut state = self.state();
            if state.traffic[lane.index()].waiting.is_empty()
                && let Some(slot) = self.admit(&mut state, lane, bytes)
            {
                return Some(slot);
            }
            let (grant, granted) = oneshot::channel();
            state.traffic[lane.index()].waiting.push_back(Waiter { bytes, grant });
            granted
        };
        granted.await.ok()
    }

    /// Gives a place if there is one.
    fn admit(self: &Arc<Self>, state: &mut State, lane: Lane, bytes: u64) -> Option<Slot> {
        let ours = &state.traffic[lane.index()];
        if ours.occupied() >= ours.limit() {
            return None;
        }
        if let Some(other) = lane.beside().map(|other| &state.traffic[other.index()]) {
            let kept = if other.has_work() { SHARE } else { KEPT };
            let places = (self.places / kept).saturating_sub(other.running);
            let memory = (self.budget.largest() * SHARE as u64 / kept as u64).saturating_sub(other.held);
            if ours.running + other.running + places >= self.places || self.budget.available() < bytes + memory {
                return None;
            }
        }
        let memory = self.budget.try_acquire(bytes)?;
        let ours = &mut state.traffic[lane.index()];
        ours.running += 1;
        ours.held += memory.bytes();
        if lane.beside().is_some() {
            state.last = lane;
        }
        Some(Slot {
            lanes: Arc::clone(self),
            lane,
            memory: Some(memory),
            begun: self.env.uptime(),
            work: AtomicU64::new(0),
            again: AtomicBool::new(false),
        })
    }

    /// Changes something, and lets begin who may then.
    fn change<T>(self: &Arc<Self>, change: impl FnOnce(&mut State) -> T) -> T {
        let (done, granted) = {
            let mut state = self.state();
            let done = change(&mut state);
            (done, self.serve(&mut state))
        };
        for (grant, slot) in granted {
            // Who does not wait any more gives the place back, for which the lock must be free.
            drop(grant.send(slot));
        }
        done
    }

    /// Gives places to those who wait: to the two that share by turns.
    fn serve(self: &Arc<Self>, state: &mut State) -> Vec<(oneshot::Sender<Slot>, Slot)> {
        let mut granted = Vec::new();
        loop {
            let before = granted.len();
            let mut order = LANES;
            if state.last == Lane::Small {
                order.swap(0, 1);
            }
            for lane in order {
                let waiting = &mut state.traffic[lane.index()].waiting;
                while waiting.pop_front_if(|waiter| waiter.grant.is_closed()).is_some() {}
                let Some(bytes) = waiting.front().map(|waiter| waiter.bytes) else { continue };
                if let Some(slot) = self.admit(state, lane, bytes)
                    && let Some(waiter) = state.traffic[lane.index()].waiting.pop_front()
                {
                    granted.push((waiter.grant, slot));
                }
            }
            if granted.len() == before {
                return granted;
            }
        }
    }

    /// Takes in that one side refused what was asked at some moment, because it was too
    /// much.
    pub(crate) fn throttled(self: &Arc<Self>, lane: Lane, side: Side, asked: Duration) {
        let now = self.env.uptime();
        self.change(|state| {
            let traffic = &mut state.traffic[lane.index()];
            let running = traffic.occupied();
            traffic.throttled[side as usize] += 1;
            traffic.laws[side as usize].throttled(now, asked, running);
        });
    }

    /// How many of a lane may be on their way at once, as found so far.
    pub(crate) fn limit(&self, lane: Lane) -> usize {
        self.state().traffic[lane.index()].limit()
    }

    /// Takes an object in hand that will want places of a lane, if there are not more
    /// already than `each` for each place.
    pub(crate) fn open(&self, lane: Lane, each: usize) -> bool {
        let traffic = &mut self.state().traffic[lane.index()];
        let room = traffic.open < traffic.limit() * each;
        traffic.open += usize::from(room);
        room
    }

    /// Puts an object out of hand.
    pub(crate) fn close(self: &Arc<Self>, lane: Lane) {
        self.change(|state| state.traffic[lane.index()].open -= 1);
    }

    #[cfg(test)]
    pub(crate) fn free_memory(&self) -> u64 {
        self.budget.available()
    }

    /// What the lanes are doing.
    pub(crate) fn progress(&self) -> LanesProgress {
        let state = self.state();
        let endpoint = |lane: Lane, side: Side| {
            let traffic = &state.traffic[lane.index()];
            EndpointProgress { limit: traffic.laws[side as usize].limit(), throttled: traffic.throttled[side as usize] }
        };
        let lane = |at_source: Lane, at_destination: Lane| {
            let mut both: Vec<_> = vec![&state.traffic[at_source.index()]];
            if at_source != at_destination {
                both.push(&state.traffic[at_destination.index()]);
            }
            LaneProgress {
                source: endpoint(at_source, Side::Source),
                destination: endpoint(at_destination, Side::Destination),
                running: both.iter().map(|traffic| traffic.running).sum(),
                resting: both.iter().map(|traffic| traffic.resting).sum(),
                waiting: both.iter().map(|traffic| traffic.waiting.len()).sum(),
            }
        };
        LanesProgress {
            listing: lane(Lane::Listing(Side::Source), Lane::Listing(Side::Destination)),
            small: lane(Lane::Small, Lane::Small),
            parts: lane(Lane::Parts, Lane::Parts),
        }
    }
}

/// Leave to run one unit of work; given back when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    lanes: Arc<Lanes>,
    lane: Lane,
    memory: Option<Permit>,
    begun: Duration,
    /// What got done; nothing if it failed.
    work: AtomicU64,
    again: AtomicBool,
}

impl Slot {
    pub(crate) fn lane(&self) -> Lane {
        self.lane
    }

    /// Says that the unit came to a good end, and what it moved.
    pub(crate) fn done(&self, bytes: u64) {
        self.work.store(self.lane.work(bytes), Relaxed);
    }

    /// Says that the unit waits to be tried again, until what is returned is dropped.
    pub(crate) fn rest(&self) -> Rest<'_> {
        self.again.store(true, Relaxed);
        self.lanes.change(|state| state.traffic[self.lane.index()].resting += 1);
        Rest(self)
    }
}

/// A unit that waits to be tried again.
#[derive(Debug)]
pub(crate) struct Rest<'a>(&'a Slot);

impl Drop for Rest<'_> {
    fn drop(&mut self) {
        // It takes its whole place again, even if that was given away: it has begun.
        self.0.lanes.state().traffic[self.0.lane.index()].resting -= 1;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let held = self.memory.take().map_or(0, |memory| memory.bytes());
        let now = self.lanes.env.uptime();
        let work = self.work.load(Relaxed);
        let took = (!self.again.load(Relaxed)).then(|| now.saturating_sub(self.begun));
        self.lanes.change(|state| {
            let traffic = &mut state.traffic[self.lane.index()];
            let running = traffic.occupied();
            traffic.running -= 1;
            traffic.held -= held;
            if work > 0 {
                traffic.laws.iter_mut().for_each(|law| law.ended(now, Unit { work, took, running }));
            }
        });
    }
}

#[cfg(test)]
mod tests;
