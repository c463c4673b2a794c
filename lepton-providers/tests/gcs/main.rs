//! The backend of Google Cloud Storage against fake-gcs-server and MinIO.
//!
//! Their addresses are in `LEPTON_TEST_FAKE_GCS` and `LEPTON_TEST_MINIO`; without them the
//! tests are skipped with a line that says so, unless `LEPTON_TEST_REQUIRED=1`.

#![cfg(all(feature = "gcs", feature = "s3"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub,
    reason = "test"
)]

mod conformance;
mod copies;
mod front;
mod requests;
mod script;
mod server;
mod tokens;
