//! Names that change in transit: rules that replace one prefix by another, and keys that
//! are encoded so that the destination can hold them.

use lepton_core::{KeyPrefix, KeyRules, Location, ObjectKey};

use crate::settings::prefix_map::{PrefixMap, exchange};
use crate::settings::transfer::TransferConfig;

/// Maps source keys to their keys at the destination. Each source key has a *sort key*: the
/// name it gets at the destination, below the source's folder. If no name changes, this is
/// the key itself. All ordered processing uses the order of sort keys, which is the order of
/// the destination.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mapping {
    from: KeyPrefix,
    to: KeyPrefix,
    rules: Vec<PrefixMap>,
    /// The destination's key rules, if names are encoded for it.
    encoding: Option<KeyRules>,
    /// The source's key rules, if its names are decoded.
    decoding: Option<KeyRules>,
}

impl Mapping {
    pub(crate) fn new(from: KeyPrefix, to: KeyPrefix, rules: Vec<PrefixMap>) -> Self {
        Self { from, to, rules, encoding: None, decoding: None }
    }

    pub(crate) fn of(source: &Location, destination: &Location, settings: &TransferConfig) -> Self {
        let keys = |sort_key: &Location| sort_key.storage().capabilities().keys.clone();
        let encoding = settings.encode_keys.then(|| keys(destination));
        let decoding = settings.decode_keys.then(|| keys(source));
        Self { encoding, decoding, ..Self::new(source.folder(), destination.folder(), settings.map.clone()) }
    }

    /// Whether no name changes.
    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.encoding.is_none() && self.decoding.is_none()
    }

    /// Whether keys that the destination cannot hold are encoded.
    pub(crate) fn encodes(&self) -> bool {
        self.encoding.is_some()
    }

    /// The name of a source object relative to the source's folder. If the source names one object
    /// instead of a folder, its key is outside the folder, and its name is the last segment.
    pub(crate) fn name(&self, key: &ObjectKey) -> ObjectKey {
        key.stripped(&self.from).unwrap_or_else(|| last_segment(key))
    }

    /// The sort key of a source key.
    pub(crate) fn sort_key(&self, key: &ObjectKey) -> ObjectKey {
        let name = match key.stripped(&self.from) {
            Some(_) if self.is_empty() => return key.clone(),
            Some(name) => name,
            None => last_segment(key),
        };
        let mapped = self.rules.iter().find_map(|rule| rule.apply(name.as_bytes())).unwrap_or(name);
        self.written(mapped).prefixed(&self.from)
    }

    /// A name as it is written below the destination's folder: decoded and encoded as set.
    fn written(&self, name: ObjectKey) -> ObjectKey {
        let name = if self.decoding.is_some() { KeyRules::decode(&name) } else { name };
        match &self.encoding {
            Some(rules) => rules.encode_below(&self.to, &name),
            None => name,
        }
    }

    /// A sort key with its name as it was before decoding and encoding.
    fn read(&self, sort_key: &ObjectKey) -> ObjectKey {
        let before = |name: &ObjectKey| {
            let name = if self.encoding.is_some() { KeyRules::decode(name) } else { name.clone() };
            // Several names may decode to this one; this is the one that encoding produces.
            self.decoding.as_ref().map_or_else(|| name.clone(), |rules| rules.encode_below(&self.from, &name))
        };
        sort_key.stripped(&self.from).map_or_else(|| before(sort_key), |name| before(&name).prefixed(&self.from))
    }

    /// The key at the destination for a sort key.
    pub(crate) fn target(&self, sort_key: &ObjectKey) -> ObjectKey {
        self.name(sort_key).prefixed(&self.to)
    }

    /// The sort key for a key at the destination.
    pub(crate) fn sort_key_of_target(&self, target: &ObjectKey) -> ObjectKey {
        target.stripped(&self.to).unwrap_or_else(|| target.clone()).prefixed(&self.from)
    }

    /// The source keys that map to this sort key.
    pub(crate) fn sources(&self, sort_key: &ObjectKey) -> Vec<ObjectKey> {
        let (mut keys, same) = (self.renamed(sort_key), self.read(sort_key));
        if self.sort_key(&same) == *sort_key && !keys.contains(&same) {
            keys.push(same);
        }
        keys
    }

    /// The names by which filters judge an object that only the destination has: the names
    /// that a rule would have changed to its own, or its own if there are none.
    pub(crate) fn judged_by(&self, sort_key: &ObjectKey) -> Vec<ObjectKey> {
        let renamed = self.renamed(sort_key);
        let keys = if renamed.is_empty() { vec![self.read(sort_key)] } else { renamed };
        keys.iter().map(|key| self.name(key)).collect()
    }

    /// The source keys that a rule maps to this sort key.
    fn renamed(&self, sort_key: &ObjectKey) -> Vec<ObjectKey> {
        let same = self.read(sort_key);
        let Some(name) = same.stripped(&self.from) else { return Vec::new() };
        let before = self.rules.iter().filter_map(|rule| exchange(name.as_bytes(), &rule.to, &rule.from));
        let mut keys: Vec<ObjectKey> = before.map(|name| name.prefixed(&self.from)).collect();
        keys.retain(|key| *key != same && self.sort_key(key) == *sort_key);
        keys.sort();
        keys.dedup();
        keys
    }
}

