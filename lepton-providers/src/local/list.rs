//! Listing: a walk in key order.
//!
//! The walk holds the names in the folders from the root to the current position, and one
//! open directory. The names of a folder take their bytes and 8 more each, and at most
//! twice that while they are read: a million names of 20 bytes take 28 MB. Names that no
//! wanted key can come from are not held, and folders without wanted keys are not opened.

use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use lepton_core::{
    Error, KeyPrefix, ListPage, ListRequest, ObjectKey, ObjectMeta, PageStream, PassedOver, Result, Unlisted,
    UnwantedFolders,
};
use rustix::fs::{AtFlags, Dir, FileType, statat};
use rustix::io::Errno;

use super::config::{SpecialFiles, Symlinks};
use super::contain::READ;
use super::disk::{Disk, LocalStorage};
use super::error::failed_at;
use super::metadata::FileState;
use super::names::{Kind, Names, is_reserved};
use super::read::{refused_link, root_removed, special};
use super::temp::is_removed;

/// The maximum page size.
const PAGE: usize = 1000;

/// Lists objects, page by page.
pub(super) fn pages(store: LocalStorage, request: ListRequest) -> PageStream {
    let walk = Walk::new(Arc::clone(&store.disk), request);
    let next = move |walk: Option<Walk>| {
        let store = store.clone();
        async move {
            let Some(mut walk) = walk else { return Ok(None) };
            let turn = store.run("list", None, move |_| walk.page().map(|page| (page, walk)));
            let (page, walk) = turn.await?;
            let more = !walk.ended();
            let empty = page.objects.is_empty() && page.prefixes.is_empty() && page.unlisted.is_empty();
            let empty = empty && page.passed_over.total() == 0;
            Ok((more || !empty).then(|| (page, more.then_some(walk))))
        }
    };
    stream::try_unfold(Some(walk), next).boxed()
}

/// Which keys are wanted.
#[derive(Debug)]
struct Filter {
    prefix: KeyPrefix,
    after: Option<Bytes>,
    unwanted: Option<UnwantedFolders>,
}

impl Filter {
    /// Whether this key is wanted.
    fn wants(&self, key: &[u8]) -> bool {
        key.starts_with(self.prefix.as_bytes()) && self.after.as_ref().is_none_or(|after| key > &after[..])
    }

    /// Whether a key below this folder, which ends in `/`, can be wanted.
    fn wants_below(&self, folder: &[u8]) -> bool {
        let prefix = self.prefix.as_bytes();
        let begins = folder.starts_with(prefix) || prefix.starts_with(folder);
        let after = self.after.as_ref().is_none_or(|after| folder > &after[..] || after.starts_with(folder));
        begins && after && !self.unwanted.as_ref().is_some_and(|unwanted| unwanted.contains(folder))
    }
}

/// A listing in progress.
#[derive(Debug)]
struct Walk {
    disk: Arc<Disk>,
    filter: Filter,
    delimiter: Option<u8>,
    page_size: usize,
    started: bool,
    /// The key of the current entry; folders end in `/`.
    path: Vec<u8>,
    levels: Vec<Level>,
    seen: Seen,
}

/// What a walk has come across, besides objects, since its last page.
#[derive(Debug, Default)]
struct Seen {
    /// Whether entries that cannot be listed are recorded, instead of ending the walk.
    tolerant: bool,
    unlisted: Vec<Unlisted>,
    passed_over: PassedOver,
}

impl Seen {
    /// Records an entry that cannot be listed, unless this ends the walk.
    fn tolerate(&mut self, path: &[u8], error: Error) -> Result<()> {
        match ObjectKey::new(path.to_vec()) {
            Ok(key) if self.tolerant => {
                self.unlisted.push(Unlisted::new(key, error));
                Ok(())
            }
            _ => Err(error),
        }
    }
}

/// A folder on the path to the current position.
#[derive(Debug)]
struct Level {
    names: Names,
    next: usize,
    /// The length of this folder's part of the path.
    path_len: usize,
    /// Open only while the walk is in this folder itself.
    dir: Option<OwnedFd>,
    identity: (u64, u64),
}

impl Walk {
    fn new(disk: Arc<Disk>, request: ListRequest) -> Self {
        Self {
            disk,
            filter: Filter { prefix: request.prefix, after: request.start_after, unwanted: request.unwanted },
            delimiter: request.delimiter,
            page_size: request.page_size.unwrap_or(PAGE).clamp(1, PAGE),
            started: false,
            path: Vec::new(),
            levels: Vec::new(),
            seen: Seen { tolerant: request.tolerant, ..Seen::default() },
        }
    }

    fn ended(&self) -> bool {
        self.started && self.levels.is_empty()
    }

