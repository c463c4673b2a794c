//! The folder behind a [`LocalStorage`]: its capabilities, and how keys become paths.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use lepton_core::{
    Attribute, Capabilities, Error, ErrorKind, KeyHandling, KeyPrefix, KeyRules, MultipartLimits, ObjectKey,
    PhysicalLocation, Result, RuntimeExt as _, SharedRuntime, Support,
};
use rustix::fs::{Mode, fsync, open};
use rustix::io::Errno;

use super::config::{Durability, EmptyDirectories, LocalConfig, Symlinks};
use super::contain::{DIRECTORY, Root};
use super::error::{failed, failed_at, shown, url};
use super::{folding, metadata, names};

/// The longest path below the root that the system opens, without the final NUL
/// (`PATH_MAX`). The path of the root is not included.
const LONGEST_PATH: usize = 4095;

/// The longest name in a folder (`NAME_MAX`).
const LONGEST_NAME: usize = 255;

/// The largest file that the system can describe.
pub(super) const LARGEST_FILE: u64 = i64::MAX as u64;

/// The maximum number of parts in one upload. The record of a part takes 64 bytes.
pub(super) const MOST_PARTS: u32 = 100_000;

/// A folder on a local disk as an object store.
///
/// A key is a path below the root, without NUL, `.`, `..` or empty names; a name has at
/// most 255 bytes and the whole at most 4,095. Keys need not be UTF-8. A key cannot be
/// both a file and a folder. Names that Lepton uses for files in progress (`.lepton-<hex
/// digits>.tmp`, `.data` and `.parts`) are refused and never listed. If the root does not
/// distinguish upper from lower case (exFAT, ext4 with casefold), `A` and `a` are one
/// file, and the capabilities state this.
///
/// Files in progress have no name at all if the file system supports that (`O_TMPFILE`),
/// so a killed process leaves nothing behind, except for a `.lepton-0.tmp` if it was just
/// replacing an object or opening an empty root; the next replacement in that folder
/// removes it, and so does opening it as a root. On other file systems, a
/// `.lepton-<16 hex digits>.tmp` may be left, which is safe to delete once no process
/// writes there.
///
/// Copies from another local store are server-side: bytes are shared if the file system
/// supports it, otherwise moved by the system, otherwise read and written. Holes stay
/// holes.
///
/// ```
/// # async fn example() -> lepton_core::Result<()> {
/// use lepton_core::{ObjectKey, StorageExt as _};
/// use lepton_providers::local::LocalStorage;
/// let store = LocalStorage::builder("/srv/photos").create_root(true).open().await?;
/// store.write(&ObjectKey::try_from("2024/cat.jpg")?, "meow".into()).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct LocalStorage {
    pub(super) disk: Arc<Disk>,
}

/// What all operations share.
#[derive(Debug)]
pub(super) struct Disk {
    pub(super) root: Root,
    pub(super) settings: LocalConfig,
    pub(super) capabilities: Capabilities,
    pub(super) env: SharedRuntime,
    pub(super) url: String,
    /// The root without symbolic links.
    path: PathBuf,
    /// Whether the file system shares bytes from a device to a device, once that has
    /// been tried.
    pub(super) sharing: Mutex<BTreeMap<(u64, u64), bool>>,
}

impl LocalStorage {
    pub(super) async fn open(settings: LocalConfig, env: SharedRuntime) -> Result<Self> {
        let disk = env.run_blocking({
            let env = env.clone();
            move || {
                let root = shown(settings.root.as_os_str().as_bytes());
                Disk::open(settings, env).map_err(|error| error.with_operation("open").with_context("root", root))
            }
        });
        Ok(Self { disk: Arc::new(disk.join().await??) })
    }

    /// Runs an operation on a thread that may block, and names it in its errors.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        key: Option<&ObjectKey>,
        work: impl FnOnce(&Arc<Disk>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let disk = Arc::clone(&self.disk);
        let done = self.disk.env.run_blocking(move || work(&disk)).join().await.flatten();
        done.map_err(|error| named(error, operation, key))
    }
}

/// The error with its operation and key.
pub(super) fn named(error: Error, operation: &'static str, key: Option<&ObjectKey>) -> Error {
    let error = error.with_operation(operation);
    match key {
        Some(key) => error.with_context("key", key),
        None => error,
    }
}

