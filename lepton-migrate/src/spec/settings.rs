//! The transfer settings that a followed data set can have, whether a file or a program has them.

use std::collections::BTreeSet;
use std::sync::Arc;

use lepton_core::{MemoryStorage, Result, SharedStorage};
use lepton_data::{Compare, ExistingPolicy, Transfer, TransferConfig};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Error as _, IntoDeserializer as _, MapAccess, Visitor};
use serde::{Deserialize as _, Deserializer};

/// The defaults: a mirror of what differs.
pub(super) fn followed() -> TransferConfig {
    let mut settings = TransferConfig::default();
    settings.delete = true;
    settings.existing = ExistingPolicy::IfDifferent;
    settings
}

/// Why a data set with these settings cannot be followed in both directions, also by the engine;
/// `None` if it can.
pub(super) fn refusal(settings: &TransferConfig) -> Option<String> {
    not_followed(settings).or_else(|| engine(settings).err().map(|error| error.message().to_owned()))
}

/// Why both sides could not hold the same objects with these settings, or not follow each other;
/// `None` if they can.
pub(crate) fn not_followed(settings: &TransferConfig) -> Option<String> {
    let filters = &settings.filters;
    let sized = filters.min_size.is_some() || filters.max_size.is_some();
    let aged = filters.min_age.is_some() || filters.max_age.is_some();
    let names = "objects have the same names at both sides, so that the way back finds them";
    let whole = "every object takes part, since the last delta must copy all of them";
    let refused = [
        ("map", !settings.map.is_empty(), names),
        ("encode_keys", settings.encode_keys, names),
        ("decode_keys", settings.decode_keys, names),
        ("versions", settings.versions, "the current version of each object is followed"),
        ("delete_excluded", settings.delete_excluded, "objects outside the filters are not of the data set"),
        ("backup_prefix", settings.backup_prefix.is_some(), "an object is replaced in many rounds, a backup never"),
        ("max_transfer", settings.max_transfer.is_some(), whole),
        ("max_duration", settings.max_duration.is_some(), whole),
        (
            "filters",
            sized || aged,
            "an object would leave the data set as it grows or ages; filter by name, in `rules`",
        ),
    ];
    if let Some((name, _, why)) = refused.into_iter().find(|(_, wrong, _)| *wrong) {
        return Some(format!("a followed data set cannot have the setting `{name}`: {why}"));
    }
    let is_followed = matches!(settings.existing, ExistingPolicy::Overwrite | ExistingPolicy::IfDifferent);
    if !is_followed {
        return Some(existing());
    }
    if !matches!(settings.compare, Compare::Auto | Compare::Checksum | Compare::Content) {
        return Some("`compare` of a followed data set is by the bytes: \"checksum\" or \"content\"".to_owned());
    }
    None
}

fn existing() -> String {
    "`existing` of a followed data set is \"if-different\"".to_owned()
}

/// The engine's own check of the settings.
fn engine(settings: &TransferConfig) -> Result<()> {
    let place = || Arc::new(MemoryStorage::new()) as SharedStorage;
    let mut settings = settings.clone();
    settings.delete = true;
    let transfer = Transfer::builder().config(settings).from(place()).to(place()).journal("journal");
    transfer.build()?.follow().map(drop)
}

/// Reads settings. What is written decides: `delete = false` is refused, and no `delete` is not.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TransferConfig, D::Error> {
    struct Read;

    impl<'de> Visitor<'de> for Read {
        type Value = TransferConfig;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("settings of a transfer")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TransferConfig, A::Error> {
            let mut names = BTreeSet::new();
            let map = Recorded { map, names: &mut names };
            let mut settings = TransferConfig::deserialize(MapAccessDeserializer::new(map))?;
            if names.contains("delete") && !settings.delete {
                return Err(A::Error::custom("`delete` of a followed data set is true: it follows deletes"));
            }
            if names.contains("existing") && settings.existing != ExistingPolicy::IfDifferent {
                return Err(A::Error::custom(existing()));
            }
            (settings.delete, settings.existing) = (true, ExistingPolicy::IfDifferent);
            match refusal(&settings) {
                Some(why) => Err(A::Error::custom(why)),
                None => Ok(settings),
            }
        }
    }

    deserializer.deserialize_map(Read)
}

/// Remembers the names of a map.
struct Recorded<'a, A> {
    map: A,
    names: &'a mut BTreeSet<String>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Recorded<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        self.map.next_key_seed(Name { seed, names: self.names })
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

struct Name<'a, K> {
    seed: K,
    names: &'a mut BTreeSet<String>,
}

impl<'de, K: DeserializeSeed<'de>> DeserializeSeed<'de> for Name<'_, K> {
    type Value = K::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<K::Value, D::Error> {
        let name = String::deserialize(deserializer)?;
        self.names.insert(name.clone());
        self.seed.deserialize(name.into_deserializer())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<TransferConfig, String> {
        deserialize(&mut serde_json::Deserializer::from_str(json)).map_err(|error| error.to_string())
    }

    #[test]
    fn settings_that_cannot_be_followed_are_refused_by_name() {
        for (json, name) in [
            (r#"{"delete":false}"#, "`delete`"),
            (r#"{"existing":"overwrite"}"#, "`existing`"),
            (r#"{"existing":"skip"}"#, "`existing`"),
            (r#"{"compare":"time"}"#, "`compare`"),
            (r#"{"compare":"size"}"#, "`compare`"),
            (r#"{"versions":true}"#, "`versions`"),
            (r#"{"encode_keys":true}"#, "`encode_keys`"),
            (r#"{"decode_keys":true}"#, "`decode_keys`"),
            (r#"{"map":[{"from":"a","to":"b"}]}"#, "`map`"),
            (r#"{"delete_excluded":true}"#, "`delete_excluded`"),
            (r#"{"backup_prefix":"old/"}"#, "`backup_prefix`"),
            (r#"{"max_transfer":1}"#, "`max_transfer`"),
            (r#"{"max_duration":1}"#, "`max_duration`"),
            (r#"{"filters":{"min_age":1}}"#, "`filters`"),
            (r#"{"part_size":1}"#, "part_size"),
            (r#"{"max_delete_percent":101}"#, "max_delete_percent"),
            (r#"{"max_deletes":1}"#, "`max_delete_percent`"),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.contains(name), "{json}: {error}");
        }
        let settings = read(r#"{"delete":true,"existing":"if-different","compare":"content","max_delete":3}"#).unwrap();
        assert_eq!((settings.delete, settings.max_delete), (true, Some(3)));
        assert_eq!(read("{}").unwrap(), followed());
        assert_eq!(refusal(&TransferConfig::default()), None);
    }
}