/// What follows the last slash that is not the end of the key.
fn last_segment(key: &ObjectKey) -> ObjectKey {
    let bytes = key.as_bytes();
    let inner = bytes.strip_suffix(b"/").unwrap_or(bytes);
    let start = inner.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
    ObjectKey::new(bytes[start..].to_vec()).unwrap_or_else(|_| key.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> ObjectKey {
        ObjectKey::try_from(text).unwrap()
    }

    fn mapping(rules: &[(&str, &str)]) -> Mapping {
        let rules = rules.iter().map(|(from, to)| PrefixMap::new(*from, *to)).collect();
        Mapping::new("in/".into(), "out/".into(), rules)
    }

    #[test]
    fn the_first_rule_that_holds_wins_and_others_keep_their_names() {
        let mapping = mapping(&[("old/a", "x"), ("old/", "new/"), ("tmp/", "")]);
        for (source, target) in [
            ("in/old/ab", "out/xb"),
            ("in/old/b", "out/new/b"),
            ("in/tmp/c", "out/c"),
            ("in/tmp/", "out/tmp/"),
            ("in/new/b", "out/new/b"),
            ("in/older", "out/older"),
        ] {
            let sort_key = mapping.sort_key(&key(source));
            assert_eq!(mapping.target(&sort_key), key(target), "{source}");
            assert!(mapping.sources(&sort_key).contains(&key(source)), "{source}");
        }
        assert_eq!(mapping.sources(&key("in/new/b")), [key("in/old/b"), key("in/tmp/new/b"), key("in/new/b")]);
        assert_eq!(mapping.sources(&key("in/old/c")), [key("in/tmp/old/c")], "what a rule renames is not there");
    }

    #[test]
    fn one_object_that_is_named_gets_its_last_name() {
        for (rules, encodes, source, target) in [
            (&[][..], false, "in", "out/in"),
            (&[], false, "elsewhere/old/b", "out/b"),
            (&[], false, "elsewhere/old/", "out/old/"),
            (&[("b", "new")], false, "elsewhere/old/b", "out/new"),
            (&[], true, "elsewhere//100%", "out/100%25"),
        ] {
            let encoding = encodes.then(|| KeyRules::any(1024));
            let mapping = Mapping { encoding, ..mapping(rules) };
            let sort_key = mapping.sort_key(&key(source));
            assert_eq!(mapping.target(&sort_key), key(target), "{source}");
            assert_eq!(mapping.sort_key_of_target(&key(target)), sort_key, "{source}");
        }
    }

    #[test]
    fn keys_are_written_for_the_destination_and_found_again() {
        let mut keys = KeyRules::any(1024);
        keys.empty_segments = lepton_core::KeyHandling::Refused;
        let mapping = Mapping { encoding: Some(keys), ..mapping(&[("old/", "new/")]) };
        for (source, target) in
            [("in/a//b", "out/a/%2Fb"), ("in//a", "out/%2Fa"), ("in/old//100%", "out/new/%2F100%25"), ("in/a", "out/a")]
        {
            let sort_key = mapping.sort_key(&key(source));
            assert_eq!(mapping.target(&sort_key), key(target), "{source}");
            assert!(mapping.sources(&sort_key).contains(&key(source)), "{source}");
        }
        assert_eq!(mapping.judged_by(&key("in/new/%2Fx")), [key("old//x")]);
        assert_eq!(mapping.judged_by(&key("in/%2Fx")), [key("/x")]);
    }

    #[test]
    fn keys_are_given_back_as_they_were() {
        let mut keys = KeyRules::any(1024);
        keys.empty_segments = lepton_core::KeyHandling::Refused;
        let mapping = Mapping { decoding: Some(keys), ..mapping(&[("old/", "new/")]) };
        for (source, target) in [("in/a/%2Fb", "out/a//b"), ("in/old/%2F100%25", "out/new//100%"), ("in/a", "out/a")] {
            let sort_key = mapping.sort_key(&key(source));
            assert_eq!(mapping.target(&sort_key), key(target), "{source}");
            assert!(mapping.sources(&sort_key).contains(&key(source)), "{source}");
        }
    }
}
