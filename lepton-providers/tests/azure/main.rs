//! The Azure backend against Azurite.
//!
//! Its address is in `LEPTON_TEST_AZURITE`; without one the tests are skipped with a line
//! that says so, unless `LEPTON_TEST_REQUIRED=1`. What the emulator does not do is played
//! by a fake (`script`).

#![cfg(feature = "azure")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub,
    reason = "test"
)]

mod copies;
mod faults;
mod objects;
mod script;
mod server;
