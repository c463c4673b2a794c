//! URLs that name a bucket and carry its settings as options.

use lepton_core::{Error, Result};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::query::{options, split_query};

/// A URL that names a bucket (or the service's equivalent) and a path in it.
pub(super) struct Named {
    pub(super) place: String,
    pub(super) path: Vec<u8>,
    pub(super) options: serde_json::Map<String, Value>,
}

impl Named {
    /// Parses what follows the scheme. `noun` is the service's name for the first part;
    /// `secrets` are the options that a URL must not hold, and `advice` says where they
    /// belong.
    pub(super) fn of(rest: &str, (scheme, noun): (&str, &str), secrets: &[&str], advice: &str) -> Result<Self> {
        let (place, query) = split_query(rest.trim_start_matches("//"));
        let (place, path) = place.split_once('/').unwrap_or((place, ""));
        if place.contains(['@', ':']) {
            return Err(Error::invalid_input(format!(
                "an {scheme}:// URL begins with the {noun}; credentials belong into the environment or a settings \
                 file, the store's address into the option endpoint"
            )));
        }
        let options = options(query)?;
        if let Some((name, _)) = options.iter().find(|(name, _)| secrets.contains(&name.as_str())) {
            let message = format!("{name} does not belong into a URL, where others can see it: use {advice}");
            return Err(Error::invalid_input(message));
        }
        if options.iter().any(|(name, _)| name == noun) {
            let message = format!("the {noun} is the first part of an {scheme}:// URL, not an option");
            return Err(Error::invalid_input(message));
        }
        Ok(Self {
            place: percent_decode_str(place).decode_utf8_lossy().into_owned(),
            path: percent_decode_str(path).collect(),
            options: options.into_iter().map(|(name, value)| (name, Value::String(value))).collect(),
        })
    }
}
