//! Local disks: a folder as an object store.
//!
//! A key is a path below the root; nothing outside the root is ever read or
//! written. An object appears whole or not at all, and is on the disk when the
//! call returns.
//!
//! - `config`: what the user sets; `build`: a store of it
//! - `disk`: [`LocalStorage`], what it can do, keys to paths; `storage`: its operations, each
//!   in the file that is named for it
//! - `contain`: opening paths without leaving the root
//! - `list`, `read`, `write`, `delete`, `multipart`: the operations; `names` are
//!   those of one folder, `slots` the record of an upload's parts
//! - `copy`: copies from one root to another; `extents` moves their bytes, as
//!   cheaply as the system can
//! - `temp`: files that nobody sees yet, and how they become visible
//! - `metadata`: times, modes and extended attributes
//! - `folding`: whether case tells names apart
//! - `error`: what the system's error numbers mean here

mod build;
mod config;
mod contain;
mod copy;
mod delete;
mod disk;
mod error;
mod extents;
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
pub use config::{Durability, EmptyDirectories, LocalSettings, SpecialFiles, Symlinks};
pub use disk::LocalStorage;
