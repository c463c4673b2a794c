//! Decides which work may start next: small objects, parts of large ones, and pages of the two
//! listings each have a lane with its own limits.
//!
//! Small objects and parts share the slots and the memory of the run. While one of the two
//! lanes has no work, the other may take nearly everything; a small reserve remains, so that
//! the first unit of the idle lane need not wait. When both have work, each is guaranteed a
//! quarter. So small objects never wait for large parts, and parts never starve.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lepton_core::{Capabilities, MemoryBudget, Permit, SharedRuntime};
use tokio::sync::oneshot;

use crate::schedule::concurrency_limit::{ConcurrencyLimit, START, START_LARGE, Unit, occupied};
use crate::telemetry::progress::{EndpointProgress, LaneProgress, LanesProgress};
use crate::types::layout::Layout;
use crate::types::side::Side;

/// The guaranteed share of slots and memory of a lane with work, and the share reserved for a
/// lane without work, both as divisors.
const BUSY_SHARE: usize = 4;
const IDLE_SHARE: usize = 16;

/// The most pages of one listing in flight.
pub(crate) const LISTING: usize = 16;

/// The work that an object or part counts in addition to its bytes: the bytes that could have
/// been transferred during the round trip of its request.
const REQUEST: u64 = 128 << 10;

/// One kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Objects that are sent in one piece, and all requests without a body.
    Small,
    /// Parts of large objects.
    Parts,
    /// Pages of the listing of one side.
    Listing(Side),
}

const LANES: [Lane; 4] = [Lane::Small, Lane::Parts, Lane::Listing(Side::Source), Lane::Listing(Side::Destination)];

impl Lane {
    /// The lane of an object of `size` bytes that is sent to a store with these capabilities,
    /// in parts of at least `part_size`.
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

    /// The lane with which this one shares slots and memory.
    fn paired_lane(self) -> Option<Lane> {
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
    env: SharedRuntime,
    places: usize,
    budget: MemoryBudget,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    traffic: [Traffic; 4],
    /// Which of the two lanes that share was served last.
    last: Lane,
}

/// One lane.
#[derive(Debug)]
struct Traffic {
    /// The concurrency limits of the source and of the destination; the smaller one applies.
    limits: [ConcurrencyLimit; 2],
    throttled: [u64; 2],
    /// Objects that are started and will need slots.
    open: usize,
    running: usize,
    /// Those running units that wait for a retry.
    backing_off: usize,
    held: u64,
    waiting: VecDeque<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    bytes: u64,
    grant: oneshot::Sender<Slot>,
}

impl Traffic {
    fn new(limits: [ConcurrencyLimit; 2]) -> Self {
        Self { limits, throttled: [0; 2], open: 0, running: 0, backing_off: 0, held: 0, waiting: VecDeque::new() }
    }

    fn limit(&self) -> usize {
        self.limits[0].limit().min(self.limits[1].limit())
    }

    fn occupied(&self) -> usize {
        occupied(self.running, self.backing_off)
    }

