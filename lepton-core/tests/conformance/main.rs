//! The conformance suite over the in-memory store.
#![cfg(feature = "conformance")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

mod memory;
