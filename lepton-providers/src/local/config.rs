//! Settings of a local store.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What to do about symbolic links below the root. A put replaces a link, and
/// never writes through it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Symlinks {
    /// They count as not there.
    #[default]
    Skip,
    /// They count as what they point to, as long as that is inside the root.
    /// One that is absolute, leads outside, to nothing, or back to a folder
    /// above it is an error that names it. Needs Linux 5.6.
    Follow,
    /// Meeting one is an error that names it.
    Error,
}

/// What to do about sockets, pipes and devices below the root.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SpecialFiles {
    /// They count as not there.
    #[default]
    Skip,
    /// Meeting one is an error that names it.
    Error,
}

/// What a folder without anything in it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum EmptyDirectories {
    /// Nothing: it is not listed, a key that ends in `/` is refused, and a
    /// delete that empties a folder removes it, and those above it, up to the
    /// root.
    #[default]
    Ignore,
    /// An object without bytes whose key ends in `/`. Putting one makes the
    /// folder, deleting one removes it, and deleting what is in a folder leaves
    /// the folder. A folder that holds something, even if only a file in
    /// progress, is not listed. Bytes for a key ending in `/` are refused.
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
    /// When the system sees fit. A power failure may lose or empty objects and
    /// parts that were reported as written.
    None,
}

/// The settings of a [`LocalStorage`](super::LocalStorage), as they stand in a configuration file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LocalSettings {
    /// The folder that holds the objects.
    pub root: PathBuf,
    /// Makes the folder if it is not there.
    pub create_root: bool,
    /// What to do about symbolic links.
    pub symlinks: Symlinks,
    /// What to do about sockets, pipes and devices.
    pub special_files: SpecialFiles,
    /// What an empty folder is.
    pub empty_directories: EmptyDirectories,
    /// When written bytes must be on the disk.
    pub sync: Durability,
    /// Reads every object back after writing and compares its digest.
    pub paranoid: bool,
}
