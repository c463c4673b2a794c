//! Locations on disks.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;
use std::sync::Arc;

use lepton_core::{Error, Location, Result};
use serde_json::Value;

use super::query::parse;
use super::settings::{StoreConfig, other_backend};
use crate::local::{LocalConfig, LocalStorage, Symlinks};

/// A folder; for a file, its folder with the file name as the path.
pub(super) async fn open_local(
    path: Vec<u8>,
    options: Vec<(String, String)>,
    settings: Option<StoreConfig>,
) -> Result<Location> {
    let base = match settings {
        None => LocalConfig::default(),
        Some(StoreConfig::Local(settings)) => settings,
        Some(_) => return Err(other_backend("file")),
    };
    let Ok(Value::Object(mut values)) = serde_json::to_value(base) else {
        return Err(Error::invalid_input("the settings of the folder cannot be read"));
    };
    values.remove("root");
    for (name, value) in options {
        if name == "root" {
            return Err(Error::invalid_input("the root is the path of a file:// URL, not an option"));
        }
        values.insert(name, value.parse::<bool>().map_or(Value::String(value), Value::Bool));
    }
    let mut settings: LocalConfig = parse(values)?;
    let path = PathBuf::from(OsString::from_vec(path));
    if settings.symlinks != Symlinks::Follow && path.is_symlink() && path.is_file() {
        let to = path.canonicalize().unwrap_or_default();
        let message = format!(
            "this is a symbolic link, which the settings do not follow; name what it leads to, {}, or set \
             symlinks=follow",
            to.display()
        );
        return Err(Error::invalid_input(message).with_operation("open").with_context("path", path.display()));
    }
    let (root, name) = match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) if path.is_file() => (parent.to_owned(), name.as_bytes().to_vec()),
        _ => (path, Vec::new()),
    };
    settings.root = if root.as_os_str().is_empty() { PathBuf::from(".") } else { root };
    let storage = LocalStorage::from_settings(settings).open().await?;
    Ok(Location::new(Arc::new(storage), name))
}
