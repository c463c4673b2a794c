//! The register of a route: who owns the writes, with which weights and backends.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::data_set::{Clearance, Side};

/// The state of a route. It is durable, and each change counts `version` up.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Route {
    /// Counts every change.
    pub version: u64,
    /// The epoch of the last fence. Commands of an earlier one are refused.
    pub epoch: u64,
    /// The side that owns the writes.
    pub owner: Side,
    /// How the requests are shared.
    pub weights: Weights,
    /// The backends of side A.
    pub a: Vec<Backend>,
    /// The backends of side B.
    pub b: Vec<Backend>,
    /// The hold, while there is one.
    pub hold: Option<Hold>,
}

impl Route {
    /// A route that sends everything to side A, which has no backends yet.
    pub fn new() -> Self {
        let weights = Weights::initial();
        Self { version: 1, epoch: 0, owner: Side::A, weights, a: Vec::new(), b: Vec::new(), hold: None }
    }

    /// The backends of a side.
    pub fn backends(&self, side: Side) -> &[Backend] {
        match side {
            Side::A => &self.a,
            Side::B => &self.b,
        }
    }
}

impl Default for Route {
    fn default() -> Self {
        Self::new()
    }
}

/// A replica to which requests are sent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Backend {
    /// The id of the replica.
    pub replica: String,
    /// `host:port`.
    pub address: String,
}

impl Backend {
    /// A backend.
    pub fn new(replica: impl Into<String>, address: impl Into<String>) -> Self {
        Self { replica: replica.into(), address: address.into() }
    }
}

/// The shares of the two sides. A side of weight 0 is not in the route at all.
///
/// A side gets its first share only with a [`Clearance`], so that no request reaches a side
/// whose data have not been proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weights {
    a: u32,
    b: u32,
}

impl Weights {
    /// Everything to side A.
    pub fn initial() -> Self {
        Self { a: 100, b: 0 }
    }

    /// What the register of a route holds whose owner is this side. It describes a register that
    /// was read, and moves nothing: only a release changes what a register holds.
    pub fn owned_by(owner: Side) -> Self {
        match owner {
            Side::A => Self::initial(),
            Side::B => Self { a: 0, b: 100 },
        }
    }

    /// Everything to the side that was cleared.
    pub fn all(clearance: &Clearance) -> Self {
        Self::shared(clearance, 0, 100)
    }

    /// These shares of the old owner and of the side that was cleared.
    pub fn shared(clearance: &Clearance, old: u32, cleared: u32) -> Self {
        match clearance.to() {
            Side::A => Self { a: cleared, b: old },
            Side::B => Self { a: old, b: cleared },
        }
    }

    /// The share of a side.
    pub fn of(self, side: Side) -> u32 {
        match side {
            Side::A => self.a,
            Side::B => self.b,
        }
    }
}

impl fmt::Display for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "A {} : B {}", self.a, self.b)
    }
}

/// A change of a route that does not move the ownership of writes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RouteChange {
    /// The backends of a side.
    Backends(Side, Vec<Backend>),
    /// The weights. Only a balancer without a register of ownership takes them; where there is
    /// one, [`Traffic::switch`](super::Traffic::switch) sets them.
    Weights(Weights),
}

/// The id of a hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HoldId(String);

impl HoldId {
    /// The id with this text.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HoldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Asks for new writes to be held back.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HoldRequest {
    /// The epoch of the fence, higher than that of any before.
    pub epoch: u64,
    /// The limits at which it ends by itself.
    pub limits: HoldLimits,
    /// Hold every request, and not only writes.
    pub all: bool,
}

impl HoldRequest {
    /// Holds writes with the default limits.
    pub fn new(epoch: u64) -> Self {
        Self { epoch, limits: HoldLimits::default(), all: false }
    }

    /// The limits at which it ends by itself.
    #[must_use]
    pub fn limits(mut self, limits: HoldLimits) -> Self {
        self.limits = limits;
        self
    }
}

/// The limits of a hold. A hold that would exceed one of them ends by itself: the owner of that
/// moment gets the requests that wait. If the ownership has not moved, the fence has failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct HoldLimits {
    /// Requests that wait. One more gets 503 with `Retry-After`, and ends the hold.
    pub requests: usize,
    /// Bytes of their bodies that may have been read already. A request with more than is left
    /// gets 503 with `Retry-After`, and ends the hold.
    pub bytes: u64,
    /// The length of the hold.
    pub time: Duration,
    /// The longest silence of the driver.
    pub silence: Duration,
}

impl Default for HoldLimits {
    fn default() -> Self {
        Self { requests: 10_000, bytes: 64 << 20, time: Duration::from_secs(30), silence: Duration::from_secs(10) }
    }
}

/// A hold.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hold {
    /// The id.
    pub id: HoldId,
    /// The epoch of its fence.
    pub epoch: u64,
    /// Requests that wait now.
    pub waiting: u64,
    /// The time since it began.
    pub age: Duration,
}

impl Hold {
    /// A hold that has just begun.
    pub fn new(id: HoldId, epoch: u64) -> Self {
        Self { id, epoch, waiting: 0, age: Duration::ZERO }
    }
}
