//! The storage contract: what a backend implements.
//!
//! [`Storage`] and its facets are for implementers. They have few methods and no
//! defaults, so a wrapper that forgets one does not compile. Callers get convenience
//! methods from [`StorageExt`]. [`MemoryStorage`] is the reference implementation.
//!
//! No backend retries: errors state whether trying again can help and what was done
//! ([`Error::retry`](crate::Error::retry), [`Error::effect`](crate::Error::effect)),
//! and the caller decides.

mod contract;
mod copy;
mod ext;
mod location;
mod memory;
mod multipart;
mod options;
mod physical;
mod replies;
mod versions;

pub use contract::{PageStream, SharedStorage, Storage};
pub use copy::{CopyOptions, CopySource, ServerCopy};
pub use ext::StorageExt;
pub use location::Location;
pub use memory::{MemoryStorage, MemoryStorageBuilder};
pub use multipart::{
    CompleteOptions, CreateUploadOptions, Multipart, PartInfo, PartReceipt, PartSpec, Upload, UploadId, UploadInfo,
};
pub use options::{
    DeleteRequest, GetOptions, HeadOptions, ListRequest, PutOptions, PutReceipt, ServerCheck, UnwantedFolders,
};
pub use physical::{Overlap, PhysicalLocation};
pub use replies::{DeleteResults, GetReply, ListPage, ObjectInfo, PassedOver, Unlisted};
pub use versions::{Method, ObjectVersion, SignedUrl, Signer, VersionStream, Versions};
