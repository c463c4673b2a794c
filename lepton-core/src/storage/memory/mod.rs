//! The in-memory backend: the reference of what a backend does, with every facet
//! but the signer (there is nobody to hand a URL to).
//!
//! Tags and checksums are made as Amazon S3 makes them: the tag of an object put
//! in one go is its MD5, that of an object in parts the MD5 of their MD5s and
//! their number; every object has the CRC-64/NVME of all its bytes.

mod copy;
mod multipart;
mod objects;
mod versions;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt as _;

use super::{
    DeleteRequest, GetOptions, GetReply, HeadOptions, ListPage, ListRequest, Multipart, ObjectInfo, PageStream,
    PutOptions, PutReceipt, ServerCheck, ServerCopy, Signer, Storage, Versions,
};
use crate::body::Body;
use crate::capabilities::Capabilities;
use crate::checksum::{Crc, StoredChecksum, combine_crc, crc, md5, to_hex};
use crate::env::{SharedEnv, SystemEnv};
use crate::error::{Error, ErrorKind, Result};
use crate::key::ObjectKey;
use crate::object::ETag;
use objects::{Object, Objects};

/// Objects in memory. Clones share them.
///
/// ```
/// # use lepton_core::{MemoryStorage, ObjectKey, StorageExt};
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let store = MemoryStorage::new();
/// let key = ObjectKey::new("greeting")?;
/// store.write(&key, "hello".into()).await?;
/// assert_eq!(store.read(&key, 100).await?, "hello");
/// # Ok::<(), lepton_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct MemoryStorage {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    url: String,
    capabilities: Capabilities,
    versioned: bool,
    env: SharedEnv,
    objects: Mutex<Objects>,
}

/// Every store of the process by its URL, so that one can copy from another.
static STORES: Mutex<BTreeMap<String, Weak<Shared>>> = Mutex::new(BTreeMap::new());

/// Describes an in-memory store.
#[derive(Debug, Default)]
pub struct MemoryStorageBuilder {
    name: Option<String>,
    versioned: bool,
    capabilities: Option<Capabilities>,
    env: Option<SharedEnv>,
}

impl MemoryStorageBuilder {
    /// The name in the store's URL, `memory:NAME`. If this process has a store of
    /// that name already, that one is it.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Whether old versions are kept.
    #[must_use]
    pub fn versioned(mut self, versioned: bool) -> Self {
        self.versioned = versioned;
        self
    }

    /// What the store declares; it honours key rules and the largest sizes.
    #[must_use]
    pub fn capabilities(mut self, capabilities: Capabilities) -> Self {
        self.capabilities = Some(capabilities);
        self
    }

    /// The clock. Default: the system's.
    #[must_use]
    pub fn env(mut self, env: SharedEnv) -> Self {
        self.env = Some(env);
        self
    }

    /// The store.
    pub fn build(self) -> MemoryStorage {
        static UNNAMED: AtomicU64 = AtomicU64::new(1);
        let name = self.name.unwrap_or_else(|| format!("unnamed-{}", UNNAMED.fetch_add(1, Ordering::Relaxed)));
        let url = format!("memory:{name}");
        let mut stores = STORES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = stores.get(&url).and_then(Weak::upgrade) {
            return MemoryStorage { shared };
        }
        stores.retain(|_, store| store.strong_count() > 0);
        let capabilities = self.capabilities.unwrap_or_else(|| default_capabilities(self.versioned));
        let shared = Arc::new(Shared {
            url: url.clone(),
            capabilities,
            versioned: self.versioned,
            env: self.env.unwrap_or_else(SystemEnv::shared),
            objects: Mutex::default(),
        });
        stores.insert(url, Arc::downgrade(&shared));
        MemoryStorage { shared }
    }
}

fn default_capabilities(versioned: bool) -> Capabilities {
    let mut capabilities = Capabilities::everything("memory");
    if !versioned {
        capabilities.versions = crate::Support::Unsupported;
    }
    capabilities
}

impl MemoryStorage {
    /// An empty store that nobody else has.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Describes a store.
    pub fn builder() -> MemoryStorageBuilder {
        MemoryStorageBuilder::default()
    }

    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.shared.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self, key: &ObjectKey, len: u64, largest: u64) -> Result<()> {
        self.shared.capabilities.keys.check(key)?;
        if len > largest {
            let message = format!("{len} bytes; this store takes at most {largest}");
            return Err(Error::new(ErrorKind::TooLarge, message).with_context("key", key));
        }
        Ok(())
    }
}

