//! The report of the crash suite.

use std::fmt;

use lepton_core::{Error, ErrorKind, Result};

/// The report of the crash suite.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CrashReport {
    /// The URL of the store.
    pub store: String,
    /// How often a process died.
    pub deaths: usize,
    /// Deaths that did not happen, because the run made fewer requests or records.
    pub missed: Vec<String>,
    /// The deaths after which a requirement was not met, each with the requirement.
    pub failures: Vec<String>,
}

impl CrashReport {
    /// Checks that all requirements were met.
    ///
    /// # Errors
    /// `unexpected`, naming every death after which a requirement was not met, or if no death
    /// happened.
    pub fn check(&self) -> Result<()> {
        match &self.failures[..] {
            [] if self.deaths > 0 => Ok(()),
            [] => Err(Error::new(ErrorKind::Unexpected, format!("{}: nothing died", self.store))),
            failures => {
                let message =
                    format!("{}: wrong after {} deaths:\n  {}", self.store, failures.len(), failures.join("\n  "));
                Err(Error::new(ErrorKind::Unexpected, message))
            }
        }
    }
}

impl fmt::Display for CrashReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (deaths, missed, wrong) = (self.deaths, self.missed.len(), self.failures.len());
        write!(f, "{}: {deaths} deaths, {missed} that did not come, wrong after {wrong}", self.store)?;
        self.failures.iter().try_for_each(|failure| write!(f, "\n  {failure}"))
    }
}
