//! Uploads in parts: each part goes to its offset in one file next to the object, and is
//! recorded in another once it is on the disk.
//!
//! Both files are named after the upload's id, which begins with a digest of the key, so
//! that the uploads of a key can be found by name alone. The record is created first and
//! removed last, so that an upload that a crash interrupted can always be found and
//! aborted.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use lepton_core::{
    Body, CompleteOptions, CreateUploadOptions, Error, ErrorKind, Leaf, Multipart, ObjectKey, PartInfo, PartReceipt,
    PartSpec, Precondition, PutReceipt, Result, Sha256, TreeHasher, Upload, UploadId, UploadInfo,
};
use rustix::fs::{AtFlags, Dir, Mode, OFlags, openat, unlinkat};
use rustix::io::{Errno, retry_on_intr};

use super::contain::split;
use super::disk::{Disk, LocalStorage, MOST_PARTS, named};
use super::error::{failed_at, not_written};
use super::folder::{create_new, locked};
use super::metadata;
use super::names::{is_id, reserved};
use super::read::not_opened;
use super::slots::{self, Header, Slot};
use super::space::reserve;
use super::temp::{create_folder, make_way, rename, settled};
use super::write::{Sink, admit, check_size, flush, pump, read_back, receipt};

/// The number of digits of the key's digest in an upload's id, and of the whole id.
const KEY_DIGITS: usize = 32;
const ID_DIGITS: usize = 48;

/// Locks that let one task at a time write to the file of an upload. The system
/// serializes writes to a file in any case, and waiting there burns processor time.
static TURNS: [Mutex<()>; 64] = [const { Mutex::new(()) }; 64];

/// Takes the lock. Uploads that share one by chance wait for each other briefly.
fn turn(id: &UploadId) -> MutexGuard<'static, ()> {
    // Ids end with random digits.
    let last = id.as_str().bytes().rev().take(2).filter_map(|digit| char::from(digit).to_digit(16));
    let place = last.fold(0, |place, digit| place * 16 + digit as usize);
    TURNS[place % TURNS.len()].lock().unwrap_or_else(PoisonError::into_inner)
}

/// The files of an upload in progress.
struct InProgress {
    /// The folder of the object.
    dir: OwnedFd,
    record: File,
    data: File,
    key: ObjectKey,
    id: UploadId,
}

impl InProgress {
    fn open(disk: &Disk, upload: &Upload) -> Result<Self> {
        let (path, _) = disk.path(&upload.key)?;
        let dir = match folder(disk, path)? {
            Some(dir) if is_id_of(&upload.id, &upload.key) => dir,
            _ => return Err(no_upload(path)),
        };
        let open = |suffix| {
            let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = retry_on_intr(|| openat(&dir, reserved(upload.id.as_str(), suffix), flags, Mode::empty()));
            file.map(File::from).map_err(|errno| match errno {
                Errno::NOENT => no_upload(path),
                errno => failed_at("a file of the upload cannot be opened", path, errno),
            })
        };
        let (record, data) = (open("parts")?, open("data")?);
        Ok(Self { dir, record, data, key: upload.key.clone(), id: upload.id.clone() })
    }
}

fn no_upload(path: &[u8]) -> Error {
    failed_at("there is no such upload", path, Errno::NOENT).with_kind(ErrorKind::UploadNotFound)
}

/// The folder of a path, if it exists.
fn folder(disk: &Disk, path: &[u8]) -> Result<Option<OwnedFd>> {
    match disk.root.directory(split(path).0) {
        Ok(dir) => Ok(Some(dir)),
        Err(errno) => match not_opened(disk, path, errno) {
            error if error.kind() == ErrorKind::NotFound => Ok(None),
            error => Err(error),
        },
    }
}

/// The prefix of the ids of a key's uploads.
fn key_digits(key: &ObjectKey) -> String {
    let mut digits = Sha256::of(key.as_bytes()).to_string();
    digits.truncate(KEY_DIGITS);
    digits
}

