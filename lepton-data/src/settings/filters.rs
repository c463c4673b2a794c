//! The user's filters: which objects of the source are transferred.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A pattern, and whether the objects that it matches are included or excluded.
///
/// Patterns follow the rules of `.gitignore`. They match the name of an object relative to
/// the transfer's folder:
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
/// A pattern with a `/` anywhere but at its end is anchored to the folder; any other
/// pattern matches at any depth. A pattern that matches a folder matches everything below
/// it. `*` and `?` do not match a `/`; `**` does. Patterns are case-sensitive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FilterRule {
    /// Includes objects that match.
    Include(String),
    /// Excludes objects that match.
    Exclude(String),
}

/// Selects the objects of the source that are transferred.
///
/// The **last** rule that matches decides. An object that no rule matches is included,
/// unless the first rule is an include: then it is excluded.
#[must_use]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Filters {
    /// The rules, in order; the last one that matches decides.
    pub rules: Vec<FilterRule>,
    /// Exclude objects that are smaller. In bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_size: Option<u64>,
    /// Exclude objects that are larger. In bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_size: Option<u64>,
    /// Exclude objects that were written less than this time before the run began. In seconds.
    #[serde(with = "crate::settings::serde_seconds::optional", skip_serializing_if = "Option::is_none")]
    pub min_age: Option<Duration>,
    /// Exclude objects that were written more than this time before the run began. In seconds.
    #[serde(with = "crate::settings::serde_seconds::optional", skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Duration>,
}

impl Filters {
    /// Filters that include everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a rule that includes objects that match.
    pub fn include(mut self, pattern: impl Into<String>) -> Self {
        self.rules.push(FilterRule::Include(pattern.into()));
        self
    }

    /// Appends a rule that excludes objects that match.
    pub fn exclude(mut self, pattern: impl Into<String>) -> Self {
        self.rules.push(FilterRule::Exclude(pattern.into()));
        self
    }
}
