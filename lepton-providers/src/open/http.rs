//! Locations on web servers.

use std::sync::Arc;

use lepton_core::{Location, Result};
use percent_encoding::percent_decode_str;

use super::query::split_query;
use super::settings::{StoreConfig, other_backend};
use crate::http::{HttpConfig, HttpStorage};

/// A folder on a web server; for a file, its folder with the file name as the path.
pub(super) fn open_http(url: &str, settings: Option<StoreConfig>) -> Result<Location> {
    let base = match settings {
        None => None,
        Some(StoreConfig::Http(config)) => Some(*config),
        Some(_) => return Err(other_backend("http")),
    };
    let (place, query) = split_query(url);
    let (folder, name) = place.rsplit_once('/').unwrap_or((place, ""));
    let (folder, name) = if folder.ends_with('/') { (place, "") } else { (folder, name) };
    let question = if query.is_empty() { "" } else { "?" };
    let config = HttpConfig::new([folder, "/", question, query].concat());
    let config = match base {
        Some(base) => base.overridden_by(config),
        None => config,
    };
    Ok(Location::new(Arc::new(HttpStorage::new(config)?), percent_decode_str(name).collect::<Vec<u8>>()))
}
