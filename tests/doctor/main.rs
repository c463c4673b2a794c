//! `doctor` names the failing step and the remedy, for each way in which a store can be
//! misconfigured; it finds the keys that a store keeps; and it leaves nothing behind.
//!
//! The hooks of the S3 front, a fake, simulate what no available real server does: a wrong
//! clock (a program cannot be given another time than the machine's), an expired session token
//! (those of MinIO are valid for a quarter of an hour), lost replies.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "test")]

mod credentials;
mod keys;
#[path = "../../lepton-providers/tests/local/mounted.rs"]
mod mounted;
mod network;
mod steps;
#[path = "../support/mod.rs"]
mod support;
mod told;
