//! Local disks: a folder as an object store.
//!
//! A key is a path below the root; nothing outside the root is ever read or written. An
//! object appears whole or not at all, and is on the disk when the call returns.
//!
//! - `config`: the user's settings; `build`: makes a store from them
//! - `disk`: [`LocalStorage`], its capabilities, keys to paths; `storage`: its
//!   operations, each implemented in the file named after it
//! - `contain`: opening paths without leaving the root
//! - `list`, `read`, `write`, `delete`, `multipart`: the operations; `names` holds those
//!   of one folder, `slots` is the record of an upload's parts
//! - `copy`: copies from one root to another; `extents` moves their bytes in the cheapest
//!   way that the system supports
//! - `temp`: files that are not visible yet, and how they become visible
//! - `metadata`: times, modes and extended attributes
//! - `folder`: its lock, and new files in it; `folding`: whether its names are case-sensitive
//! - `error`: maps the system's error numbers

mod build;
mod config;
mod contain;
mod copy;
mod delete;
mod disk;
mod error;
mod extents;
mod folder;
mod folding;
mod list;
mod metadata;
mod multipart;
mod names;
mod read;
mod slots;
mod space;
mod storage;
mod temp;
mod write;

pub use build::LocalBuilder;
pub use config::{Durability, EmptyDirectories, LocalConfig, SpecialFiles, Symlinks};
pub use disk::LocalStorage;
