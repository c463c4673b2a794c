//! The options of the crash suite.

use std::ops::Range;

use lepton_core::{SharedRuntime, SystemRuntime};

/// The options of the crash suite.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// The prefix of the suite's keys; a random name follows.
    pub prefix: String,
    /// The requests at which the process dies, counted from 0. Default: all.
    pub requests: Range<usize>,
    /// The numbers of records in the journal at which the process dies. Default: all.
    pub records: Range<usize>,
    /// Whether the run that resumes dies too, at one request after the other. Default true.
    pub again: bool,
    /// Whether the source is in the same store, which copies by itself. Default false.
    pub server_copy: bool,
    /// Randomness and time.
    pub env: SharedRuntime,
}

impl Options {
    /// The prefix `lepton-crashes-`, and a death at every request and every record.
    pub fn new() -> Self {
        Self {
            prefix: "lepton-crashes-".to_owned(),
            requests: 0..usize::MAX,
            records: 0..usize::MAX,
            again: true,
            server_copy: false,
            env: SystemRuntime::shared(),
        }
    }

    /// Sets the prefix of the suite's keys; a random name follows.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Limits deaths to these requests, to examine one of them again.
    #[must_use]
    pub fn requests(mut self, requests: Range<usize>) -> Self {
        self.requests = requests;
        self
    }

    /// Limits deaths to these numbers of records in the journal, to examine one of them again.
    #[must_use]
    pub fn records(mut self, records: Range<usize>) -> Self {
        self.records = records;
        self
    }

    /// Sets whether the run that resumes dies too.
    #[must_use]
    pub fn again(mut self, yes: bool) -> Self {
        self.again = yes;
        self
    }

    /// Sets whether the source is in the same store, which copies by itself.
    #[must_use]
    pub fn server_copy(mut self, yes: bool) -> Self {
        self.server_copy = yes;
        self
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}