    /// The next page.
    fn page(&mut self) -> Result<ListPage> {
        let mut page = ListPage::default();
        if !self.started {
            self.start(&mut page)?;
        }
        while page.objects.len() + page.prefixes.len() < self.page_size {
            let Some(level) = self.levels.last_mut() else { break };
            let Some((name, kind)) = level.names.get(level.next) else {
                self.levels.pop();
                continue;
            };
            level.next += 1;
            self.path.truncate(level.path_len);
            self.path.extend_from_slice(name);
            if kind != Kind::Directory {
                match self.describe(kind) {
                    Ok(object) => page.objects.extend(object),
                    Err(error) => self.seen.tolerate(&self.path, error)?,
                }
                continue;
            }
            self.path.push(b'/');
            if self.delimiter.is_some() {
                if self.holds_wanted(&mut self.path.clone())? {
                    page.prefixes.push(KeyPrefix::new(self.path.clone()));
                }
            } else if let Err(error) = self.enter(&mut page) {
                self.seen.tolerate(&self.path, error)?;
            }
        }
        page.unlisted = std::mem::take(&mut self.seen.unlisted);
        page.passed_over = std::mem::take(&mut self.seen.passed_over);
        Ok(page)
    }

    /// Moves to the folder that the prefix names.
    fn start(&mut self, page: &mut ListPage) -> Result<()> {
        self.started = true;
        if self.delimiter.is_some_and(|delimiter| delimiter != b'/') {
            return Err(Error::unsupported("a disk rolls keys up at `/` only"));
        }
        if is_removed(self.disk.root.dir()) {
            return Err(root_removed());
        }
        let prefix = self.filter.prefix.as_bytes();
        let base = prefix.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
        self.path = prefix[..base].to_vec();
        // A prefix that no key of this store can have must not reach the system, which
        // would read `a//b` as `a/b`.
        let possible = base == 0
            || ObjectKey::new(self.path[..base - 1].to_vec()).is_ok_and(|folder| self.disk.path(&folder).is_ok());
        if possible { self.enter(page) } else { Ok(()) }
    }

    /// Reads the folder at `path` and enters it.
    fn enter(&mut self, page: &mut ListPage) -> Result<()> {
        let Some(dir) = self.open()? else { return Ok(()) };
        let shown = trimmed(&self.path);
        let state = FileState::of(&dir).map_err(|errno| failed_at("the folder cannot be examined", shown, errno))?;
        let identity = (state.dev, state.ino);
        if self.levels.iter().any(|level| level.identity == identity) {
            return Err(refused_link(shown, Errno::LOOP));
        }
        let mut names = Names::default();
        let mut seen = std::mem::take(&mut self.seen);
        let scanned = self.scan(&dir, &mut self.path.clone(), &mut seen, |name, kind| {
            names.push(name, kind).map(ControlFlow::<()>::Continue)
        });
        self.seen = seen;
        if !scanned? && !self.path.is_empty() && self.filter.wants(&self.path) {
            if self.disk.markers() {
                page.objects.push(state.meta(ObjectKey::new(self.path.clone())?));
            } else {
                self.seen.passed_over.empty_folders += 1;
            }
        }
        names.sort();
        if let Some(above) = self.levels.last_mut() {
            above.dir = None;
        }
        self.levels.push(Level { names, next: 0, path_len: self.path.len(), dir: Some(dir), identity });
        Ok(())
    }

    /// Opens the folder at `path`, unless it is gone.
    fn open(&self) -> Result<Option<OwnedFd>> {
        open_folder(&self.disk, &self.path)
    }

    /// Describes the file at `path`, unless it is gone.
    fn describe(&mut self, kind: Kind) -> Result<Option<ObjectMeta>> {
        if kind == Kind::Link {
            let state = self.disk.root.open(&self.path, READ).and_then(FileState::of);
            return self.described(state);
        }
        let folder = self.levels.last().map_or(0, |level| level.path_len);
        if self.levels.last().is_some_and(|level| level.dir.is_none()) {
            let dir = open_folder(&self.disk, &self.path[..folder])?;
            let Some(level) = self.levels.last_mut() else { return Ok(None) };
            // The folder was removed while the walk was below it.
            level.next = if dir.is_some() { level.next } else { usize::MAX };
            level.dir = dir;
        }
        let Some(dir) = self.levels.last().and_then(|level| level.dir.as_ref()) else { return Ok(None) };
        let state = statat(dir, &self.path[folder..], AtFlags::SYMLINK_NOFOLLOW).map(FileState::from);
        self.described(state)
    }

    fn described(&self, state: rustix::io::Result<FileState>) -> Result<Option<ObjectMeta>> {
        match state {
            Ok(state) if state.kind() == FileType::RegularFile => {
                Ok(Some(state.meta(ObjectKey::new(self.path.clone())?)))
            }
            // Gone, or replaced by something else.
            Ok(_) | Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(errno) => Err(failed_at("the file cannot be examined", &self.path, errno)),
        }
    }

