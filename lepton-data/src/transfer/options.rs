//! Checked settings, as the engine reads them, and the identity of a journal.

use std::path::PathBuf;
use std::sync::Weak;

use lepton_core::{Attribute, Error, ErrorKind, LEAF_SIZE, Location, Result, Sha256, journal};

use crate::ledger::plan_file::Header;
use crate::names::filter::Filter;
use crate::settings::compare_by::Compare;
use crate::settings::table::Identity;
use crate::settings::transfer::{ExistingPolicy, TransferConfig};

const MIB: u64 = LEAF_SIZE as u64;

use crate::ledger::verification::VerifyDepth;
use crate::telemetry::observer::Observer;
use crate::types::unprotected::Unprotected;

/// Checked settings, as the engine reads them.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) source: Location,
    pub(crate) destination: Location,
    pub(crate) settings: TransferConfig,
    pub(crate) journal: Option<PathBuf>,
    /// Whether an unfinished run of the journal is given up.
    pub(crate) begin_anew: bool,
    pub(crate) manifest: Option<PathBuf>,
    pub(crate) plan: Option<PathBuf>,
    pub(crate) keys: Option<PathBuf>,
    /// The transfer is a round of a follower.
    pub(crate) following: Following,
    /// The caller of a round: once it is gone, the round does not begin.
    pub(crate) caller: Option<Weak<()>>,
    pub(crate) observer: Observer,
    /// Compare the destination with the manifest at the end.
    pub(crate) verify: Option<VerifyDepth>,
}

/// Failures of objects that changed while they were copied.
pub(crate) const CHANGED: [ErrorKind; 2] = [ErrorKind::SourceChanged, ErrorKind::NotFound];

/// How a round of a follower differs from a single run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Following {
    /// It is a single run: a run after a finished one starts without proofs.
    #[default]
    No,
    /// It keeps the proofs of the rounds before it.
    Yes,
    /// It also replaces and deletes only what the rounds are known to have written.
    Guarded,
    /// As `Guarded`, and it also knows what the transfer with this manifest has read: the
    /// destination was the source before.
    Back(PathBuf),
}

impl Following {
    /// Whether objects that somebody else has written at the destination are left.
    pub(crate) fn guards(&self) -> bool {
        matches!(self, Self::Guarded | Self::Back(_))
    }
}

impl Options {
    /// The identity of the journal: everything that changes bytes, names or
    /// deletes. `plan` is the digest of the saved plan, `keys` that of the list.
    pub(crate) fn identity(&self, plan: Option<Sha256>, keys: Option<Sha256>) -> Result<journal::Identity> {
        let mut identity = journal::Identity::new();
        for (side, location) in [("source", &self.source), ("destination", &self.destination)] {
            identity.insert(side.to_owned(), location.storage().url().into());
            identity.insert(format!("{side}_folder"), location.folder().to_string().into());
        }
        identity.extend(plan.map(|plan| ("plan".to_owned(), plan.to_string().into())));
        let (now, default) = (as_json(&self.settings)?, as_json(&TransferConfig::default())?);
        for (name, part) in TransferConfig::IDENTITY {
            let value = || now.get(*name).cloned().unwrap_or_default();
            let value = match part {
                Identity::Always => Some(value()),
                Identity::Listing => plan.is_none().then(value),
                Identity::IfSet => (plan.is_none() && now.get(*name) != default.get(*name)).then(value),
                Identity::ByRules => self.settings.encode_keys.then(|| self.key_rules()),
                Identity::Never => None,
            };
            identity.extend(value.map(|value| ((*name).to_owned(), value)));
        }
        identity.extend(keys.filter(|_| plan.is_none()).map(|keys| ("keys".to_owned(), keys.to_string().into())));
        Ok(identity)
    }

    fn key_rules(&self) -> serde_json::Value {
        serde_json::json!(self.destination.storage().capabilities().keys)
    }

    /// The header of a saved plan with these options.
    pub(crate) fn plan_header(&self) -> Header {
        Header::of(&self.source, &self.destination, &self.settings)
    }

    /// Whether the destination is listed too, because its objects matter.
    pub(crate) fn compares_listings(&self) -> bool {
        let settings = &self.settings;
        settings.existing != ExistingPolicy::Overwrite || settings.delete || settings.backup_prefix.is_some()
    }

