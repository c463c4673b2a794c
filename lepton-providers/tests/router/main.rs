//! The router on real sockets, with small applications as replicas.

#![cfg(feature = "router")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

mod application;
mod conformance;
mod control;
mod forwarding;
mod health;
mod holding;
mod hostile;
mod in_flight;
mod restarts;
mod shadows;
mod site;
mod sockets;
mod test_route;
mod tls;
mod user;
