//! Requests in flight, and the counters.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_core::future::BoxFuture;
use lepton_core::Result;
use lepton_core::data_set::Side;
use lepton_core::traffic::{Counters, InFlight, SideCounters};
use tokio::sync::watch;

use super::flight_file::FlightFile;

/// What is in flight at both sides, and what was sent there.
#[derive(Debug)]
pub(super) struct Flights {
    state: Mutex<State>,
    /// For side A and side B: requests that began before this number are cut off.
    cuts: [watch::Sender<u64>; 2],
    /// The same for WebSockets that are to be closed.
    closes: [watch::Sender<u64>; 2],
}

#[derive(Debug)]
struct State {
    sides: [InFlight; 2],
    counters: Counters,
    file: FlightFile,
    /// The router has ended: what ends now ends with its process.
    frozen: bool,
    begun: u64,
}

/// How a request is counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Begin {
    pub(super) side: Side,
    pub(super) writes: bool,
    pub(super) test: bool,
    pub(super) held: bool,
}

impl Flights {
    pub(super) fn new(file: FlightFile, unknown: [u64; 2]) -> Arc<Self> {
        let side = |unknown| {
            let mut side = InFlight::new();
            side.unknown = unknown;
            side
        };
        let sides = unknown.map(side);
        let state = State { sides, counters: Counters::new(), file, frozen: false, begun: 0 };
        let signals = || [watch::Sender::new(0), watch::Sender::new(0)];
        Arc::new(Self { state: Mutex::new(state), cuts: signals(), closes: signals() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request that is about to be sent.
    pub(super) fn begin(self: &Arc<Self>, begin: Begin) -> Flight {
        let mut state = self.state();
        state.begun += 1;
        let number = state.begun;
        let open = &mut state.sides[index(begin.side)];
        open.requests += 1;
        let mut noted = true;
        if begin.writes {
            open.writes += 1;
            noted = state.note();
        }
        if noted {
            state.count(begin);
        }
        let kind = Kind::of(begin.writes);
        Flight { flights: Arc::clone(self), side: begin.side, kind, sent: false, noted, number }
    }

    /// Counts a request that was answered with 503 because a hold was full.
    pub(super) fn refused(&self) {
        self.state().counters.refused += 1;
    }

    /// Counts an answer with a status of 500 and above.
    pub(super) fn error(&self, side: Side) {
        self.state().counted(side).errors += 1;
    }

    pub(super) fn counters(&self) -> Counters {
        self.state().counters
    }

    pub(super) fn open(&self, side: Side) -> InFlight {
        self.state().sides[index(side)]
    }

    /// The side has been proven to write no more: nothing of it is unknown any longer.
    pub(super) fn proven(&self, side: Side) {
        let mut state = self.state();
        state.sides[index(side)].unknown = 0;
        state.note();
    }

    /// Everything that has begun so far, for [`cut`](Self::cut) and [`close`](Self::close).
    pub(super) fn so_far(&self) -> u64 {
        self.state().begun + 1
    }

    /// Cuts off what began before this number.
    pub(super) fn cut(&self, side: Side, before: u64) {
        raise(&self.cuts[index(side)], before);
    }

    /// Closes the WebSockets that began before this number.
    pub(super) fn close(&self, side: Side, before: u64) {
        raise(&self.closes[index(side)], before);
    }

    /// From now on nothing changes on disk, as if the process had been killed.
    pub(super) fn freeze(&self) {
        self.state().frozen = true;
    }

    /// Notes on disk that the router stops in order.
    pub(super) fn stop(&self) -> Result<()> {
        let mut state = self.state();
        if state.frozen {
            return Ok(());
        }
        state.frozen = true;
        state.file.stop(state.totals())
    }
}

impl State {
    fn counted(&mut self, side: Side) -> &mut SideCounters {
        match side {
            Side::A => &mut self.counters.a,
            Side::B => &mut self.counters.b,
        }
    }

    fn totals(&self) -> [u64; 2] {
        [self.sides[0], self.sides[1]].map(|side| side.writes + side.websockets + side.unknown)
    }

    /// Counts a request that is sent.
    fn count(&mut self, begin: Begin) {
        let counters = self.counted(begin.side);
        if begin.test {
            counters.tests += 1;
        } else {
            counters.requests += 1;
            counters.writes += u64::from(begin.writes);
        }
        self.counters.held += u64::from(begin.held);
    }

    /// Writes the number of open writes; returns whether the file has it. After a failure it has
    /// an earlier number, so the caller must not let the number rise: then the file never counts
    /// too few.
    fn note(&self) -> bool {
        if self.frozen {
            return false;
        }
        let written = self.file.write(self.totals(), false);
        if let Err(error) = &written {
            tracing::error!("{}", error.full_message());
        }
        written.is_ok()
    }
}

fn index(side: Side) -> usize {
    usize::from(side == Side::B)
}

fn raise(signal: &watch::Sender<u64>, to: u64) {
    signal.send_modify(|before| *before = to.max(*before));
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
    WebSocket,
}

impl Kind {
    fn of(writes: bool) -> Self {
        if writes { Self::Write } else { Self::Read }
    }
}

/// A request in flight. Dropped before its answer, a write that was sent is unknown.
#[derive(Debug)]
pub(super) struct Flight {
    flights: Arc<Flights>,
    side: Side,
    kind: Kind,
    sent: bool,
    noted: bool,
    number: u64,
}

impl Flight {
    pub(super) fn side(&self) -> Side {
        self.side
    }

    /// Whether its end matters: it may write.
    pub(super) fn may_write(&self) -> bool {
        self.kind != Kind::Read
    }

    /// Whether it may be sent: the file of open writes counts it, if it may write.
    pub(super) fn is_noted(&self) -> bool {
        self.noted
    }

    /// From now on the backend may have it.
    pub(super) fn sent(&mut self) {
        self.sent = true;
    }

    /// The backend has answered, or has received nothing.
    pub(super) fn answered(&mut self) {
        self.sent = false;
    }

    /// What was sent is to be sent again: whether the backend still works on it is not known.
    /// Returns whether it may be sent.
    pub(super) fn lost(&mut self) -> bool {
        if self.sent && self.may_write() {
            let mut state = self.flights.state();
            state.sides[index(self.side)].unknown += 1;
            self.noted = state.note();
        }
        self.sent = false;
        self.noted
    }

    /// The backend has accepted the WebSocket. Returns whether it may be used: one that only reads
    /// is counted by the file of open writes from now on.
    pub(super) fn upgraded(&mut self) -> bool {
        let mut state = self.flights.state();
        let counted = self.may_write();
        leave(&mut state.sides[index(self.side)], self.kind);
        self.kind = Kind::WebSocket;
        state.sides[index(self.side)].websockets += 1;
        state.note() || counted
    }

    /// Resolves when it is to be cut off, which a read never is.
    pub(super) fn cut(&self) -> BoxFuture<'static, ()> {
        if !self.may_write() {
            return Box::pin(std::future::pending());
        }
        reached(&self.flights.cuts[index(self.side)], self.number)
    }

    /// Resolves when the WebSocket is to be closed.
    pub(super) fn close(&self) -> BoxFuture<'static, ()> {
        reached(&self.flights.closes[index(self.side)], self.number)
    }
}

fn leave(side: &mut InFlight, kind: Kind) {
    match kind {
        Kind::Read => side.requests -= 1,
        Kind::Write => (side.requests, side.writes) = (side.requests - 1, side.writes - 1),
        Kind::WebSocket => side.websockets -= 1,
    }
}

fn reached(signal: &watch::Sender<u64>, number: u64) -> BoxFuture<'static, ()> {
    let mut signal = signal.subscribe();
    Box::pin(async move {
        if signal.wait_for(|before| *before > number).await.is_err() {
            // The router has ended, and this request with it.
            std::future::pending::<()>().await;
        }
    })
}