/// Whether this can be the id of an upload to this key. Other ids never become part of a
/// path.
fn is_id_of(id: &UploadId, key: &ObjectKey) -> bool {
    let id = id.as_str();
    id.len() == ID_DIGITS && is_id(id.as_bytes()) && id.starts_with(&key_digits(key))
}

fn create(disk: &Arc<Disk>, key: &ObjectKey, options: CreateUploadOptions) -> Result<Upload> {
    let (path, is_folder) =
        admit(disk, key, options.size.unwrap_or(0), &options.attributes, options.storage_class.as_deref())?;
    if is_folder {
        let message = "a key that ends in `/` is a folder here, which is made by a put";
        return Err(Error::new(ErrorKind::InvalidKey, message));
    }
    let (dir, found) = create_folder(disk, path)?;
    make_way(disk, &dir, path)?;
    let id = format!("{}{:016x}", key_digits(key), disk.env.random());
    let made = (|| {
        let create = |suffix| {
            let file = create_new(&dir, &reserved(&id, suffix)).map(File::from);
            file.map_err(|errno| not_written(&disk.root, "a file of the upload cannot be made", path, errno))
        };
        let record = create("parts")?;
        let header = Header {
            key: key.clone(),
            initiated: Some(disk.env.now()),
            attributes: options.attributes,
            size: options.size,
        };
        slots::write_header(&record, &header)?;
        flush(disk, &record)?;
        let data = create("data")?;
        reserve(&data, options.size.unwrap_or(0))?;
        flush(disk, &data)?;
        disk.sync_names(&dir, split(path).0)
    })();
    if let Err(error) = made {
        remove(&dir, &id);
        disk.prune(split(path).0, found);
        return Err(error);
    }
    Ok(Upload::new(key.clone(), UploadId::new(id)))
}

/// Removes the files of an upload, the record last.
fn remove(dir: &OwnedFd, id: &str) -> bool {
    ["data", "parts"].map(|suffix| unlinkat(dir, reserved(id, suffix), AtFlags::empty()).is_ok())[1]
}

/// A part being written.
struct Part {
    upload: InProgress,
    sink: Sink,
    hasher: TreeHasher,
}

impl Part {
    fn start(disk: &Disk, upload: &Upload, spec: &PartSpec) -> Result<Self> {
        let upload = InProgress::open(disk, upload)?;
        if slots::is_written(&upload.record, spec.number)? {
            // Its bytes are about to change, so it must not count as complete.
            slots::write_slot(&upload.record, spec.number, None)?;
            flush(disk, &upload.record)?;
        }
        Ok(Self { upload, sink: Sink::new(spec.range.start, false), hasher: TreeHasher::new() })
    }

    fn append(&mut self, leaf: &Leaf) -> Result<()> {
        let turn = turn(&self.upload.id);
        let written = self.sink.append(&self.upload.data, leaf);
        drop(turn);
        written.map_err(|error| named(error, "upload_part", Some(&self.upload.key)))?;
        self.hasher.push_leaf(leaf.digest(), leaf.len() as u64);
        Ok(())
    }

    fn finish(self, disk: &Disk, spec: &PartSpec) -> Result<PartReceipt> {
        self.sink.check_len(spec.len())?;
        if disk.durable() {
            self.upload.data.sync_data().map_err(|error| Error::io("the part cannot be flushed to the disk", error))?;
        }
        let slot = Slot { number: spec.number, range: spec.range.clone(), root: self.hasher.finish().root };
        if disk.settings.paranoid {
            read_back(&self.upload.data, slot.range.clone(), slot.root)?;
        }
        slots::write_slot(&self.upload.record, slot.number, Some(&slot))?;
        flush(disk, &self.upload.record)?;
        Ok(slot.info())
    }
}

