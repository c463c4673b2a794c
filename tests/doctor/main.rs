//! `doctor` names the step that fails and what to do, for each way in which a store can be
//! set up wrong; it finds the keys that a store keeps; and it leaves nothing behind.
//!
//! What no real server is at hand for is done by the hooks of the S3 front, a fake: a clock
//! that is wrong (a program cannot be given another time than the machine's), a session
//! token that has expired (MinIO's live a quarter of an hour), replies that are lost.

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