    /// What the destination does not protect the objects of such a run against.
    pub(crate) fn unprotected(&self) -> Vec<Unprotected> {
        let planned = self.plan.is_some();
        let compares = self.settings.existing != ExistingPolicy::Overwrite || planned;
        Unprotected::of(self.destination.storage().capabilities(), compares, self.settings.delete || planned)
    }

    /// Whether the run writes the source's objects at the destination and nothing else:
    /// it deletes nothing and makes no backups.
    pub(crate) fn only_adds(&self) -> bool {
        self.plan.is_none() && only_adds(&self.settings)
    }

    /// Whether the run deletes objects of the destination.
    pub(crate) fn deletes(&self) -> bool {
        self.settings.delete || self.plan.is_some()
    }

    /// The path of the manifest, if one is written.
    pub(crate) fn manifest_path(&self) -> Option<PathBuf> {
        self.manifest.clone().or_else(|| Some(self.journal.as_ref()?.join("manifest.jsonl")))
    }
}

fn as_json(settings: &TransferConfig) -> Result<serde_json::Value> {
    serde_json::to_value(settings)
        .map_err(|error| Error::new(ErrorKind::Unexpected, "the settings cannot be written").with_source(error))
}

fn only_adds(settings: &TransferConfig) -> bool {
    !settings.delete && settings.backup_prefix.is_none()
}

/// Refuses impossible settings, by name. A saved plan may delete without `delete`.
pub(crate) fn check_settings(settings: &TransferConfig, planned: bool) -> Result<()> {
    let part = settings.part_size;
    if !part.is_power_of_two() || part < MIB {
        return Err(Error::invalid_input(format!("part_size is {part} bytes; it must be a power of two of MiB")));
    }
    settings.check_limits()?;
    if settings.max_delete_percent > 100 {
        let percent = settings.max_delete_percent;
        return Err(Error::invalid_input(format!("max_delete_percent is {percent}; it must be at most 100")));
    }
    if settings.delete_excluded && !settings.delete {
        return Err(Error::invalid_input("delete_excluded has no meaning without delete"));
    }
    if settings.delete_versions && !settings.delete && !planned {
        return Err(Error::invalid_input("delete_versions has no meaning without delete or a saved plan"));
    }
    if settings.backup_prefix.as_ref().is_some_and(String::is_empty) {
        return Err(Error::invalid_input("backup_prefix is empty; it must keep backups apart, as `backup/` does"));
    }
    crate::settings::prefix_map::check(&settings.map)?;
    Filter::new(&settings.filters, std::time::UNIX_EPOCH)?;
    Ok(())
}

/// Refuses stores that lack a needed capability, or that overlap.
pub(crate) fn check_stores(settings: &TransferConfig, source: &Location, destination: &Location) -> Result<()> {
    let target = destination.storage();
    if target.capabilities().max_object == 0 {
        let message = format!("{} can only be read: it cannot be a destination", target.url());
        return Err(Error::unsupported(message));
    }
    if settings.record_digest && !target.capabilities().keeps(Attribute::UserMetadata) {
        let message = format!("record_digest: {} keeps no user metadata; leave record_digest out", target.url());
        return Err(Error::unsupported(message));
    }
    if source.storage().url() == destination.storage().url() {
        let (from, to) = (source.folder(), destination.folder());
        let inside = from.as_bytes().starts_with(to.as_bytes());
        let harmless = inside && from != to && only_adds(settings);
        if (inside || to.as_bytes().starts_with(from.as_bytes())) && !harmless {
            return Err(Error::invalid_input("source and destination overlap in the same store"));
        }
    }
    for side in [source, destination] {
        let capabilities = side.storage().capabilities();
        if capabilities.retries {
            let message = format!("{} retries by itself; a transfer owns its retries", side.storage().url());
            return Err(Error::unsupported(message));
        }
    }
    Ok(())
}

