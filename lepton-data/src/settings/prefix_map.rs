//! Rules that replace one prefix of a name by another.

use lepton_core::{Error, ObjectKey, Result};
use serde::{Deserialize, Serialize};

/// A rule that renames objects: if the name of a source object, relative to the source's
/// folder, begins with `from`, its name at the destination begins with `to` instead.
///
/// Prefixes are compared byte for byte, so a folder needs its `/`: `old` is also a prefix of
/// `older`. A rule does not apply to a name that it would make empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PrefixMap {
    /// The prefix at the source; an empty one matches every name.
    pub from: String,
    /// The prefix that replaces it at the destination.
    pub to: String,
}

impl PrefixMap {
    /// The rule that replaces `from` by `to`.
    pub fn new(from: impl Into<String>, to: impl Into<String>) -> Self {
        Self { from: from.into(), to: to.into() }
    }

    pub(crate) fn apply(&self, name: &[u8]) -> Option<ObjectKey> {
        exchange(name, &self.from, &self.to)
    }
}

/// `name` with its prefix `from` replaced by `to`; `None` if it does not have that prefix,
/// or nothing would be left.
pub(crate) fn exchange(name: &[u8], from: &str, to: &str) -> Option<ObjectKey> {
    let rest = name.strip_prefix(from.as_bytes())?;
    ObjectKey::new([to.as_bytes(), rest].concat()).ok()
}

/// Refuses rules if one of them can never apply, naming it.
pub(crate) fn check(rules: &[PrefixMap]) -> Result<()> {
    for (index, rule) in rules.iter().enumerate() {
        if let Some(before) = rules[..index].iter().find(|before| rule.from.starts_with(&before.from)) {
            let message = format!(
                "map: the rule for {:?} never holds, because the one for {:?} comes before it; put it first",
                rule.from, before.from
            );
            return Err(Error::invalid_input(message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use lepton_core::ErrorKind;

    use super::*;

    #[test]
    fn a_rule_that_never_holds_is_refused() {
        let rules = |rules: &[(&str, &str)]| {
            check(&rules.iter().map(|(from, to)| PrefixMap::new(*from, *to)).collect::<Vec<_>>())
        };
        rules(&[("a/b/", "x/"), ("a/", "y/"), ("", "z/")]).unwrap();
        let error = rules(&[("a/", "y/"), ("a/b/", "x/")]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("\"a/b/\" never holds"), "{error}");
    }
}