    /// Passes the wanted names of a folder to `take`, in no particular order, until
    /// `take` breaks. Returns whether the folder holds anything at all.
    fn scan(
        &self,
        dir: &OwnedFd,
        path: &mut Vec<u8>,
        seen: &mut Seen,
        mut take: impl FnMut(&[u8], Kind) -> Result<ControlFlow<()>>,
    ) -> Result<bool> {
        let base = path.len();
        let failed = |errno| failed_at("the folder cannot be read", trimmed(&path[..base]), errno);
        let mut entries = Dir::read_from(dir).map_err(failed)?;
        let mut something = false;
        while let Some(entry) = entries.read() {
            let entry = entry.map_err(|errno| failed_at("the folder cannot be read", trimmed(&path[..base]), errno))?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            something = true;
            if is_reserved(name) {
                continue;
            }
            path.truncate(base);
            path.extend_from_slice(name);
            let wanted = self.filter.wants(path);
            path.push(b'/');
            let wanted_below = self.filter.wants_below(path);
            path.pop();
            if !wanted && !wanted_below {
                continue;
            }
            let kind = match self.kind(dir, name, path, entry.file_type(), &mut seen.passed_over) {
                Ok(kind) => kind,
                Err(error) => {
                    seen.tolerate(path, error)?;
                    None
                }
            };
            let Some(kind) = kind else { continue };
            if (if kind == Kind::Directory { wanted_below } else { wanted }) && take(name, kind)?.is_break() {
                break;
            }
        }
        path.truncate(base);
        Ok(something)
    }

    /// What a name stands for, unless the settings exclude it.
    fn kind(
        &self,
        dir: &OwnedFd,
        name: &[u8],
        path: &[u8],
        file_type: FileType,
        passed_over: &mut PassedOver,
    ) -> Result<Option<Kind>> {
        let file_type = match file_type {
            FileType::Unknown => match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => FileState::from(stat).kind(),
                Err(Errno::NOENT) => return Ok(None),
                Err(errno) => return Err(failed_at("the file cannot be examined", path, errno)),
            },
            known => known,
        };
        let settings = &self.disk.settings;
        match file_type {
            FileType::RegularFile => Ok(Some(Kind::File)),
            FileType::Directory => Ok(Some(Kind::Directory)),
            FileType::Symlink => match settings.symlinks {
                Symlinks::Skip => {
                    passed_over.symlinks += 1;
                    Ok(None)
                }
                Symlinks::Error => Err(refused_link(path, Errno::LOOP)),
                Symlinks::Follow => self.followed(path, passed_over),
            },
            _ if settings.special_files == SpecialFiles::Skip => {
                passed_over.special_files += 1;
                Ok(None)
            }
            _ => Err(special(&self.disk, path)),
        }
    }

    fn followed(&self, path: &[u8], passed_over: &mut PassedOver) -> Result<Option<Kind>> {
        let state = self.disk.root.open(path, READ).and_then(FileState::of);
        match state.map(|state| state.kind()) {
            Ok(FileType::RegularFile) => Ok(Some(Kind::Link)),
            Ok(FileType::Directory) => Ok(Some(Kind::Directory)),
            Ok(_) | Err(Errno::NXIO) if self.disk.settings.special_files == SpecialFiles::Skip => {
                passed_over.special_files += 1;
                Ok(None)
            }
            Ok(_) | Err(Errno::NXIO) => Err(special(&self.disk, path)),
            Err(errno @ (Errno::XDEV | Errno::NOENT | Errno::LOOP)) => Err(refused_link(path, errno)),
            Err(errno) => Err(failed_at("the file cannot be examined", path, errno)),
        }
    }

    /// Whether there is a wanted key below this folder.
    fn holds_wanted(&self, path: &mut Vec<u8>) -> Result<bool> {
        let Some(dir) = open_folder(&self.disk, path)? else { return Ok(false) };
        let (mut file, mut folders) = (false, Names::default());
        // What is passed over is counted where the folder itself is listed.
        let mut seen = Seen { tolerant: self.seen.tolerant, ..Seen::default() };
        let something = self.scan(&dir, path, &mut seen, |name, kind| {
            if kind == Kind::Directory {
                return folders.push(name, kind).map(ControlFlow::Continue);
            }
            file = true;
            Ok(ControlFlow::Break(()))
        })?;
        drop(dir);
        if file || (!something && self.disk.markers() && self.filter.wants(path)) {
            return Ok(true);
        }
        let base = path.len();
        for (name, _) in (0..).map_while(|index| folders.get(index)) {
            path.truncate(base);
            path.extend_from_slice(name);
            path.push(b'/');
            if self.holds_wanted(path)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Opens a folder, unless it is gone.
fn open_folder(disk: &Disk, path: &[u8]) -> Result<Option<OwnedFd>> {
    let folder = trimmed(path);
    match disk.root.directory(folder) {
        Ok(dir) => Ok(Some(dir)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(Errno::LOOP) if disk.settings.symlinks == Symlinks::Skip => Ok(None),
        Err(errno @ (Errno::LOOP | Errno::XDEV)) => Err(refused_link(folder, errno)),
        Err(errno) => Err(failed_at("the folder cannot be opened", folder, errno)),
    }
}

/// The path of a folder without the `/` at its end.
fn trimmed(path: &[u8]) -> &[u8] {
    path.strip_suffix(b"/").unwrap_or(path)
}
