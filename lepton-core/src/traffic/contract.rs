//! What a balancer implements.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

use super::route::{Hold, HoldId, HoldRequest, Route, RouteChange};
use crate::Result;
use crate::data_set::{Clearance, Side};

/// A route between the users and the two sides: our router, or a balancer.
///
/// Its state is a register on disk, and that register decides who owns the writes. Every change
/// is a compare-and-set; a caller that lost a reply reads the register again. No method waits
/// for requests to end, and none tries again.
#[async_trait]
pub trait Traffic: Debug + Send + Sync {
    /// What it can do.
    fn capabilities(&self) -> &TrafficCapabilities;

    /// The place, as a URL without credentials.
    fn url(&self) -> &str;

    /// Reads the register.
    ///
    /// # Errors
    /// Errors of the connection. Who owns the writes is then unknown; the caller waits.
    async fn get(&self) -> Result<Route>;

    /// Changes backends or weights if the route still has this version, and returns what the
    /// register holds afterwards. It never moves the ownership of writes.
    ///
    /// # Errors
    /// `precondition_failed` if the route has another version; `unsupported` for weights where
    /// the ownership is in the register.
    async fn set(&self, change: RouteChange, if_version: u64) -> Result<Route>;

    /// Counts what has really been sent where.
    ///
    /// # Errors
    /// `unsupported` if it has no counters; then nothing is proven.
    async fn verify(&self) -> Result<Counters>;

    /// Begins to hold back new writes. Begun again in the same epoch it returns the same hold.
    ///
    /// A hold never exceeds one of its [`HoldLimits`](super::HoldLimits): it ends by itself
    /// instead, and the owner of that moment gets the requests that wait. A request for which
    /// there is no room gets 503 with `Retry-After`, and the hold ends.
    ///
    /// # Errors
    /// `precondition_failed` for an epoch that is not higher than the last one; `conflict` while
    /// another fence holds.
    async fn hold(&self, request: HoldRequest) -> Result<Hold>;

    /// Reports that the driver is alive, and returns the hold.
    ///
    /// # Errors
    /// `precondition_failed` if this hold has ended.
    async fn renew(&self, hold: &HoldId) -> Result<Hold>;

    /// Moves the ownership of writes, and all of the traffic, to the side that was cleared. The
    /// hold stays: the writes that wait are sent only after [`release`](Self::release), so that
    /// the new owner can be made to accept writes in between. Requests that are not held go to
    /// the new owner at once. The decision is on disk before any of them is sent.
    ///
    /// # Errors
    /// `precondition_failed` if this hold has ended, if `epoch` is not its epoch, if the clearance
    /// is of another epoch, or if its side already owns the writes.
    async fn switch(&self, to: Clearance, hold: &HoldId, epoch: u64) -> Result<Route>;

    /// Ends the hold: the requests that wait go to the owner. That this hold has ended is on disk
    /// before the first of them is sent.
    ///
    /// # Errors
    /// `precondition_failed` if this hold has ended, or if `epoch` is not its epoch.
    async fn release(&self, hold: &HoldId, epoch: u64) -> Result<Route>;

    /// Ends the requests that a side still has, by this policy, and returns how many there are.
    /// A request is in flight until the backend has answered, also when its client is gone.
    ///
    /// # Errors
    /// Errors of the connection.
    async fn drain(&self, side: Side, policy: InFlightPolicy) -> Result<InFlight>;
}

/// What a balancer can do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrafficCapabilities {
    /// It can hold requests back.
    pub hold: bool,
    /// It counts requests by side.
    pub verify: bool,
    /// Its register holds the ownership of writes.
    pub owner: bool,
    /// It has weights between 0 and all.
    pub weights: bool,
}

impl TrafficCapabilities {
    /// A balancer that can do nothing yet.
    pub fn new() -> Self {
        Self::default()
    }
}

/// What happens to requests in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum InFlightPolicy {
    /// They end by themselves. WebSockets are closed with code 1012, service restart.
    Wait,
    /// Those that have not ended after this time are cut off.
    Cut(Duration),
}

/// Requests in flight at one side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct InFlight {
    /// Requests of any method that the backend has not answered.
    pub requests: u64,
    /// Those of them that may write.
    pub writes: u64,
    /// Open WebSockets.
    pub websockets: u64,
    /// Writes whose end can no longer be seen: the router was restarted while they were open.
    /// Only the side's own refusal of writes ends them.
    pub unknown: u64,
}

impl InFlight {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether nothing that may write is known to be open.
    pub fn no_writes(&self) -> bool {
        self.writes == 0 && self.websockets == 0
    }
}

/// What has been sent where since the process of the route started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Side A.
    pub a: SideCounters,
    /// Side B.
    pub b: SideCounters,
    /// Requests that were held and then sent.
    pub held: u64,
    /// Requests that got 503 because a hold had no room for them.
    pub refused: u64,
}

impl Counters {
    /// Counters at 0.
    pub fn new() -> Self {
        Self::default()
    }

    /// The counters of a side.
    pub fn of(&self, side: Side) -> SideCounters {
        match side {
            Side::A => self.a,
            Side::B => self.b,
        }
    }
}

/// What has been sent to one side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SideCounters {
    /// Requests of users.
    pub requests: u64,
    /// Those of them that may write.
    pub writes: u64,
    /// Answers with a status of 500 and above.
    pub errors: u64,
    /// Requests of the test route, and copies of users' reads.
    pub tests: u64,
}
