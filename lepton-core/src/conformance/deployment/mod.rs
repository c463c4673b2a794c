//! The conformance suite of [`Deployment`].
//!
//! ```
//! # use lepton_core::{SystemRuntime, conformance, deployment::{MemoryDeployment, WorkloadSpec}};
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! let env = SystemRuntime::shared();
//! let deployment = MemoryDeployment::new(env.clone());
//! let runs = WorkloadSpec::of_command("conformance", ["/usr/bin/sleep", "1000"]);
//! let fails = WorkloadSpec::of_command("conformance", ["/usr/bin/false"]);
//! conformance::deployment::run(&deployment, conformance::deployment::Options::new(env, runs, fails)).await.check()
//! # }).unwrap();
//! ```
//!
//! `applies` (create, update, roll back), `keys` (idempotency, owners), `states` (readiness, logs,
//! scale, delete); each case checks one promise with a workload of its own name.

mod applies;
mod fixture;
mod keys;
mod states;

pub use fixture::Options;

use super::report::Report;
use crate::deployment::Deployment;
use fixture::Fixture;

/// Checks every promise of the contract, one case after the other, and deletes what the case
/// has made.
pub async fn run(deployment: &dyn Deployment, options: Options) -> Report {
    let mut report = Report::new(deployment.url());
    let owner = format!("conformance-{:016x}", options.env.random());
    let all = applies::CASES.iter().chain(keys::CASES).chain(states::CASES);
    for (number, (name, case)) in all.enumerate() {
        if options.only.as_ref().is_some_and(|only| !name.contains(only.as_str())) {
            continue;
        }
        let fixture = Fixture::new(deployment, &options, &owner, number);
        let done = case(&fixture).await;
        let cleaned = fixture.clean().await.map_err(|stop| stop.while_doing("cleaning up"));
        report.add(name, done.and(cleaned));
    }
    report
}
