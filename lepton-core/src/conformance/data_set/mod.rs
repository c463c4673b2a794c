//! The conformance suite of [`DataSet`](crate::data_set::DataSet).
//!
//! The suite needs a data set whose two sides are empty and accept writes, and somebody who reads
//! and writes items at both sides: [`User`]. [`memory()`] has both for the reference.
//!
//! ```
//! # use lepton_core::{SystemRuntime, conformance::data_set::{Options, memory, run}};
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! let env = SystemRuntime::shared();
//! run(Options::new(), async || Ok(memory(&env))).await.check()
//! # }).unwrap();
//! ```
//!
//! `copies` (copy, follow, lag), `quiesces`, `verdicts` (the last delta), `conflicts` (items that
//! somebody else wrote), `reversals` (the other direction), `crashes` (calls that are dropped);
//! each case gets a fresh data set.

mod conflicts;
mod copies;
mod crashes;
mod fixture;
mod memory;
mod quiesces;
mod reversals;
mod verdicts;

pub use fixture::{Options, Subject, User};
pub use memory::{memory, memory_user};

use super::report::Report;

/// Checks every promise of the contract; `make` makes the data set of each case.
pub async fn run(options: Options, mut make: impl AsyncFnMut() -> crate::Result<Subject>) -> Report {
    let mut report: Option<Report> = None;
    let areas = [copies::CASES, quiesces::CASES, verdicts::CASES, conflicts::CASES, reversals::CASES, crashes::CASES];
    for (name, case) in areas.into_iter().flatten() {
        if options.only.as_ref().is_some_and(|only| !name.contains(only.as_str())) {
            continue;
        }
        let (of, check) = match make().await {
            Ok(subject) => {
                let of = subject.open().map_or_else(|_| "the data set".to_owned(), |set| set.name().to_owned());
                (of, case(&subject).await)
            }
            Err(error) => ("the data set".to_owned(), Err(error.into())),
        };
        report.get_or_insert_with(|| Report::new(&of)).add(name, check);
    }
    report.unwrap_or_else(|| Report::new("no case"))
}