fn check_part(spec: &PartSpec, body: &Body) -> Result<()> {
    let (number, start, end) = (spec.number, spec.range.start, spec.range.end);
    if !(1..=MOST_PARTS).contains(&number) {
        return Err(Error::invalid_input(format!("part {number} is not in 1..={MOST_PARTS}")));
    }
    check_size(end)?;
    if start > end || end - start != body.len() {
        let message = format!("part {number} is {start}..{end} of the object, and its body has {} bytes", body.len());
        return Err(Error::invalid_input(message));
    }
    Ok(())
}

fn complete(disk: &Arc<Disk>, upload: &Upload, parts: &[PartReceipt], condition: &Precondition) -> Result<PutReceipt> {
    let files = InProgress::open(disk, upload)?;
    let (path, _) = disk.path(&upload.key)?;
    let header = slots::read_header(&files.record)?;
    let size = check_parts(&slots::read_slots(&files.record)?, parts)?;
    if header.size.is_some_and(|announced| announced != size) {
        let message = format!("the parts have {size} bytes; the upload was begun for {:?}", header.size);
        return Err(Error::invalid_input(message));
    }
    let there = files.data.metadata().map_err(|error| Error::io("the upload cannot be examined", error))?.len();
    if there < size {
        let message = format!("the upload has {there} bytes on the disk where its parts have {size}");
        return Err(Error::new(ErrorKind::Corrupt, message));
    }
    files.data.set_len(size).map_err(|error| Error::io("the upload cannot be cut to its length", error))?;
    metadata::apply(&files.data, &header.attributes)?;
    flush(disk, &files.data)?;
    let from = reserved(upload.id.as_str(), "data");
    locked(&files.dir, matches!(condition, Precondition::IfMatch(_)), || {
        rename(disk, &files.dir, &from, path, condition)
    })
    .map_err(|error| match error.kind() {
        // A concurrent completion of this upload came first; opening it again gives the
        // precise error.
        ErrorKind::NotFound => InProgress::open(disk, upload).err().unwrap_or(error),
        _ => error,
    })?;
    // Without its data the record no longer counts as an upload; a later abort would
    // remove it too.
    remove(&files.dir, upload.id.as_str());
    settled(disk, &files.dir, path, &files.data).map(|state| receipt(&state))
}

/// Compares the parts with the recorded ones. Returns the size of the object.
fn check_parts(held: &[Slot], parts: &[PartReceipt]) -> Result<u64> {
    if parts.is_empty() {
        return Err(Error::invalid_input(
            "an upload cannot be completed without parts; an empty object has an empty one",
        ));
    }
    let (mut end, mut last) = (0, 0);
    for part in parts {
        let number = part.number;
        let slot = held.binary_search_by_key(&number, |slot| slot.number).ok().map(|index| &held[index]);
        let Some(slot) = slot.filter(|slot| slot.info().etag == part.etag && slot.info().size == part.size) else {
            return Err(Error::invalid_input(format!("part {number} is not one that the upload holds")));
        };
        if number <= last || slot.range.start != end {
            let (start, last) = (slot.range.start, last);
            return Err(Error::invalid_input(format!(
                "part {number}, which begins at {start}, does not follow part {last}, which ends at {end}"
            )));
        }
        (end, last) = (slot.range.end, number);
    }
    Ok(end)
}

fn abort(disk: &Arc<Disk>, upload: &Upload) -> Result<()> {
    let (path, _) = disk.path(&upload.key)?;
    let Some(dir) = folder(disk, path)?.filter(|_| is_id_of(&upload.id, &upload.key)) else { return Ok(()) };
    for suffix in ["data", "parts"] {
        match unlinkat(&dir, reserved(upload.id.as_str(), suffix), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(failed_at("a file of the upload cannot be removed", path, errno)),
        }
    }
    disk.sync_names(&dir, split(path).0)?;
    if !disk.markers() {
        disk.prune(split(path).0, 0);
    }
    Ok(())
}

fn list_parts(disk: &Arc<Disk>, upload: &Upload) -> Result<Vec<PartInfo>> {
    let files = InProgress::open(disk, upload)?;
    Ok(slots::read_slots(&files.record)?.iter().map(Slot::info).collect())
}

