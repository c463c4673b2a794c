//! Where credentials come from, and what a store does while they change.
//!
//! The services that hand them out are fakes ([`service`] says why); the stores are real
//! where the module says so, by the variables that the tests in `s3` have too.

#![cfg(all(feature = "s3", feature = "internals"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

mod home;
mod login;
mod machine;
mod many;
mod process;
mod roles;
mod secrets;
#[path = "../s3/servers.rs"]
#[allow(dead_code, reason = "some of it is for the other tests")]
mod servers;
mod service;
mod signature;
mod transfer;
