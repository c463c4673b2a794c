//! Which side gets the users' requests. **Unstable** until a second, different balancer passes
//! its suite.
//!
//! - [`Traffic`]: the contract; [`MemoryTraffic`] is the reference
//! - [`Route`]: the register that decides who owns the writes, with the weights and the backends
//! - [`HoldRequest`]: how long a fence may hold requests, and how many

mod contract;
mod memory;
mod route;

pub use contract::{Counters, InFlight, InFlightPolicy, SideCounters, Traffic, TrafficCapabilities};
pub use memory::{MemoryTraffic, Sent};
pub use route::{Backend, Hold, HoldId, HoldLimits, HoldRequest, Route, RouteChange, Weights};
