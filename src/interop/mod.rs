//! Adapters between Lepton's stores and those of the [`object_store`] crate, in both
//! directions.
//!
//! [`to_object_store`] lets a Lepton store be used wherever an [`ObjectStore`] is expected, as
//! in DataFusion or delta-rs. [`from_object_store`] makes anything that implements
//! [`ObjectStore`] a source or a destination.
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
//! segments, `.` or `..`. A path and its key are the same bytes. A key that is not a valid path
//! is refused by name in both directions, except that keys that end in `/`, which many tools
//! use to mark folders, are left out of listings, as the stores of that crate do.
//!
//! - `convert`: paths, attributes, errors
//! - `from`: an [`ObjectStore`] as a Lepton store; `uploads`: its multipart uploads; `deletes`:
//!   its batch deletes
//! - `to`: a Lepton store as an [`ObjectStore`]; `upload`: its multipart uploads; `copy`: its
//!   multipart copies
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
