//! Where each request passes: it goes to the owner, waits, or is refused.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lepton_core::data_set::Side;
use lepton_core::traffic::HoldLimits;
use tokio::sync::{Notify, watch};

use super::flight::{Begin, Flight, Flights};

/// The gate. What it lets pass is in flight before the gate can change.
#[derive(Debug)]
pub(super) struct Gate {
    state: Mutex<State>,
    flights: Arc<Flights>,
    /// The generation: each change of the mode counts it up, and wakes what waits.
    changed: watch::Sender<u64>,
    /// Wakes the task that ends holds: one has begun, or has to end.
    pub(super) holds: Notify,
}

#[derive(Debug)]
struct State {
    owner: Side,
    generation: u64,
    /// Counts every change, also of the owner alone.
    turn: u64,
    mode: Mode,
    /// A request has not found room in the hold, which therefore has to end.
    exceeded: bool,
}

#[derive(Debug)]
enum Mode {
    /// Everything goes to the owner.
    Open,
    /// Writes wait, or everything does.
    Holding(Held),
    /// Everything is refused until the register is settled.
    Closed,
}

#[derive(Debug)]
struct Held {
    all: bool,
    limits: HoldLimits,
    waiting: u64,
    bytes: u64,
}

/// What the gate has to know of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask {
    pub(super) writes: bool,
    /// The most of its body that can have been read already.
    pub(super) bytes: u64,
}

/// A request that may be sent, as long as the gate does not change.
#[derive(Debug)]
pub(super) struct Pass {
    pub(super) flight: Flight,
    pub(super) turn: u64,
}

/// Why a request gets 503.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The register is not settled.
    Closed,
    /// The hold has no room for it.
    Full,
}

enum Answer {
    Pass(Pass),
    Wait(Waiting),
    Refuse(Refusal),
}

impl Gate {
    /// A gate that sends everything to the owner, or is closed.
    pub(super) fn new(owner: Side, closed: bool, flights: Arc<Flights>) -> Arc<Self> {
        let mode = if closed { Mode::Closed } else { Mode::Open };
        let state = Mutex::new(State { owner, generation: 1, turn: 1, mode, exceeded: false });
        Arc::new(Self { state, flights, changed: watch::Sender::new(1), holds: Notify::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a request may be sent. Dropping the future leaves the queue.
    pub(super) async fn pass(self: &Arc<Self>, ask: Ask) -> Result<Pass, Refusal> {
        let mut changed = self.changed.subscribe();
        let mut held = false;
        loop {
            let waiting = match self.admit(ask, held) {
                Answer::Pass(pass) => return Ok(pass),
                Answer::Refuse(refusal) => return Err(refusal),
                Answer::Wait(waiting) => waiting,
            };
            held = true;
            let over = changed.wait_for(|generation| *generation != waiting.generation).await.is_err();
            if over {
                return Err(Refusal::Closed);
            }
        }
    }

    fn admit(self: &Arc<Self>, ask: Ask, held: bool) -> Answer {
        let mut state = self.state();
        let (owner, generation, turn) = (state.owner, state.generation, state.turn);
        match &mut state.mode {
            Mode::Closed => Answer::Refuse(Refusal::Closed),
            Mode::Holding(hold) if hold.all || ask.writes => {
                if hold.waiting >= hold.limits.requests as u64 || hold.bytes + ask.bytes > hold.limits.bytes {
                    state.exceeded = true;
                    self.flights.refused();
                    self.holds.notify_one();
                    return Answer::Refuse(Refusal::Full);
                }
                hold.waiting += 1;
                hold.bytes += ask.bytes;
                Answer::Wait(Waiting { gate: Arc::clone(self), generation, bytes: ask.bytes })
            }
            Mode::Open | Mode::Holding(_) => {
                let flight = self.flights.begin(Begin { side: owner, writes: ask.writes, test: false, held });
                Answer::Pass(Pass { flight, turn })
            }
        }
    }

    /// Lets a request of the test route pass, to the side that is not in the route.
    pub(super) fn test(&self, writes: bool) -> Result<Pass, Refusal> {
        let state = self.state();
        if matches!(state.mode, Mode::Closed) {
            return Err(Refusal::Closed);
        }
        let side = state.owner.other();
        let flight = self.flights.begin(Begin { side, writes, test: true, held: false });
        Ok(Pass { flight, turn: state.turn })
    }

    /// Lets the copy of a read pass to side B, as long as side A owns the writes and no fence has
    /// begun.
    pub(super) fn shadow(&self) -> Option<Pass> {
        let state = self.state();
        if !matches!(state.mode, Mode::Open) || state.owner != Side::A {
            return None;
        }
        let flight = self.flights.begin(Begin { side: Side::B, writes: false, test: true, held: false });
        Some(Pass { flight, turn: state.turn })
    }

    /// Whether nothing has changed since: a request may be sent again.
    pub(super) fn same(&self, turn: u64) -> bool {
        self.state().turn == turn
    }

    /// Begins a hold.
    pub(super) fn hold(&self, all: bool, limits: HoldLimits) {
        self.change(|state| state.mode = Mode::Holding(Held { all, limits, waiting: 0, bytes: 0 }));
        self.holds.notify_one();
    }

    /// Whether the hold has refused a request, and has to end.
    pub(super) fn exceeded(&self) -> bool {
        self.state().exceeded
    }

    /// Makes this side the owner. What waits, waits on.
    pub(super) fn switch(&self, owner: Side) {
        let mut state = self.state();
        state.owner = owner;
        state.turn += 1;
    }

    /// Sends everything to this side, also what waits.
    pub(super) fn open(&self, owner: Side) {
        self.change(|state| (state.owner, state.mode, state.exceeded) = (owner, Mode::Open, false));
    }

    /// Refuses everything, also what waits.
    pub(super) fn close(&self) {
        self.change(|state| state.mode = Mode::Closed);
    }

    /// Requests that wait now.
    pub(super) fn waiting(&self) -> u64 {
        match &self.state().mode {
            Mode::Holding(held) => held.waiting,
            Mode::Open | Mode::Closed => 0,
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        state.generation += 1;
        state.turn += 1;
        self.changed.send_replace(state.generation);
    }
}

/// A place in the queue of a hold.
#[derive(Debug)]
struct Waiting {
    gate: Arc<Gate>,
    generation: u64,
    bytes: u64,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = self.gate.state();
        if state.generation != self.generation {
            return;
        }
        if let Mode::Holding(held) = &mut state.mode {
            held.waiting -= 1;
            held.bytes -= self.bytes;
        }
    }
}
