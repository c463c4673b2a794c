//! A custom backend, and the proof that it conforms: it runs both public suites on itself and
//! prints their reports: `cargo run --features conformance --bin custom_backend`
//!
//! `Scratch` stores the bytes of all objects in one unnamed temporary file and their index in
//! memory. Its capabilities declare what it does not support, and it refuses such requests by
//! name. The space of deleted objects is not reused.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use lepton::core::*;
use lepton::data::conformance as crash;
use tokio::task::block_in_place;

const BLOCK: usize = 1 << 20;
/// The description of each object, and the offset of its bytes in the file.
type Index = BTreeMap<ObjectKey, (ObjectInfo, u64)>;

#[derive(Debug)]
struct Scratch {
    file: Arc<File>,
    end: AtomicU64,
    index: Arc<Mutex<Index>>,
    capabilities: Capabilities,
}

impl Scratch {
    fn new() -> Result<Self> {
        // Declare only what is true: the suite tests all of it.
        let mut capabilities = Capabilities::everything("scratch");
        capabilities.multipart = None;
        capabilities.server_copy = Support::Unsupported;
        capabilities.versions = Support::Unsupported;
        capabilities.storage_class = Support::Unsupported;
        capabilities.conditional_get = Support::Unsupported;
        capabilities.conditional_delete = Support::Unsupported;
        capabilities.put_if_match = Support::Unsupported;
        capabilities.attributes.retain(|attribute| *attribute != Attribute::Tags);
        let file = Arc::new(tempfile::tempfile().map_err(io)?);
        Ok(Self { file, end: 0.into(), index: Arc::default(), capabilities })
    }
    fn find(&self, key: &ObjectKey, version: Option<&VersionId>) -> Result<(ObjectInfo, u64)> {
        refuse(version.is_some(), "versions")?;
        let found = locked(&self.index).get(key).cloned();
        found.ok_or_else(|| Error::new(ErrorKind::NotFound, "there is no such object"))
    }

    /// Reads the whole body before anything becomes visible: if the body breaks, its own error
    /// is returned and nothing was written.
    async fn store(&self, key: &ObjectKey, body: Body, options: PutOptions) -> Result<PutReceipt> {
        self.capabilities.keys.check(key)?;
        self.capabilities.check_attributes(&options.attributes)?;
        refuse(options.storage_class.is_some(), "storage classes")?;
        refuse(matches!(options.precondition, Precondition::IfMatch(_)), "put if match")?;
        let at = self.end.fetch_add(body.len(), Ordering::Relaxed);
        let (mut leaves, mut written) = (body.open(), 0);
        while let Some(leaf) = leaves.try_next().await? {
            for piece in leaf.pieces {
                let offset = at + written;
                written += piece.len() as u64;
                // An extra byte would run into the next object.
                if written <= body.len() {
                    block_in_place(|| self.file.write_all_at(&piece, offset)).map_err(io)?;
                }
            }
        }
        if written != body.len() {
            return Err(Error::new(ErrorKind::Unexpected, "the body does not have the length that it promised"));
        }
        let mut meta = ObjectMeta::new(key.clone(), written);
        meta.etag = Some(ETag::new(format!("\"{at}-{written}\"")));
        meta.last_modified = Some(SystemTime::now());
        let receipt = PutReceipt::new(ServerCheck::None).etag(meta.etag.clone());
        // The condition is checked and the change made under one lock.
        let mut index = locked(&self.index);
        if options.precondition == Precondition::IfAbsent && index.contains_key(key) {
            return Err(Error::new(ErrorKind::AlreadyExists, "the object exists"));
        }
        index.insert(key.clone(), (ObjectInfo::new(meta, options.attributes), at));
        Ok(receipt)
    }
    fn read(&self, key: &ObjectKey, options: GetOptions) -> Result<GetReply> {
        refuse(options.if_match.is_some(), "get if match")?;
        let (info, at) = self.find(key, options.version.as_ref())?;
        let size = info.meta.size;
        let range = options.range.map_or(0..size, |range| range.start..range.end.min(size));
        if range.start > range.end || (range.start == size && size > 0) {
            return Err(Error::invalid_input(format!("the object has only {size} bytes")));
        }
        let (file, end) = (Arc::clone(&self.file), range.end);
        let blocks = range.clone().step_by(BLOCK).map(move |offset| {
            let mut block = vec![0; usize::try_from(end - offset).map_or(BLOCK, |left| left.min(BLOCK))];
            block_in_place(|| file.read_exact_at(&mut block, at + offset)).map_err(io)?;
            Ok(Bytes::from(block))
        });
        Ok(GetReply::new(info, range, Box::pin(stream::iter(blocks))))
    }
    fn remove(&self, request: &DeleteRequest) -> Result<()> {
        refuse(request.version.is_some(), "versions")?;
        refuse(request.if_match.is_some(), "delete if match")?;
        locked(&self.index).remove(&request.key);
        Ok(())
    }
}

