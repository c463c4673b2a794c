//! Which objects of the source take part, as the user says it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A pattern, and whether what it matches is taken or left out.
///
/// Patterns are those of `.gitignore`, over the name of an object behind the
/// transfer's folder:
///
/// | pattern | matches | does not match |
/// |---|---|---|
/// | `*.jpg` | `a.jpg`, `in/b.jpg` | `a.jpgx` |
/// | `tmp` | `tmp`, `in/tmp`, `tmp/a`, `in/tmp/b/c` | `tmpx` |
/// | `tmp/` | `tmp/a`, `in/tmp/b/c` | `tmp`, `in/tmp` |
/// | `/tmp` | `tmp`, `tmp/a` | `in/tmp` |
/// | `in/*.txt` | `in/a.txt` | `x/in/a.txt`, `in/b/a.txt` |
/// | `in/**/a` | `in/a`, `in/b/c/a` | `a`, `x/in/a` |
/// | `a?[0-9]` | `ax1` | `a1`, `a/1` |
/// | `{a,b}.c` | `a.c`, `b.c` | `{a,b}.c` |
/// | `\*` | `*` | `a` |
///
/// A pattern with a `/` anywhere but at its end is bound to the folder; one
/// without matches at any depth. What matches a folder matches everything below
/// it. `*` and `?` do not match a `/`; `**` does. Case counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FilterRule {
    /// Takes what matches.
    Include(String),
    /// Leaves out what matches.
    Exclude(String),
}

/// Which objects of the source are taken.
///
/// The **last** rule that matches decides. What no rule matches is taken, unless
/// the first rule is an include: then only what is included is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Filters {
    /// In order; the last that matches decides.
    pub rules: Vec<FilterRule>,
    /// Leave out what has fewer bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_size: Option<u64>,
    /// Leave out what has more bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_size: Option<u64>,
    /// Leave out what was written less than this before the run began. In seconds.
    #[serde(with = "crate::settings::serde_seconds::optional", skip_serializing_if = "Option::is_none")]
    pub min_age: Option<Duration>,
    /// Leave out what was written more than this before the run began. In seconds.
    #[serde(with = "crate::settings::serde_seconds::optional", skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Duration>,
}

impl Filters {
    /// Takes everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more rule that takes what matches.
    #[must_use]
    pub fn include(mut self, pattern: impl Into<String>) -> Self {
        self.rules.push(FilterRule::Include(pattern.into()));
        self
    }

    /// With one more rule that leaves out what matches.
    #[must_use]
    pub fn exclude(mut self, pattern: impl Into<String>) -> Self {
        self.rules.push(FilterRule::Exclude(pattern.into()));
        self
    }
}
