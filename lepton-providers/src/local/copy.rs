//! Copies from one root on this machine to another, without passing the bytes through
//! this process.
//!
//! The source is opened like a store of its own, below its root and without following
//! links; what cannot be opened this way is refused.

use std::ffi::OsString;
use std::ops::{Range, RangeInclusive};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use futures_util::stream;
use lepton_core::{
    Attributes, Body, BodySource, CopyOptions, CopySource, Error, GetOptions, Hashing, LEAF_SIZE, LeafStream, Leaves,
    Multipart as _, ObjectKey, PartReceipt, PartSpec, Precondition, PutReceipt, Result, ServerCheck, ServerCopy,
    Sha256, TreeHasher, Upload,
};
use percent_encoding::percent_decode_str;
use rustix::io::Errno;

use super::config::LocalConfig;
use super::contain::split;
use super::disk::{Disk, LARGEST_FILE, LocalStorage};
use super::error::{failed, in_the_way};
use super::extents::{Moving, is_in_memory, is_sparse, share};
use super::metadata::{self, FileState};
use super::read::{self, Pinned};
use super::temp::Temp;
use super::write::{admit, flush, put_marker, read_back};

/// The prefix of every local store's URL, up to its absolute path.
const SCHEME: &str = "file://";

/// How many bytes are moved between two checks for cancellation.
const STEP: u64 = 32 << 20;

/// The smallest file that is worth sharing: a smaller one is written as quickly.
const WORTH_SHARING: u64 = 512 << 10;

/// The sizes of files that are worth moving by the system. A smaller file is written as
/// quickly; a larger one is better sent in parts, where one part is read while another is
/// written, and which can be resumed after a kill.
const WORTH_MOVING: RangeInclusive<u64> = 2 << 20..=256 << 20;

#[async_trait]
impl ServerCopy for LocalStorage {
    /// Reaches every folder of this machine.
    fn reaches(&self, source_url: &str) -> bool {
        source_url.starts_with(SCHEME)
    }

    fn largest(&self) -> u64 {
        LARGEST_FILE
    }

    async fn is_cheaper(&self, source: &CopySource, key: &ObjectKey) -> Result<bool> {
        let (from, target) = (source.clone(), key.clone());
        let is_cheaper = self.run("copy", Some(key), move |disk| is_cheaper(disk, &from, &target)).await;
        is_cheaper.map_err(|error| error.with_context("source", &source.key))
    }

    /// Dropping the future cancels the copy after some MiB and leaves nothing behind; a
    /// copy that was about to become visible still does.
    async fn copy(&self, source: CopySource, key: &ObjectKey, options: CopyOptions) -> Result<PutReceipt> {
        let (from, target) = (source.clone(), key.clone());
        let mut step = self.run("copy", Some(key), move |disk| begin(disk, &from, &target, options)).await;
        loop {
            step = match step {
                Ok(Step::Done(receipt)) => return Ok(receipt),
                Ok(Step::More(copying)) => self.run("copy", Some(key), move |disk| copying.step(disk)).await,
                Err(error) => return Err(error.with_context("source", &source.key)),
            };
        }
    }

    /// A part is recorded with its digest, so its bytes do pass through this process.
    async fn copy_part(&self, source: CopySource, upload: &Upload, part: PartSpec) -> Result<PartReceipt> {
        let piece = Piece { store: self.clone(), source: source.clone(), range: part.range.clone() };
        let copied = self.upload_part(upload, part.clone(), Body::from_source(part.len(), Arc::new(piece))).await;
        copied.map_err(|error| error.with_context("source", &source.key))
    }
}

/// Opens the source of a copy, if it is the requested one.
fn open(disk: &Arc<Disk>, source: &CopySource) -> Result<Pinned> {
    if source.version.is_some() {
        return Err(Error::unsupported("a disk keeps no versions"));
    }
    let pinned = Pinned::open(&holder(disk, &source.store)?, source.key.clone())?;
    pinned.expect(source.if_match.as_ref())?;
    Ok(pinned)
}

/// The store that holds the source. The settings with which it was opened elsewhere are
/// unknown here, so no links are followed.
fn holder(disk: &Arc<Disk>, url: &str) -> Result<Arc<Disk>> {
    if url == disk.url {
        return Ok(Arc::clone(disk));
    }
    let Some(path) = url.strip_prefix(SCHEME) else {
        return Err(Error::unsupported(format!("a disk cannot copy from {url} by itself")));
    };
    let root = PathBuf::from(OsString::from_vec(percent_decode_str(path).collect()));
    let empty_directories = disk.settings.empty_directories;
    let settings = LocalConfig { root, empty_directories, ..LocalConfig::default() };
    Disk::open(settings, Arc::clone(&disk.env)).map(Arc::new)
}

