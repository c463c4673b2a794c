//! What the suite found.

use std::fmt;

use super::expect::{Check, Stop};
use crate::error::{Error, ErrorKind, Result};

/// How a case ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The store keeps the promise.
    Passed,
    /// It does not: what was expected and what came.
    Failed(String),
    /// It does not make the promise: which capability says so.
    NotApplicable(String),
}

/// A case and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CaseReport {
    /// The area and the promise: `lists/start_after_is_exclusive`.
    pub name: &'static str,
    /// How it ended.
    pub outcome: Outcome,
}

/// What the suite found. `Display` prints a line for each case.
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

    /// How many cases passed.
    pub fn passed(&self) -> usize {
        self.cases.iter().filter(|case| case.outcome == Outcome::Passed).count()
    }

    /// The cases that failed, and why.
    pub fn failures(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.cases.iter().filter_map(|case| match &case.outcome {
            Outcome::Failed(why) => Some((case.name, why.as_str())),
            _ => None,
        })
    }

    /// Whether the store conforms: something passed and nothing failed.
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
