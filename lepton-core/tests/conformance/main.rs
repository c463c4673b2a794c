//! The conformance suite over the in-memory store, and over stores that are
//! broken on purpose: the suite must find each fault.
#![cfg(feature = "conformance")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

mod broken;
mod faulty;
mod lies;
mod memory;
