//! Reading: one open file, blocks of 1 MiB per blocking call, and a check that it did not
//! change.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use lepton_core::{
    ByteStream, ETag, Error, ErrorKind, GetOptions, GetReply, HeadOptions, ObjectInfo, ObjectKey, Result,
    RuntimeExt as _, Task,
};
use rustix::buffer::spare_capacity;
use rustix::fs::FileType;
use rustix::io::{Errno, pread, retry_on_intr};

use super::config::{SpecialFiles, Symlinks};
use super::contain::{DIRECTORY, READ};
use super::disk::{Disk, LocalStorage, named};
use super::error::failed_at;
use super::metadata::{self, FileState};
use super::temp::{is_removed, not_matching};

/// How much is read in one call.
const BLOCK: u64 = 1 << 20;

/// Describes an object.
pub(super) fn head(disk: &Arc<Disk>, key: ObjectKey, options: &HeadOptions) -> Result<ObjectInfo> {
    if options.version.is_some() {
        return Err(Error::unsupported("a disk keeps no versions"));
    }
    Pinned::open(disk, key)?.info()
}

/// Opens an object as a stream.
pub(super) async fn get(store: &LocalStorage, key: &ObjectKey, options: GetOptions) -> Result<GetReply> {
    let wanted = key.clone();
    let opened = store.run("get", Some(key), move |disk| {
        if options.version.is_some() {
            return Err(Error::unsupported("a disk keeps no versions"));
        }
        let pinned = Pinned::open(disk, wanted)?;
        pinned.expect(options.if_match.as_ref())?;
        let range = pinned.range(options.range)?;
        pinned.advise(&range);
        // The first block is read in the same call, so that a small object needs only
        // one.
        let first = pinned.block(range.start..range.end.min(range.start + BLOCK))?;
        Ok((pinned.info()?, pinned, range, first))
    });
    let (info, pinned, range, first) = opened.await?;
    let rest = range.start + first.len() as u64..range.end;
    let body: ByteStream = if rest.is_empty() {
        stream::iter((!first.is_empty()).then_some(Ok(first))).boxed()
    } else {
        stream::iter([Ok(first)]).chain(blocks(Arc::new(pinned), rest)).boxed()
    };
    Ok(GetReply::new(info, range, body))
}

/// The block that is being read, and the rest of the range.
struct Ahead {
    pinned: Arc<Pinned>,
    block: Task<Result<Bytes>>,
    range: Range<u64>,
}

impl Ahead {
    fn start(pinned: Arc<Pinned>, range: Range<u64>) -> Self {
        let (file, first) = (Arc::clone(&pinned), range.start..range.end.min(range.start + BLOCK));
        let block = pinned.disk.env.run_blocking(move || file.block(first));
        Self { pinned, block, range }
    }
}

/// The blocks of a range; each is read while the previous one is used.
fn blocks(pinned: Arc<Pinned>, range: Range<u64>) -> ByteStream {
    let step = |ahead: Option<Ahead>| async move {
        let Ahead { pinned, block, range } = ahead?;
        match block.join().await.flatten() {
            Ok(block) => {
                let rest = range.start + block.len() as u64..range.end;
                Some((Ok(block), (!rest.is_empty()).then(|| Ahead::start(pinned, rest))))
            }
            Err(error) => Some((Err(named(error, "get", Some(&pinned.key))), None)),
        }
    };
    stream::unfold(Some(Ahead::start(pinned, range)), step).boxed()
}

/// An open file and its state when it was opened.
pub(super) struct Pinned {
    disk: Arc<Disk>,
    key: ObjectKey,
    pub(super) file: File,
    pub(super) state: FileState,
}

impl Pinned {
    pub(super) fn open(disk: &Arc<Disk>, key: ObjectKey) -> Result<Self> {
        let (path, folder) = disk.path(&key)?;
        let file = disk.root.open(path, if folder { DIRECTORY } else { READ });
        let file = file.map_err(|errno| not_opened(disk, path, errno))?;
        let state = FileState::of(&file).map_err(|errno| failed_at("the file cannot be examined", path, errno))?;
        match state.kind() {
            FileType::Directory if folder => {}
            FileType::RegularFile => {}
            FileType::Directory => return Err(not_found(path)),
            _ => return Err(special(disk, path)),
        }
        Ok(Self { disk: Arc::clone(disk), key, file: file.into(), state })
    }

    fn path(&self) -> &[u8] {
        self.key.as_bytes()
    }

    /// Refuses an object that has another tag.
    pub(super) fn expect(&self, etag: Option<&ETag>) -> Result<()> {
        if etag.is_some_and(|etag| *etag != self.state.etag()) { Err(not_matching(self.path())) } else { Ok(()) }
    }

