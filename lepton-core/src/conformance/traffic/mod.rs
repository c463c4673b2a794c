//! The conformance suite of [`Traffic`](crate::traffic::Traffic).
//!
//! The suite needs a route of its own, in its first state, and somebody who sends requests:
//! [`User`]. [`MemoryTraffic`](crate::traffic::MemoryTraffic) shows both.
//!
//! `register` (compare-and-set, epochs), `holds` (what waits, what ends a hold), `switch` (who
//! gets the requests); each case gets a fresh route.

mod fixture;
mod holds;
mod memory;
mod register;
mod switch;

pub use fixture::{Options, Subject, User};
pub use memory::memory;

use super::report::Report;

/// Checks every promise of the contract; `make` makes the route of each case.
pub async fn run(options: Options, mut make: impl AsyncFnMut() -> crate::Result<Subject>) -> Report {
    let mut report: Option<Report> = None;
    for (name, case) in register::CASES.iter().chain(holds::CASES).chain(switch::CASES) {
        if options.only.as_ref().is_some_and(|only| !name.contains(only.as_str())) {
            continue;
        }
        let (url, check) = match make().await {
            Ok(subject) => (subject.traffic.url().to_owned(), case(&subject).await),
            Err(error) => ("the route".to_owned(), Err(error.into())),
        };
        report.get_or_insert_with(|| Report::new(&url)).add(name, check);
    }
    report.unwrap_or_else(|| Report::new("no case"))
}
