//! Writing: leaf by leaf into a file that is not visible yet, then published.

use std::fs::File;
use std::io::IoSlice;
use std::sync::Arc;

use futures_util::TryStreamExt as _;
use lepton_core::{
    Attributes, Body, Error, ErrorKind, Leaf, ObjectKey, Precondition, PutOptions, PutReceipt, Result, RuntimeExt as _,
    ServerCheck, Sha256, SharedRuntime, Task, TreeHasher,
};
use rustix::fs::{Mode, OFlags, mkdirat, openat};
use rustix::io::{Errno, pwritev, retry_on_intr};

use super::contain::{DIRECTORY, split};
use super::disk::{Disk, LARGEST_FILE, LocalStorage, named};
use super::error::{failed, failed_at, in_the_way};
use super::folder::locked;
use super::metadata::{self, FileState};
use super::space::reserve;
use super::temp::{Temp, create_folder, current, not_matching, settled};

/// The maximum number of pieces in one system call (`IOV_MAX`).
const MOST_PIECES: usize = 1024;

/// Writes an object.
pub(super) async fn put(store: &LocalStorage, key: &ObjectKey, body: Body, options: PutOptions) -> Result<PutReceipt> {
    let disk = Arc::clone(&store.disk);
    let (path, folder) = admit(&disk, key, body.len(), &options.attributes, options.storage_class.as_deref())
        .map_err(|error| named(error, "put", Some(key)))?;
    let path = path.to_vec();
    if folder {
        if body.is_empty() {
            // A caller takes a body that was never opened for one that was not read to its end.
            body.open().try_for_each(|_| std::future::ready(Ok(()))).await?;
        }
        return store
            .run("put", Some(key), move |disk| {
                put_marker(disk, &path, body.len(), &options.attributes, &options.precondition)
            })
            .await;
    }
    let (name, len) = (key.clone(), body.len());
    let start = {
        let (disk, path, name) = (Arc::clone(&disk), path.clone(), name.clone());
        move || {
            let temp = Temp::create(&disk, &path).map_err(|error| named(error, "put", Some(&name)))?;
            reserve(temp.file(), len).map_err(|error| named(error, "put", Some(&name)))?;
            Ok(Put { sink: Sink::new(0, disk.settings.paranoid), temp, key: name })
        }
    };
    let finish = move |put: Put| {
        let done = put.finish(&disk, len, &options);
        done.map_err(|error| named(error, "put", Some(&name)))
    };
    pump(&store.disk.env, &body, start, Put::append, finish).await
}

/// Refuses what this store cannot keep. Returns the path, and whether it names a folder.
pub(super) fn admit<'a>(
    disk: &Disk,
    key: &'a ObjectKey,
    size: u64,
    attributes: &Attributes,
    storage_class: Option<&str>,
) -> Result<(&'a [u8], bool)> {
    let path = disk.path(key)?;
    check_size(size)?;
    metadata::check(attributes, &disk.capabilities)?;
    match storage_class {
        Some(class) => Err(Error::unsupported(format!("a disk has no storage classes, such as {class:?}"))),
        None => Ok(path),
    }
}

/// Refuses an object that is too large for a file.
pub(super) fn check_size(size: u64) -> Result<()> {
    if size <= LARGEST_FILE {
        return Ok(());
    }
    Err(Error::new(ErrorKind::TooLarge, format!("{size} bytes are more than the {LARGEST_FILE} of the largest file")))
}

/// An object being written.
struct Put {
    temp: Temp,
    sink: Sink,
    key: ObjectKey,
}

impl Put {
    fn append(&mut self, leaf: &Leaf) -> Result<()> {
        self.sink.append(self.temp.file(), leaf).map_err(|error| named(error, "put", Some(&self.key)))
    }

    fn finish(self, disk: &Disk, len: u64, options: &PutOptions) -> Result<PutReceipt> {
        self.sink.check_len(len)?;
        metadata::apply(self.temp.file(), &options.attributes)?;
        flush(disk, self.temp.file())?;
        if let Some(hasher) = self.sink.hasher {
            read_back(self.temp.file(), 0..len, hasher.finish().root)?;
        }
        self.temp.publish(&options.precondition).map(|state| receipt(&state))
    }
}

/// The receipt of an object that was just written.
pub(super) fn receipt(state: &FileState) -> PutReceipt {
    PutReceipt::new(ServerCheck::AsWritten).etag(Some(state.etag()))
}

/// The position of the next leaf, and the hash of the previous ones.
pub(super) struct Sink {
    start: u64,
    offset: u64,
    pub(super) hasher: Option<TreeHasher>,
}

impl Sink {
    /// A sink that writes from `start` on, and hashes if `hash` is set.
    pub(super) fn new(start: u64, hash: bool) -> Self {
        Self { start, offset: start, hasher: hash.then(TreeHasher::new) }
    }

    /// Writes the next leaf.
    pub(super) fn append(&mut self, file: &File, leaf: &Leaf) -> Result<()> {
        let len = leaf.len() as u64;
        write_all(file, leaf, self.offset).map_err(|errno| {
            let error = failed("the file cannot be written", errno);
            error.with_context("offset", self.offset)
        })?;
        self.offset += len;
        if let Some(hasher) = &mut self.hasher {
            hasher.push_leaf(leaf.digest(), len);
        }
        Ok(())
    }

