//! Lepton's stores beside those of the [`object_store`] crate, both ways.
//!
//! [`to_object_store`] puts a Lepton store where an [`ObjectStore`] is asked for, as by
//! DataFusion or delta-rs. [`from_object_store`] makes a source or a destination of anything
//! that implements [`ObjectStore`].
//!
//! ```
//! use std::sync::Arc;
//! use lepton::{MemoryStorage, interop};
//! use object_store::ObjectStoreExt;
//! use object_store::path::Path;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let theirs = interop::to_object_store(Arc::new(MemoryStorage::new()));
//! theirs.put(&Path::from("2024/a.jpg"), "bytes".into()).await?;
//! assert_eq!(theirs.head(&Path::from("2024/a.jpg")).await?.size, 5);
//! # Ok(()) }
//! ```
//!
//! Names: an [`ObjectStore`] has paths, which are UTF-8 without control characters, empty
//! segments, and `.` and `..`. A path and a key are the same bytes. A key that is no path is
//! refused by name in both directions; only keys that end in `/`, with which many tools mark
//! folders, are left out of listings, as they are by the stores of that crate.
//!
//! - `convert`: paths, attributes, errors
//! - `from`: a Lepton store of an [`ObjectStore`]; `uploads`: in parts; `deletes`: of many
//! - `to`: an [`ObjectStore`] of a Lepton store; `upload`: in parts; `copy`: copies in parts
//!
//! [`ObjectStore`]: object_store::ObjectStore

mod convert;
mod copy;
mod deletes;
mod from;
mod to;
mod upload;
mod uploads;

pub use from::{FromObjectStore, from_object_store};
pub use to::{ToObjectStore, to_object_store};
