//! Names objects at the destination, and refuses names that it cannot hold.

use std::sync::Arc;

use lepton_core::{Capabilities, Error, ErrorKind, KeyHandling, ObjectKey, ObjectMeta, Result};

use crate::names::mapping::Mapping;
use crate::types::entry::{DestinationState, Entry, Mode};

/// Gives source objects their keys at the destination and refuses keys that it cannot hold.
#[derive(Debug)]
pub(crate) struct TargetNames {
    mapping: Arc<Mapping>,
    rules: lepton_core::KeyRules,
    /// Earlier keys that are prefixes of the current one: `a` for `a.b` and `a/b`.
    open: Vec<ObjectKey>,
}

impl TargetNames {
    pub(crate) fn new(mapping: Arc<Mapping>, capabilities: &Capabilities) -> Self {
        Self { mapping, rules: capabilities.keys.clone(), open: Vec::new() }
    }

    /// The entry of a source object. Calls must come in ascending order of sort keys. An
    /// error is the object's, not the run's.
    pub(crate) fn entry(&mut self, source: ObjectMeta, there: DestinationState) -> (Entry, Result<()>) {
        let target = self.mapping.target(&self.mapping.sort_key(&source.key));
        let verdict = self.rules.check(&target).and_then(|()| self.check_parent(&target));
        (Entry { source, target, there, mode: Mode::Listed }, verdict)
    }

    fn check_parent(&mut self, target: &ObjectKey) -> Result<()> {
        if self.rules.file_beside_folder == KeyHandling::Kept {
            return Ok(());
        }
        self.open.retain(|open| target.as_bytes().starts_with(open.as_bytes()));
        let parent = self.open.iter().find(|open| target.as_bytes()[open.as_bytes().len()..].starts_with(b"/"));
        if let Some(parent) = parent.filter(|parent| *parent != target) {
            let message =
                format!("the destination cannot hold {target} beside {parent}, which takes the folder's name");
            return Err(Error::new(ErrorKind::InvalidKey, message).with_context("key", target));
        }
        self.open.push(target.clone());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lepton_core::ObjectMeta;

    #[test]
    fn a_file_beside_its_folder_is_found_across_keys_between() {
        let mut capabilities = Capabilities::everything("disk");
        capabilities.keys.file_beside_folder = KeyHandling::Refused;
        let mut names = TargetNames::new(Mapping::new("in/".into(), "out/".into(), Vec::new()).into(), &capabilities);
        let mut verdict =
            |key: &str| names.entry(ObjectMeta::new(ObjectKey::try_from(key).unwrap(), 1), DestinationState::Unknown).1;
        verdict("in/a").unwrap();
        verdict("in/a-b").unwrap();
        verdict("in/a.b/c").unwrap();
        let error = verdict("in/a/b").unwrap_err();
        assert!(error.to_string().contains("out/a/b beside out/a,"), "{error}");
        verdict("in/ab/c").unwrap();
    }
}