impl Default for MemoryStorage {
    fn default() -> Self {
        Self::new()
    }
}

/// The bytes of an object or part, with what S3 says of them.
#[derive(Debug, Clone)]
struct Content {
    pieces: Vec<Bytes>,
    len: u64,
    md5: [u8; 16],
    crc: u64,
}

impl Content {
    /// Reads a body to its end before anything is changed.
    async fn read(body: Body) -> Result<Self> {
        let leaves: Vec<_> = body.open().try_collect().await?;
        let pieces: Vec<Bytes> = leaves.into_iter().flat_map(|leaf| leaf.pieces).collect();
        let len = pieces.iter().map(|piece| piece.len() as u64).sum();
        if len != body.len() {
            let message = format!("the body gave {len} bytes where {} were promised", body.len());
            return Err(Error::invalid_input(message));
        }
        let sum = md5(&pieces.concat());
        let crc = pieces.iter().fold(0, |so_far, piece| {
            combine_crc(Crc::Crc64Nvme, so_far, crc(Crc::Crc64Nvme, piece), piece.len() as u64)
        });
        Ok(Self { pieces, len, md5: sum, crc })
    }

    fn etag(&self) -> ETag {
        ETag::new(format!("\"{}\"", to_hex(&self.md5)))
    }

    fn checksum(&self) -> StoredChecksum {
        StoredChecksum::full(crate::ChecksumAlgorithm::Crc64Nvme, self.crc.to_be_bytes())
    }
}

#[async_trait]
impl Storage for MemoryStorage {
    fn capabilities(&self) -> &Capabilities {
        &self.shared.capabilities
    }

    fn url(&self) -> &str {
        &self.shared.url
    }

    fn list(&self, request: ListRequest) -> PageStream {
        let store = self.clone();
        let page = move |after: Option<Bytes>| {
            let (page, next) = store.objects().page(&request, after);
            let empty = page.objects.is_empty() && page.prefixes.is_empty();
            (!empty).then_some((Ok::<ListPage, Error>(page), next))
        };
        // Each page is looked up from the last name seen: keys may come and go.
        Box::pin(futures_util::stream::unfold(None, move |after| std::future::ready(page(after))))
    }

    async fn head(&self, key: &ObjectKey, options: HeadOptions) -> Result<ObjectInfo> {
        let objects = self.objects();
        let object = objects.get(key, options.version.as_ref()).map_err(|e| named(e, "head", key))?;
        let info = object.info();
        Ok(if options.tags { ObjectInfo { attributes: object.attributes.clone(), ..info } } else { info })
    }

    async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<GetReply> {
        let objects = self.objects();
        let reply = objects.get(key, options.version.as_ref()).and_then(|object| object.read(&options));
        reply.map_err(|e| named(e, "get", key))
    }

    async fn put(&self, key: &ObjectKey, body: Body, options: PutOptions) -> Result<PutReceipt> {
        let put = async {
            self.check(key, body.len(), self.shared.capabilities.max_single_put)?;
            let content = Content::read(body).await?;
            let mut object = Object::new(key.clone(), &content, self.shared.env.now());
            object.attributes = options.attributes;
            object.meta.storage_class = options.storage_class;
            self.objects().insert(object, &options.precondition, self.shared.versioned)
        };
        let meta = put.await.map_err(|e| named(e, "put", key))?;
        Ok(PutReceipt::new(ServerCheck::AsWritten).etag(meta.etag).version(meta.version).checksums(meta.checksums))
    }

    async fn delete(&self, requests: Vec<DeleteRequest>) -> Result<Vec<Result<()>>> {
        let (mut objects, now) = (self.objects(), self.shared.env.now());
        let delete = |request: DeleteRequest| {
            objects.remove(&request, self.shared.versioned, now).map_err(|e| named(e, "delete", &request.key))
        };
        Ok(requests.into_iter().map(delete).collect())
    }

    fn multipart(&self) -> Option<&dyn Multipart> {
        Some(self)
    }

    fn server_copy(&self) -> Option<&dyn ServerCopy> {
        Some(self)
    }

    fn signer(&self) -> Option<&dyn Signer> {
        None
    }

    fn versions(&self) -> Option<&dyn Versions> {
        self.shared.versioned.then_some(self)
    }
}

fn named(error: Error, operation: &'static str, key: &ObjectKey) -> Error {
    error.with_operation(operation).with_context("key", key)
}
