//! The list of findings.

use std::fmt::Display;

use lepton_core::deployment::{Finding, Severity};

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Findings(pub(super) Vec<Finding>);

impl Findings {
    pub(super) fn error(&mut self, subject: impl Display, message: impl Into<String>, remedy: impl Into<String>) {
        self.0.push(Finding::new(Severity::Error, subject.to_string(), message, remedy));
    }

    pub(super) fn warning(&mut self, subject: impl Display, message: impl Into<String>, remedy: impl Into<String>) {
        self.0.push(Finding::new(Severity::Warning, subject.to_string(), message, remedy));
    }
}