    /// Refuses a body that did not have the announced length.
    pub(super) fn check_len(&self, len: u64) -> Result<()> {
        let written = self.offset - self.start;
        if written == len {
            return Ok(());
        }
        let message = format!("the body gave {written} bytes where it announced {len}");
        Err(Error::new(ErrorKind::InvalidInput, message))
    }
}

fn write_all(file: &File, leaf: &Leaf, mut offset: u64) -> rustix::io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = leaf.pieces.iter().map(|piece| IoSlice::new(piece)).collect();
    let mut rest = slices.as_mut_slice();
    while !rest.is_empty() {
        let now = rest.len().min(MOST_PIECES);
        let written = retry_on_intr(|| pwritev(file, &rest[..now], offset))?;
        if written == 0 {
            return Err(Errno::IO);
        }
        offset += written as u64;
        IoSlice::advance_slices(&mut rest, written);
    }
    Ok(())
}

/// Flushes a file, its size and its attributes to the disk.
pub(super) fn flush(disk: &Disk, file: &File) -> Result<()> {
    if !disk.durable() {
        return Ok(());
    }
    file.sync_all().map_err(|error| Error::io("the file cannot be flushed to the disk", error))
}

/// Reads bytes back, from the disk if the system allows it, and compares them with what
/// was written.
pub(super) fn read_back(file: &File, range: std::ops::Range<u64>, written: Sha256) -> Result<()> {
    use std::os::unix::fs::FileExt as _;
    #[cfg(target_os = "linux")]
    // If the advice is ignored, the comparison reads from the cache.
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
    let mut hasher = TreeHasher::new();
    let mut block = vec![0; lepton_core::LEAF_SIZE];
    let mut at = range.start;
    while at < range.end {
        let now = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(block.len());
        file.read_exact_at(&mut block[..now], at)
            .map_err(|error| Error::io("the file cannot be read back", error).with_context("offset", at))?;
        hasher.update(&block[..now]);
        at += now as u64;
    }
    let found = hasher.finish().root;
    if found == written {
        return Ok(());
    }
    let message = format!("the disk gave other bytes back than were written: {found} instead of {written}");
    Err(Error::new(ErrorKind::ChecksumMismatch, message))
}

/// Creates the folder that a key ending in `/` stands for.
pub(super) fn put_marker(
    disk: &Arc<Disk>,
    path: &[u8],
    size: u64,
    attributes: &Attributes,
    precondition: &Precondition,
) -> Result<PutReceipt> {
    if size > 0 {
        let message = "a key that ends in `/` is a folder here, and a folder holds no bytes";
        return Err(Error::new(ErrorKind::InvalidKey, message));
    }
    let (parent, _) = create_folder(disk, path)?;
    let name = split(path).1;
    let conditional = matches!(precondition, Precondition::IfMatch(_));
    let file = locked(&parent, conditional, || {
        if let Precondition::IfMatch(etag) = precondition
            && current(disk, &parent, path).is_none_or(|current| current.etag() != *etag)
        {
            return Err(not_matching(path));
        }
        match mkdirat(&parent, name, Mode::from_raw_mode(0o777)) {
            Ok(()) => {}
            Err(Errno::EXIST) if *precondition != Precondition::IfAbsent => {}
            Err(Errno::EXIST) => return Err(Error::new(ErrorKind::AlreadyExists, "the folder is there already")),
            Err(errno) => return Err(failed_at("the folder cannot be made", path, errno)),
        }
        openat(&parent, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())
            .map_err(|errno| in_the_way(&disk.root, path, if errno == Errno::NOTDIR { Errno::EXIST } else { errno }))
    })?;
    let file = File::from(file);
    metadata::apply(&file, attributes)?;
    flush(disk, &file)?;
    settled(disk, &parent, path, &file).map(|state| receipt(&state))
}

/// Passes a body to `append` on blocking threads: `start` runs once before, and `finish`
/// once after the last leaf. A body of one leaf needs a single blocking call; otherwise
/// the next leaf is awaited while one is being written.
///
/// # Errors
/// The first error of `start`, `append` and `finish`; an error of the body is returned
/// unchanged.
pub(super) async fn pump<S: Send + 'static, T: Send + 'static>(
    env: &SharedRuntime,
    body: &Body,
    start: impl FnOnce() -> Result<S> + Send + 'static,
    append: fn(&mut S, &Leaf) -> Result<()>,
    finish: impl FnOnce(S) -> Result<T> + Send + 'static,
) -> Result<T> {
    let mut leaves = body.open();
    let Some(first) = leaves.try_next().await? else {
        return env.run_blocking(move || finish(start()?)).join().await?;
    };
    let Some(mut leaf) = leaves.try_next().await? else {
        let all = move || {
            let mut sink = start()?;
            append(&mut sink, &first)?;
            finish(sink)
        };
        return env.run_blocking(all).join().await?;
    };
    let mut writing: Task<Result<S>> = env.run_blocking(move || {
        let mut sink = start()?;
        append(&mut sink, &first).map(|()| sink)
    });
    loop {
        let next = leaves.try_next().await;
        let mut sink = writing.join().await??;
        match next {
            Ok(Some(next)) => {
                let now = std::mem::replace(&mut leaf, next);
                writing = env.run_blocking(move || append(&mut sink, &now).map(|()| sink));
            }
            Ok(None) => {
                let last = move || append(&mut sink, &leaf).and_then(|()| finish(sink));
                return env.run_blocking(last).join().await?;
            }
            Err(error) => {
                // What was written so far is removed before the caller gets the error.
                env.run_blocking(move || drop(sink)).join().await?;
                return Err(error);
            }
        }
    }
}
