//! How the crash suite runs.

use std::ops::Range;

use lepton_core::{SharedEnv, SystemEnv};

/// How the suite runs.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// What the keys of the suite begin with; a random name follows.
    pub prefix: String,
    /// At which requests the process dies, the first being 0. All of them by default.
    pub requests: Range<usize>,
    /// With how many records in the journal the process dies. Every number by default.
    pub records: Range<usize>,
    /// Whether the run that goes on dies too, at one request after the other. Default yes.
    pub again: bool,
    /// Whether the source lies in the same store, which copies by itself. Default no.
    pub server_copy: bool,
    /// Randomness and time.
    pub env: SharedEnv,
}

impl Options {
    /// Names that begin with `lepton-crashes-`; a death at every request and every record.
    pub fn new() -> Self {
        Self {
            prefix: "lepton-crashes-".to_owned(),
            requests: 0..usize::MAX,
            records: 0..usize::MAX,
            again: true,
            server_copy: false,
            env: SystemEnv::shared(),
        }
    }

    /// Keys begin with this and a random name.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Deaths at these requests only, to look at one again.
    #[must_use]
    pub fn requests(mut self, requests: Range<usize>) -> Self {
        self.requests = requests;
        self
    }

    /// Deaths with so many records in the journal only, to look at one again.
    #[must_use]
    pub fn records(mut self, records: Range<usize>) -> Self {
        self.records = records;
        self
    }

    /// Whether the run that goes on dies too.
    #[must_use]
    pub fn again(mut self, yes: bool) -> Self {
        self.again = yes;
        self
    }

    /// With a source in the same store, which copies by itself.
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
