//! The supervisor: a small process that keeps the replicas of a place as they should be.
//!
//! It learns what is wanted from the files that drivers write, and publishes what it sees. It
//! can be killed at any moment: the replicas live on, and the next supervisor adopts them.
//!
//! - `run`: the lock, the loop and the end
//! - `unit`: one workload: reads what is wanted, decides, steps its replicas, publishes
//! - `rollout`: which replicas to start and to stop next; pure
//! - `replica`: the state machine of one replica; `stopping`: its end;
//!   `reasons`: why it is not ready
//! - `ports`: free ports; `output`: the end of a replica's log
//! - `probes`: the probes of a replica; `prober`: repeats one and counts; `check`: one attempt
//! - `launch`: starts a replica, and becomes it

mod check;
mod context;
mod environment;
mod launch;
mod output;
mod ports;
mod prober;
mod probes;
mod reasons;
mod replica;
mod rollout;
mod run;
mod stopping;
mod unit;

pub(super) use environment::INHERITED;
pub(super) use launch::{LAUNCH, launch};
pub(super) use ports::is_free;
pub(super) use run::{PATIENCE, SUPERVISE, run};