/// Whether a copy costs less than reading and writing the file, and keeps all attributes.
/// The measurements are in decision 0007.
fn is_cheaper(disk: &Arc<Disk>, source: &CopySource, key: &ObjectKey) -> Result<bool> {
    let pinned = open(disk, source)?;
    let (path, folder) = disk.path(key)?;
    if folder || pinned.state.is_dir() || metadata::check(&pinned.info()?.attributes, &disk.capabilities).is_err() {
        return Ok(false);
    }
    let size = pinned.size();
    if is_sparse(&pinned.file, size) {
        return Ok(true);
    }
    if size < WORTH_SHARING {
        return Ok(false);
    }
    let examined = nearest(disk, path).and_then(FileState::of);
    let to = examined.map_err(|errno| in_the_way(&disk.root, path, errno))?.dev;
    let moves = WORTH_MOVING.contains(&size) && pinned.state.dev == to && !is_in_memory(&pinned.file);
    Ok(moves || shares(disk, &pinned, path, to)?)
}

/// Whether the file system can share bytes between the source and the destination. This
/// is tested once for each pair of devices.
fn shares(disk: &Arc<Disk>, source: &Pinned, path: &[u8], to: u64) -> Result<bool> {
    let pair = (source.state.dev, to);
    let known = || disk.sharing.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(shares) = known().get(&pair) {
        return Ok(*shares);
    }
    let temp = Temp::create(disk, path)?;
    let shared = share(&source.file, temp.file());
    // Other errors concern this file only.
    let of_all = [Errno::OPNOTSUPP, Errno::XDEV, Errno::NOTTY, Errno::NOSYS, Errno::PERM];
    if shared.is_ok() || shared.is_err_and(|errno| of_all.contains(&errno)) {
        known().insert(pair, shared.is_ok());
    }
    Ok(shared.is_ok())
}

/// The folder of a path, or its nearest parent that exists.
fn nearest(disk: &Disk, path: &[u8]) -> rustix::io::Result<OwnedFd> {
    let mut folder = split(path).0;
    loop {
        match disk.root.directory(folder) {
            Err(Errno::NOENT) if !folder.is_empty() => folder = split(folder).0,
            opened => return opened,
        }
    }
}

/// The progress of a copy.
enum Step {
    More(Box<Copying>),
    Done(PutReceipt),
}

/// A copy in progress.
struct Copying {
    source: Pinned,
    temp: Temp,
    moving: Moving,
    attributes: Attributes,
    precondition: Precondition,
}

fn begin(disk: &Arc<Disk>, source: &CopySource, key: &ObjectKey, options: CopyOptions) -> Result<Step> {
    let source = open(disk, source)?;
    let (size, precondition) = (source.size(), options.precondition);
    let attributes = match options.attributes {
        Some(attributes) => attributes,
        None => source.info()?.attributes,
    };
    let (path, folder) = admit(disk, key, size, &attributes, options.storage_class.as_deref())?;
    if folder {
        return put_marker(disk, path, size, &attributes, &precondition).map(Step::Done);
    }
    let temp = Temp::create(disk, path)?;
    let moving = Moving::begin(&source.file, temp.file(), size)?;
    Box::new(Copying { source, temp, moving, attributes, precondition }).step(disk)
}

impl Copying {
    fn step(mut self: Box<Self>, disk: &Disk) -> Result<Step> {
        if !self.moving.step(&self.source.file, self.temp.file(), STEP)? {
            return Err(self.source.changed("it ended early"));
        }
        if self.moving.is_done() { self.finish(disk).map(Step::Done) } else { Ok(Step::More(self)) }
    }

    fn finish(self, disk: &Disk) -> Result<PutReceipt> {
        let (size, file) = (self.source.size(), self.temp.file());
        let there = FileState::of(file).map_err(|errno| failed("the new file cannot be examined", errno))?.size;
        if there != size {
            return Err(self.source.changed(&format!("{there} bytes of it were copied, of {size}")));
        }
        let mut check = ServerCheck::None;
        if disk.settings.paranoid {
            flush(disk, file)?;
            read_back(file, 0..size, digest(&self.source)?)?;
            check = ServerCheck::AsWritten;
        }
        self.source.still()?;
        metadata::apply(file, &self.attributes)?;
        flush(disk, file)?;
        let state = self.temp.publish(&self.precondition)?;
        Ok(PutReceipt::new(check).etag(Some(state.etag())))
    }
}

/// The digest of an open file.
fn digest(source: &Pinned) -> Result<Sha256> {
    let (mut hasher, mut at) = (TreeHasher::new(), 0);
    while at < source.size() {
        let block = source.block(at..source.size().min(at + LEAF_SIZE as u64))?;
        hasher.update(&block);
        at += block.len() as u64;
    }
    Ok(hasher.finish().root)
}

/// A range of the source of a copy, as a body.
struct Piece {
    store: LocalStorage,
    source: CopySource,
    range: Range<u64>,
}

impl BodySource for Piece {
    fn open(&self) -> LeafStream {
        let (store, source, range) = (self.store.clone(), self.source.clone(), self.range.clone());
        let opened = async move {
            let url = source.store;
            let disk = store.run("copy_part", Some(&source.key), move |disk| holder(disk, &url)).await?;
            let mut options = GetOptions::new().range(range).if_match(source.if_match);
            options.version = source.version;
            Ok(read::get(&LocalStorage { disk }, &source.key, options).await?.body)
        };
        Box::pin(Leaves::new(Box::pin(stream::once(opened).try_flatten()), Hashing::Eager))
    }
}