    fn has_work(&self) -> bool {
        self.open > 0 || self.running > 0 || !self.waiting.is_empty()
    }
}

impl Lanes {
    /// Lanes with `places` slots in total, which share the memory budget. Their limits adapt
    /// if `adaptive` is set; otherwise they are fixed at their maximum.
    pub(crate) fn new(env: SharedRuntime, places: usize, memory: u64, adaptive: bool) -> Arc<Self> {
        let most = |lane: Lane| if lane.paired_lane().is_some() { places - places / IDLE_SHARE } else { LISTING };
        let start = |lane: Lane| if lane == Lane::Parts { START_LARGE } else { START };
        let limit = |lane: Lane| {
            if adaptive {
                ConcurrencyLimit::adaptive(start(lane), most(lane))
            } else {
                ConcurrencyLimit::fixed(most(lane))
            }
        };
        let traffic = LANES.map(|lane| Traffic::new([limit(lane), limit(lane)]));
        let state = Mutex::new(State { traffic, last: Lane::Parts });
        Arc::new(Self { env, places, budget: MemoryBudget::new(memory), state })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a slot and for memory; `None` only when the lanes are gone.
    ///
    /// Cancellation safe: dropping the future gives up the place in the queue.
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

    /// Grants a slot if there is capacity.
    fn admit(self: &Arc<Self>, state: &mut State, lane: Lane, bytes: u64) -> Option<Slot> {
        let ours = &state.traffic[lane.index()];
        if ours.occupied() >= ours.limit() {
            return None;
        }
        if let Some(other) = lane.paired_lane().map(|other| &state.traffic[other.index()]) {
            let share = if other.has_work() { BUSY_SHARE } else { IDLE_SHARE };
            let places = (self.places / share).saturating_sub(other.running);
            let memory = (self.budget.largest() * BUSY_SHARE as u64 / share as u64).saturating_sub(other.held);
            if ours.running + other.running + places >= self.places || self.budget.available() < bytes + memory {
                return None;
            }
        }
        let memory = self.budget.try_acquire(bytes)?;
        let ours = &mut state.traffic[lane.index()];
        ours.running += 1;
        ours.held += memory.bytes();
        if lane.paired_lane().is_some() {
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

    /// Changes the state, and grants slots to waiting units that may start then.
    fn change<T>(self: &Arc<Self>, change: impl FnOnce(&mut State) -> T) -> T {
        let (done, granted) = {
            let mut state = self.state();
            let done = change(&mut state);
            (done, self.serve(&mut state))
        };
        for (grant, slot) in granted {
            // A unit that no longer waits returns its slot, for which the lock must be free.
            drop(grant.send(slot));
        }
        done
    }

    /// Grants slots to waiting units. The two lanes that share take turns.
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

    /// Records that one side throttled a request sent at `asked`.
    pub(crate) fn throttled(self: &Arc<Self>, lane: Lane, side: Side, asked: Duration) {
        let now = self.env.uptime();
        self.change(|state| {
            let traffic = &mut state.traffic[lane.index()];
            let running = traffic.occupied();
            traffic.throttled[side as usize] += 1;
            traffic.limits[side as usize].throttled(now, asked, running);
        });
    }

    /// The most units of a lane in flight, as found so far.
    pub(crate) fn limit(&self, lane: Lane) -> usize {
        self.state().traffic[lane.index()].limit()
    }

    /// Counts an object as open that will need slots of a lane; `false` if there are already
    /// `each` open objects for each unit of the limit.
    pub(crate) fn open(&self, lane: Lane, each: usize) -> bool {
        let traffic = &mut self.state().traffic[lane.index()];
        let has_capacity = traffic.open < traffic.limit() * each;
        traffic.open += usize::from(has_capacity);
        has_capacity
    }

    /// Counts an object as no longer open.
    pub(crate) fn close(self: &Arc<Self>, lane: Lane) {
        self.change(|state| state.traffic[lane.index()].open -= 1);
    }

    #[cfg(test)]
    pub(crate) fn free_memory(&self) -> u64 {
        self.budget.available()
    }

    /// The current state of the lanes.
    pub(crate) fn progress(&self) -> LanesProgress {
        let state = self.state();
        let endpoint = |lane: Lane, side: Side| {
            let traffic = &state.traffic[lane.index()];
            EndpointProgress {
                limit: traffic.limits[side as usize].limit(),
                throttled: traffic.throttled[side as usize],
            }
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
                backing_off: both.iter().map(|traffic| traffic.backing_off).sum(),
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

/// The permission to run one unit of work; returned when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    lanes: Arc<Lanes>,
    lane: Lane,
    memory: Option<Permit>,
    begun: Duration,
    /// The work done; 0 if the unit failed.
    work: AtomicU64,
    again: AtomicBool,
}

impl Slot {
    pub(crate) fn lane(&self) -> Lane {
        self.lane
    }

    /// Records that the unit succeeded, and how many bytes it moved.
    pub(crate) fn done(&self, bytes: u64) {
        self.work.store(self.lane.work(bytes), Relaxed);
    }

    /// Records that the unit waits for a retry, until the returned guard is dropped.
    pub(crate) fn rest(&self) -> Rest<'_> {
        self.again.store(true, Relaxed);
        self.lanes.change(|state| state.traffic[self.lane.index()].backing_off += 1);
        Rest(self)
    }
}

/// A guard of a unit that waits for a retry.
#[derive(Debug)]
pub(crate) struct Rest<'a>(&'a Slot);

impl Drop for Rest<'_> {
    fn drop(&mut self) {
        // The unit has started, so it takes its whole slot again even if that was given away.
        self.0.lanes.state().traffic[self.0.lane.index()].backing_off -= 1;
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
                traffic.limits.iter_mut().for_each(|limit| limit.ended(now, Unit { work, took, running }));
            }
        });
    }
}

#[cfg(test)]
mod tests;