fn locked(index: &Mutex<Index>) -> MutexGuard<'_, Index> {
    index.lock().unwrap_or_else(PoisonError::into_inner)
}

fn io(error: std::io::Error) -> Error {
    Error::io("the scratch file fails", error)
}

fn refuse(wanted: bool, what: &str) -> Result<()> {
    if wanted { Err(Error::unsupported(format!("scratch has no {what}"))) } else { Ok(()) }
}

/// Every error names the operation and the key.
fn named(operation: &'static str, key: &ObjectKey) -> impl Fn(Error) -> Error {
    move |error| error.with_operation(operation).with_context("key", key)
}

fn pages(index: &Index, request: &ListRequest) -> Vec<Result<ListPage>> {
    let prefix = request.prefix.as_bytes();
    let after = |key: &ObjectKey| request.start_after.as_ref().is_none_or(|after| key.as_bytes() > &after[..]);
    let (mut pages, mut page, mut folders) = (Vec::new(), ListPage::default(), BTreeSet::new());
    for (key, (info, _)) in index.iter().filter(|(key, _)| request.prefix.matches(key) && after(key)) {
        let rest = &key.as_bytes()[prefix.len()..];
        match request.delimiter.and_then(|delimiter| rest.iter().position(|byte| *byte == delimiter)) {
            None => page.objects.push(info.meta.clone()),
            Some(at) => {
                let folder = KeyPrefix::new(key.to_bytes().slice(..=prefix.len() + at));
                page.prefixes.extend(folders.insert(folder.clone()).then_some(folder));
            }
        }
        if page.objects.len() + page.prefixes.len() >= request.page_size.unwrap_or(1000) {
            pages.push(Ok(std::mem::take(&mut page)));
        }
    }
    pages.push(Ok(page));
    pages
}

#[async_trait]
impl Storage for Scratch {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }
    fn url(&self) -> &str {
        "scratch:"
    }

    fn copy_url(&self) -> Option<&str> {
        Some(self.url())
    }

    async fn physical_location(&self, prefix: &KeyPrefix) -> Result<PhysicalLocation> {
        Ok(PhysicalLocation::new(self.url(), prefix.as_bytes()))
    }
    fn list(&self, request: ListRequest) -> PageStream {
        let index = Arc::clone(&self.index);
        let listed = async move { stream::iter(pages(&locked(&index), &request)) };
        stream::once(listed).flatten().boxed()
    }
    async fn head(&self, key: &ObjectKey, options: HeadOptions) -> Result<ObjectInfo> {
        Ok(self.find(key, options.version.as_ref()).map_err(named("head", key))?.0)
    }
    async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<GetReply> {
        self.read(key, options).map_err(named("get", key))
    }
    async fn put(&self, key: &ObjectKey, body: Body, options: PutOptions) -> Result<PutReceipt> {
        self.store(key, body, options).await.map_err(named("put", key))
    }
    async fn delete(&self, requests: Vec<DeleteRequest>) -> Result<DeleteResults> {
        Ok(requests.iter().map(|request| self.remove(request).map_err(named("delete", &request.key))).collect())
    }
    fn multipart(&self) -> Option<&dyn Multipart> {
        None
    }
    fn server_copy(&self) -> Option<&dyn ServerCopy> {
        None
    }
    fn signer(&self) -> Option<&dyn Signer> {
        None
    }
    fn versions(&self) -> Option<&dyn Versions> {
        None
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let store: SharedStorage = Arc::new(Scratch::new()?);
    let conforms = conformance::run(&store, conformance::Options::new()).await;
    let crashes = crash::crashes(&store, crash::Options::new()).await?;
    println!("{conforms}\n{crashes}");
    conforms.check().and(crashes.check())
}
