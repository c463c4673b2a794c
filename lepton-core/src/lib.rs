//! The contracts of Lepton: the traits that backends implement and the engine builds on.
//!
//! - [`Storage`] and its facets, [`StorageExt`] for callers, [`MemoryStorage`] as
//!   the reference implementation
//! - [`ObjectKey`], [`ObjectMeta`], [`Attributes`], [`Capabilities`]
//! - [`Error`] with its kind, retry class and effect; [`decide`], the single rule for
//!   retries
//! - [`TreeHasher`] and the checksums that stores keep
//! - [`layer`]: stores that wrap stores
//! - [`deployment`], [`traffic`], [`data_set`]: workloads, the route to them, and the data that
//!   move with them; [`migration`]: the state machine over them (unstable)
//! - [`Runtime`], [`MemoryBudget`], [`journal`]
//! - `conformance`, the suite that every backend passes (feature `conformance`)
//!
//! This crate opens no sockets and spawns no tasks except through [`Runtime`].

mod attribute_rules;
mod body;
mod budget;
mod capabilities;
mod checksum;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod data_set;
pub mod deployment;
mod encoding;
mod error;
mod file_facts;
pub mod journal;
mod key;
mod key_rules;
pub mod layer;
pub mod migration;
mod object;
pub mod resolver;
mod runtime;
pub mod step;
mod storage;
pub mod traffic;

pub use attribute_rules::{MetadataNames, TagCharacters};
pub use body::{Body, BodySource, ByteStream, Hashing, Leaf, LeafStream, Leaves};
pub use budget::{MemoryBudget, Permit};
pub use capabilities::{Capabilities, ListOrder, MultipartLimits, Support};
pub use checksum::{
    ChecksumAlgorithm, ChecksumScope, Crc, CrcHasher, HmacSha256, LEAF_SIZE, Md5Hasher, Sha256, StoredChecksum,
    TreeDigest, TreeHasher, combine_crc, crc, from_hex, md5, part_root, root_of_parts, to_hex,
};
pub use error::{Decision, Effect, Error, ErrorKind, Result, RetryClass, decide};
pub use key::{KeyPrefix, ObjectKey};
pub use key_rules::{KeyHandling, KeyRules};
pub use object::{Attribute, Attributes, ETag, ObjectMeta, Precondition, VersionId};
pub use runtime::{Runtime, RuntimeExt, SharedRuntime, SystemRuntime, Task};
pub use storage::{
    CompleteOptions, CopyOptions, CopySource, CreateUploadOptions, DeleteRequest, DeleteResults, GetOptions, GetReply,
    HeadOptions, ListPage, ListRequest, Location, MemoryStorage, MemoryStorageBuilder, Method, Multipart, ObjectInfo,
    ObjectVersion, Overlap, PageStream, PartInfo, PartReceipt, PartSpec, PassedOver, PhysicalLocation, PutOptions,
    PutReceipt, ServerCheck, ServerCopy, SharedStorage, SignedUrl, Signer, Storage, StorageExt, Unlisted,
    UnwantedFolders, Upload, UploadId, UploadInfo, VersionStream, Versions,
};
