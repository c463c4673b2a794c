//! The suites of the contracts pass for the references, and find each lie.
#![cfg(feature = "conformance")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unimplemented, reason = "test")]

mod data_sets;
mod deployments;
mod routes;
mod waits;

use lepton_core::conformance::Report;

/// The names of the cases that failed, without their area.
fn failed(report: &Report) -> Vec<&'static str> {
    report.failures().map(|(name, _)| name.split_once('/').map_or(name, |(_, case)| case)).collect()
}