impl Disk {
    pub(super) fn open(settings: LocalConfig, env: SharedRuntime) -> Result<Self> {
        if settings.create_root {
            create_root(&settings.root, settings.sync)?;
        }
        let path = settings.root.canonicalize().map_err(|error| root_error(Error::io(NO_ROOT, error)))?;
        let dir = open(&path, DIRECTORY, Mode::empty()).map_err(|errno| match errno {
            Errno::NOTDIR => Error::invalid_input("the root is not a folder"),
            errno => root_error(failed(NO_ROOT, errno)),
        })?;
        let mut capabilities = capabilities(&settings, metadata::has_xattrs(&dir));
        if folding::folds(&dir) {
            capabilities.keys.case = KeyHandling::Changed;
        }
        let root = Root::new(dir, settings.symlinks == Symlinks::Follow).map_err(|errno| match errno {
            Errno::NOSYS => Error::unsupported("links can be followed safely on Linux 5.6 or later only"),
            errno => root_error(failed(NO_ROOT, errno)),
        })?;
        let url = url(path.as_os_str().as_bytes());
        Ok(Self { root, capabilities, env, url, path, sharing: Mutex::default(), settings })
    }

    /// The path of a key, and whether it names a folder. Refuses keys that this
    /// store would not hold exactly.
    pub(super) fn path<'a>(&self, key: &'a ObjectKey) -> Result<(&'a [u8], bool)> {
        self.capabilities.keys.check(key)?;
        let bytes = key.as_bytes();
        let folded = self.capabilities.keys.folded(key);
        if folded.split(|byte| *byte == b'/').any(names::is_reserved) {
            let message = "the key holds a name that Lepton uses for files in progress; this store refuses such keys";
            return Err(Error::new(ErrorKind::InvalidKey, message));
        }
        Ok(bytes.strip_suffix(b"/").map_or((bytes, false), |path| (path, true)))
    }

    /// Where the files below a prefix are.
    pub(super) fn physical_location(&self, prefix: &KeyPrefix) -> Result<PhysicalLocation> {
        let path = self.path.join(OsStr::from_bytes(prefix.as_bytes()));
        PhysicalLocation::of_folder(&path).map_err(|error| Error::io("the folder cannot be located", error))
    }

    /// Whether written bytes must be on the disk before a call returns.
    pub(super) fn durable(&self) -> bool {
        self.settings.sync == Durability::Always
    }

    /// Flushes the names in a folder.
    pub(super) fn sync_names(&self, dir: &OwnedFd, folder: &[u8]) -> Result<()> {
        if !self.durable() {
            return Ok(());
        }
        fsync(dir).map_err(|errno| failed_at("the folder cannot be flushed to the disk", folder, errno))
    }

    /// Whether extended attributes are kept.
    pub(super) fn xattrs(&self) -> bool {
        self.capabilities.keeps(Attribute::ContentType)
    }

    /// Whether a folder without anything in it is an object.
    pub(super) fn markers(&self) -> bool {
        self.settings.empty_directories == EmptyDirectories::Marker
    }
}

const NO_ROOT: &str = "the root folder cannot be opened";

fn root_error(error: Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound => error.with_kind(ErrorKind::BucketNotFound),
        _ => error,
    }
}

fn create_root(root: &Path, sync: Durability) -> Result<()> {
    let failed = |error| Error::io("the root folder cannot be made", error);
    let missing: Vec<&Path> =
        root.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
    std::fs::create_dir_all(root).map_err(failed)?;
    if sync == Durability::Always {
        for parent in missing.iter().filter_map(|path| path.parent()) {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            std::fs::File::open(parent).and_then(|parent| parent.sync_all()).map_err(failed)?;
        }
    }
    Ok(())
}

fn capabilities(settings: &LocalConfig, xattrs: bool) -> Capabilities {
    let mut keys = KeyRules::any(LONGEST_PATH);
    keys.max_segment_bytes = LONGEST_NAME;
    keys.utf8_only = cfg!(target_os = "macos");
    keys.forbidden_bytes = vec![0];
    keys.empty_segments = KeyHandling::Refused;
    keys.dot_segments = KeyHandling::Refused;
    keys.leading_slash = KeyHandling::Refused;
    keys.file_beside_folder = KeyHandling::Refused;
    if settings.empty_directories == EmptyDirectories::Ignore {
        keys.trailing_slash = KeyHandling::Refused;
    }
    let mut all = Capabilities::everything("local");
    all.keys = keys;
    all.put_if_match = Support::Emulated;
    all.conditional_complete = Support::Emulated;
    all.conditional_delete = Support::Emulated;
    all.keeps_mtime = true;
    all.max_single_put = LARGEST_FILE;
    all.max_object = LARGEST_FILE;
    all.multipart = Some(MultipartLimits::new(1, LARGEST_FILE, MOST_PARTS));
    all.positional_parts = true;
    all.copies_locally = true;
    all.versions = Support::Unsupported;
    all.storage_class = Support::Unsupported;
    all.reserved_metadata_names = metadata::reserved_names();
    all.attributes.retain(|attribute| xattrs && *attribute != Attribute::Tags);
    all
}