impl Drop for Flight {
    fn drop(&mut self) {
        let mut state = self.flights.state();
        let side = &mut state.sides[index(self.side)];
        leave(side, self.kind);
        if self.kind != Kind::Read {
            side.unknown += u64::from(self.sent);
            state.note();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(writes: bool) -> Begin {
        Begin { side: Side::A, writes, test: false, held: false }
    }

    #[test]
    fn a_write_that_cannot_be_noted_may_not_be_sent() {
        let folder = tempfile::tempdir().unwrap();
        let (file, unknown) = FlightFile::open(folder.path()).unwrap();
        let flights = Flights::new(file, unknown);
        let mut earlier = flights.begin(begin(true));
        assert!(earlier.is_noted());
        flights.state().file.fail().unwrap();
        let refused = flights.begin(begin(true));
        assert!(!refused.is_noted());
        drop(refused);
        let mut read = flights.begin(begin(false));
        assert!(read.is_noted(), "a read needs no note");
        earlier.sent();
        assert!(!earlier.lost(), "it would be open twice");
        assert!(!read.upgraded(), "a WebSocket is counted by the file");
        assert_eq!(flights.counters().a.writes, 1, "only what was sent is counted");
        drop((earlier, read));
        assert_eq!(flights.open(Side::A).unknown, 1);
    }
}