/// Refuses settings that cannot be combined with moving all versions, by name. `given` is
/// what the builder was given in addition to the settings.
pub(crate) fn check_versions(
    settings: &TransferConfig,
    given: [(&str, bool); 2],
    source: &Location,
    destination: &Location,
) -> Result<()> {
    let filters = &settings.filters;
    let sized = filters.min_size.is_some() || filters.max_size.is_some();
    let aged = filters.min_age.is_some() || filters.max_age.is_some();
    let takes_all = matches!(settings.existing, ExistingPolicy::Overwrite | ExistingPolicy::IfDifferent);
    let weak = matches!(settings.compare, Compare::Size | Compare::Time);
    let others = [
        ("delete", settings.delete, "a history has its own deletes; leave delete out"),
        ("backup_prefix", settings.backup_prefix.is_some(), "nothing is replaced; leave backup_prefix out"),
        ("existing", !takes_all, "set existing to overwrite or if-different: what is there is gone on from"),
        ("compare", weak, "set compare to auto, etag, checksum or content: sizes and times do not tell versions apart"),
        ("min_size and max_size", sized, "leave the sizes out, or filter by name"),
        ("min_age and max_age", aged, "leave the ages out, or filter by name"),
    ];
    let given = given.map(|(name, is_given)| (name, is_given, "leave one of the two out"));
    if let Some((name, _, hint)) = others.into_iter().chain(given).find(|(_, is_set, _)| *is_set) {
        return Err(Error::invalid_input(format!("versions does not go with {name}: {hint}")));
    }
    for (side, location) in [("source", source), ("destination", destination)] {
        if location.storage().versions().is_none() {
            let url = location.storage().url();
            let message = format!("versions: the {side} {url} does not list versions; leave versions out");
            return Err(Error::unsupported(message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_journal_belongs_to_stands_in_its_format() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/formats/journal.md");
        let page = std::fs::read_to_string(page).unwrap();
        for (name, part) in TransferConfig::IDENTITY {
            let named = page.contains(&format!("`{name}`"));
            assert_eq!(named, *part != Identity::Never, "docs/formats/journal.md and {name}");
        }
    }

    #[test]
    fn a_journal_belongs_to_what_changes_bytes_names_or_deletes() {
        let at = |settings| {
            let [source, destination] = ["from/", "to/"]
                .map(|folder| Location::new(std::sync::Arc::new(lepton_core::MemoryStorage::new()), folder));
            let (journal, manifest, plan, keys) = (None, None, None, None);
            Options {
                source,
                destination,
                settings,
                journal,
                begin_anew: false,
                manifest,
                plan,
                keys,
                following: Following::No,
                caller: None,
                observer: Observer::default(),
                verify: None,
            }
        };
        let default = TransferConfig::default;
        let listed = at(default()).identity(None, None).unwrap();
        assert_eq!((&listed["source_folder"], &listed["part_size"]), (&"from/".into(), &(8 * MIB).into()));
        assert_eq!((&listed["backup_prefix"], &listed["time_window"]), (&serde_json::Value::Null, &2.0.into()));
        assert!(
            ["map", "versions", "decode_keys", "encode_keys", "keys", "concurrency"]
                .iter()
                .all(|name| !listed.contains_key(*name))
        );
        let list = at(TransferConfig { decode_keys: true, encode_keys: true, ..default() });
        let list = list.identity(None, Some(Sha256::of(b"keys"))).unwrap();
        assert!(["decode_keys", "encode_keys", "keys"].iter().all(|name| list.contains_key(*name)), "{list:?}");
        let planned = at(default()).identity(Some(Sha256::of(b"plan")), None).unwrap();
        let names: Vec<&str> = planned.keys().map(String::as_str).collect();
        let expected = [
            "backup_prefix",
            "delete_versions",
            "destination",
            "destination_folder",
            "metadata",
            "part_size",
            "plan",
            "record_digest",
            "server_copy",
            "source",
            "source_folder",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn settings_are_checked_and_unknown_names_list_the_known() {
        let mut settings = TransferConfig { part_size: 3 * MIB, ..TransferConfig::default() };
        assert!(check_settings(&settings, false).unwrap_err().to_string().contains("power of two"));
        settings = TransferConfig { memory: 1, ..TransferConfig::default() };
        assert!(check_settings(&settings, false).unwrap_err().to_string().contains("4 MiB"));
        settings = TransferConfig { delete_versions: true, ..TransferConfig::default() };
        assert!(check_settings(&settings, false).unwrap_err().to_string().contains("delete_versions"));
        check_settings(&settings, true).unwrap();
        let error = serde_json::from_str::<TransferConfig>(r#"{"threads": 4}"#).unwrap_err();
        assert!(error.to_string().contains("concurrency"), "{error}");
    }
}
