//! The results of the suite.

use std::fmt;

use super::expect::{Check, Stop};
use crate::error::{Error, ErrorKind, Result};

/// How a case ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The store keeps the promise.
    Passed,
    /// The store breaks the promise: what was expected and what was found.
    Failed(String),
    /// The store does not make the promise: the reason, mostly a capability.
    NotApplicable(String),
}

/// A case and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CaseReport {
    /// The area and the promise, such as `lists/start_after_is_exclusive`.
    pub name: &'static str,
    /// How it ended.
    pub outcome: Outcome,
}

/// The results of the suite. `Display` prints a line for each case.
#[must_use]
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Report {
    /// The URL of the store.
    pub store: String,
    /// All cases in the order they ran.
    pub cases: Vec<CaseReport>,
}

impl Report {
    pub(super) fn new(store: &str) -> Self {
        Self { store: store.to_owned(), cases: Vec::new() }
    }

    pub(super) fn add(&mut self, name: &'static str, check: Check) {
        let outcome = match check {
            Ok(()) => Outcome::Passed,
            Err(Stop::Failed(why)) => Outcome::Failed(why),
            Err(Stop::NotApplicable(why)) => Outcome::NotApplicable(why),
        };
        self.cases.push(CaseReport { name, outcome });
    }

    /// The number of cases that passed.
    pub fn passed(&self) -> usize {
        self.cases.iter().filter(|case| case.outcome == Outcome::Passed).count()
    }

    /// The cases that failed, each with the reason.
    pub fn failures(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.cases.iter().filter_map(|case| match &case.outcome {
            Outcome::Failed(why) => Some((case.name, why.as_str())),
            _ => None,
        })
    }

    /// Checks that the store conforms: at least one case passed and none failed.
    ///
    /// # Errors
    /// `unexpected`, naming every case that failed.
    pub fn check(&self) -> Result<()> {
        let failures: Vec<String> = self.failures().map(|(name, why)| format!("\n  {name}: {why}")).collect();
        let message = match failures.as_slice() {
            [] if self.passed() > 0 => return Ok(()),
            [] => format!("{} was asked for nothing", self.store),
            _ => format!("{} does not conform, {} cases failed:{}", self.store, failures.len(), failures.concat()),
        };
        Err(Error::new(ErrorKind::Unexpected, message))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "conformance of {}", self.store)?;
        for case in &self.cases {
            match &case.outcome {
                Outcome::Passed => writeln!(f, "  passed  {}", case.name)?,
                Outcome::Failed(why) => writeln!(f, "  FAILED  {}: {why}", case.name)?,
                Outcome::NotApplicable(why) => writeln!(f, "  n/a     {}: {why}", case.name)?,
            }
        }
        let failed = self.failures().count();
        let rest = self.cases.len() - self.passed() - failed;
        write!(f, "{} passed, {failed} failed, {rest} not applicable", self.passed())
    }
}
