//! Settings of a local store.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How to treat symbolic links below the root. A put replaces a link, and never writes
/// through it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Symlinks {
    /// Treats links as missing.
    #[default]
    Skip,
    /// Treats a link as its target, if that is inside the root. A link that is absolute,
    /// leads outside, leads to nothing, or leads back to a folder above it is an error
    /// that names it. Needs Linux 5.6.
    Follow,
    /// Returns an error that names the link.
    Error,
}

/// How to treat sockets, pipes and devices below the root.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SpecialFiles {
    /// Treats them as missing.
    #[default]
    Skip,
    /// Returns an error that names the file.
    Error,
}

/// Whether an empty folder is an object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum EmptyDirectories {
    /// Not an object: it is not listed, a key that ends in `/` is refused, and a delete
    /// that empties a folder removes it and its empty parents, up to the root.
    #[default]
    Ignore,
    /// An object without bytes whose key ends in `/`. Putting it creates the folder,
    /// deleting it removes the folder, and deleting the content of a folder leaves the
    /// folder. A folder that is not empty, even if it only holds a file in progress, is
    /// not listed. Bytes for a key ending in `/` are refused.
    Marker,
}

/// When written bytes must be on the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Durability {
    /// When the call that writes them returns: the file and its folder are
    /// flushed.
    #[default]
    Always,
    /// When the system chooses. A power failure may lose or empty objects and parts that
    /// were reported as written.
    None,
}

/// The settings of a [`LocalStorage`](super::LocalStorage), as written in a configuration
/// file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LocalConfig {
    /// The folder that holds the objects.
    pub root: PathBuf,
    /// Creates the folder if it does not exist.
    pub create_root: bool,
    /// How to treat symbolic links.
    pub symlinks: Symlinks,
    /// How to treat sockets, pipes and devices.
    pub special_files: SpecialFiles,
    /// Whether an empty folder is an object.
    pub empty_directories: EmptyDirectories,
    /// When written bytes must be on the disk.
    pub sync: Durability,
    /// Reads every object back after writing and compares its digest.
    pub paranoid: bool,
}