fn list_uploads(disk: &Arc<Disk>, key: &ObjectKey) -> Result<Vec<UploadInfo>> {
    let (path, _) = disk.path(key)?;
    let Some(dir) = folder(disk, path)? else { return Ok(Vec::new()) };
    let (begin, end) = (format!(".lepton-{}", key_digits(key)), ".parts");
    let failed = |errno| failed_at("the folder cannot be read", split(path).0, errno);
    let mut uploads = Vec::new();
    let mut entries = Dir::read_from(&dir).map_err(failed)?;
    while let Some(entry) = entries.read().transpose().map_err(failed)? {
        let Some(name) = entry.file_name().to_str().ok().filter(|name| name.starts_with(&begin)) else { continue };
        let Some(id) = name.strip_prefix(".lepton-").and_then(|name| name.strip_suffix(end)) else { continue };
        let upload = Upload::new(key.clone(), UploadId::new(id));
        if !is_id_of(&upload.id, key) {
            continue;
        }
        let record = openat(&dir, name, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
        let mut info = UploadInfo::new(upload);
        // An upload that was interrupted during its creation can still be aborted.
        info.initiated = record.ok().and_then(|file| slots::read_header(&File::from(file)).ok()?.initiated);
        uploads.push(info);
    }
    uploads.sort_by(|a, b| (a.initiated, &a.upload.id).cmp(&(b.initiated, &b.upload.id)));
    Ok(uploads)
}

#[async_trait]
impl Multipart for LocalStorage {
    async fn create(&self, key: &ObjectKey, options: CreateUploadOptions) -> Result<Upload> {
        let wanted = key.clone();
        self.run("create_upload", Some(key), move |disk| create(disk, &wanted, options)).await
    }

    async fn upload_part(&self, upload: &Upload, part: PartSpec, body: Body) -> Result<PartReceipt> {
        let about = {
            let (key, number) = (upload.key.clone(), part.number);
            move |error| named(error, "upload_part", Some(&key)).with_context("part", number)
        };
        check_part(&part, &body).map_err(&about)?;
        let start = {
            let (disk, upload, part, about) = (Arc::clone(&self.disk), upload.clone(), part.clone(), about.clone());
            move || Part::start(&disk, &upload, &part).map_err(about)
        };
        let disk = Arc::clone(&self.disk);
        let finish = move |sent: Part| sent.finish(&disk, &part).map_err(about);
        pump(&self.disk.env, &body, start, Part::append, finish).await
    }

    fn list_parts(&self, upload: &Upload) -> BoxStream<'static, Result<PartInfo>> {
        let (store, upload) = (self.clone(), upload.clone());
        later(async move {
            let key = upload.key.clone();
            store.run("list_parts", Some(&key), move |disk| list_parts(disk, &upload)).await
        })
    }

    async fn complete(&self, upload: &Upload, parts: Vec<PartReceipt>, options: CompleteOptions) -> Result<PutReceipt> {
        let named = upload.clone();
        let work = move |disk: &Arc<Disk>| complete(disk, &named, &parts, &options.precondition);
        self.run("complete_upload", Some(&upload.key), work).await
    }

    async fn abort(&self, upload: &Upload) -> Result<()> {
        let named = upload.clone();
        self.run("abort_upload", Some(&upload.key), move |disk| abort(disk, &named)).await
    }

    fn list_uploads(&self, key: &ObjectKey) -> BoxStream<'static, Result<UploadInfo>> {
        let (store, key) = (self.clone(), key.clone());
        later(async move {
            let wanted = key.clone();
            store.run("list_uploads", Some(&key), move |disk| list_uploads(disk, &wanted)).await
        })
    }
}

/// A stream of the items that a future returns.
fn later<T: Send + 'static>(
    all: impl Future<Output = Result<Vec<T>>> + Send + 'static,
) -> BoxStream<'static, Result<T>> {
    stream::once(all).map_ok(|all| stream::iter(all.into_iter().map(Ok))).try_flatten().boxed()
}