    /// The size of the object; a folder has none.
    pub(super) fn size(&self) -> u64 {
        if self.state.is_dir() { 0 } else { self.state.size }
    }

    pub(super) fn info(&self) -> Result<ObjectInfo> {
        let attributes = metadata::read(&self.file, &self.state, self.disk.xattrs());
        let attributes =
            attributes.map_err(|errno| failed_at("the extended attributes cannot be read", self.path(), errno))?;
        Ok(ObjectInfo::new(self.state.meta(self.key.clone()), attributes))
    }

    /// The requested range, cut off at the end of the file.
    fn range(&self, requested: Option<Range<u64>>) -> Result<Range<u64>> {
        let size = self.size();
        let Some(requested) = requested else { return Ok(0..size) };
        if requested.start >= requested.end.min(size) {
            let (start, end) = (requested.start, requested.end);
            return Err(Error::invalid_input(format!("bytes {start}..{end} are not in an object of {size} bytes")));
        }
        Ok(requested.start..requested.end.min(size))
    }

    /// Advises the system that a long range will be read sequentially.
    fn advise(&self, range: &Range<u64>) {
        #[cfg(target_os = "linux")]
        if let Some(len) = std::num::NonZeroU64::new(range.end - range.start).filter(|len| len.get() > BLOCK) {
            // If the advice is ignored, only speed suffers.
            let _ = rustix::fs::fadvise(&self.file, range.start, Some(len), rustix::fs::Advice::Sequential);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = range;
    }

    /// Reads exactly these bytes, and checks that the file is unchanged.
    pub(super) fn block(&self, range: Range<u64>) -> Result<Bytes> {
        let len = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            let at = range.start + bytes.len() as u64;
            match retry_on_intr(|| pread(&self.file, spare_capacity(&mut bytes), at)) {
                Ok(0) => return Err(self.changed(&format!("it ended at byte {at} of {}", self.state.size))),
                Ok(_) => {}
                Err(errno) => {
                    let error = failed_at("the file cannot be read", self.path(), errno);
                    return Err(error.with_context("offset", at));
                }
            }
        }
        // The vector may have more capacity than requested.
        bytes.truncate(len);
        self.still()?;
        Ok(bytes.into())
    }

    /// Refuses a file that has changed since it was opened.
    pub(super) fn still(&self) -> Result<()> {
        let now = FileState::of(&self.file);
        let now = now.map_err(|errno| failed_at("the file cannot be examined", self.path(), errno))?;
        if now != self.state && !self.state.is_dir() {
            return Err(self.changed("its size or times are others than before"));
        }
        Ok(())
    }

    pub(super) fn changed(&self, how: &str) -> Error {
        Error::new(ErrorKind::SourceChanged, format!("the file changed while it was read: {how}"))
    }
}

/// The reason why a path could not be opened for reading.
pub(super) fn not_opened(disk: &Disk, path: &[u8], errno: Errno) -> Error {
    match errno {
        Errno::NOENT if is_removed(disk.root.dir()) => root_removed(),
        Errno::NOENT | Errno::NOTDIR => not_found(path),
        Errno::LOOP if disk.settings.symlinks == Symlinks::Skip => not_found(path),
        Errno::LOOP | Errno::XDEV => refused_link(path, errno),
        // The error of opening a socket.
        Errno::NXIO => special(disk, path),
        errno => failed_at("the file cannot be opened", path, errno),
    }
}

/// The root itself was removed.
pub(super) fn root_removed() -> Error {
    Error::new(ErrorKind::BucketNotFound, "the root folder was removed")
}

/// The error for a symbolic link that the settings do not allow.
pub(super) fn refused_link(path: &[u8], errno: Errno) -> Error {
    let why = match errno {
        Errno::XDEV => "a symbolic link leads outside the root",
        Errno::NOENT => "a symbolic link leads to nothing",
        _ => "there is a symbolic link, or a circle of them, which the settings do not follow",
    };
    failed_at(why, path, errno).with_kind(ErrorKind::InvalidKey)
}

/// The error for a socket, pipe or device: it counts as missing, or is refused, depending
/// on the settings.
pub(super) fn special(disk: &Disk, path: &[u8]) -> Error {
    match disk.settings.special_files {
        SpecialFiles::Skip => not_found(path),
        SpecialFiles::Error => {
            Error::unsupported("there is a socket, pipe or device, which cannot be read as an object")
                .with_context("path", super::error::shown(path))
        }
    }
}

fn not_found(path: &[u8]) -> Error {
    failed_at("there is no such object", path, Errno::NOENT)
}
