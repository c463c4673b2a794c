//! Rules that put one beginning of a name in the place of another.

use lepton_core::{Error, ObjectKey, Result};
use serde::{Deserialize, Serialize};

/// A rule for names: a source key that begins with `from`, behind the source's folder,
/// has `to` in its place at the destination.
///
/// Beginnings are compared byte for byte, so a folder is named with its `/`: `old` also
/// begins `older`. A rule that would leave nothing of a name does not hold for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PrefixMap {
    /// What the name begins with at the source; empty holds for every name.
    pub from: String,
    /// What it begins with at the destination.
    pub to: String,
}

impl PrefixMap {
    /// The rule that puts `to` in the place of `from`.
    pub fn new(from: impl Into<String>, to: impl Into<String>) -> Self {
        Self { from: from.into(), to: to.into() }
    }

    pub(crate) fn apply(&self, name: &[u8]) -> Option<ObjectKey> {
        exchange(name, &self.from, &self.to)
    }
}

/// `name` with `to` in the place of `from`, if it begins with that and something is left.
pub(crate) fn exchange(name: &[u8], from: &str, to: &str) -> Option<ObjectKey> {
    let rest = name.strip_prefix(from.as_bytes())?;
    ObjectKey::new([to.as_bytes(), rest].concat()).ok()
}

/// Refuses rules of which one can never hold, by name.
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
