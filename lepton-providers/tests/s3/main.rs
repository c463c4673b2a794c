//! The S3 backend against real servers.
//!
//! Each test runs once for every server whose address is in the environment:
//! `LEPTON_TEST_MINIO`, `LEPTON_TEST_VERSITYGW`, `LEPTON_TEST_MOTO`, with the
//! access key `lepton-test-key` and the secret `lepton-test-secret`. Servers
//! without an address are skipped with a line that says so, unless
//! `LEPTON_TEST_REQUIRED=1`.

#![cfg(feature = "s3")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

mod checksums;
mod conformance;
mod faults;
mod identify;
mod multipart;
mod objects;
mod proof;
mod script;
mod servers;
mod tls;
