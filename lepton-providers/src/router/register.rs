//! The register on disk: the owner of the writes. It is the commit point of a switch.
//!
//! The format is in `docs/formats/router.md`. The register is replaced as a whole: written to
//! another file, synced, renamed, and the folder synced.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind as Io, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use lepton_core::data_set::Side;
use lepton_core::traffic::{Backend, HoldId, HoldLimits};
use lepton_core::{Crc, Effect, Error, ErrorKind, Result, crc};
use serde::{Deserialize, Serialize};

/// The version of the format that is written, and the only one that is read.
const FORMAT: u64 = 1;

/// The state of the register.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stored {
    pub(super) version: u64,
    pub(super) epoch: u64,
    pub(super) owner: Side,
    pub(super) a: Vec<Backend>,
    pub(super) b: Vec<Backend>,
    pub(super) hold: Option<StoredHold>,
}

/// A hold that has not ended. Its epoch is that of the register.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredHold {
    pub(super) id: HoldId,
    pub(super) all: bool,
    pub(super) limits: HoldLimits,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    lepton_router: u64,
    crc32c: String,
}

impl Stored {
    /// A register that was never written: everything belongs to side A.
    pub(super) fn first(a: Vec<Backend>, b: Vec<Backend>) -> Self {
        Self { version: 1, epoch: 0, owner: Side::A, a, b, hold: None }
    }

    pub(super) fn backends(&self, side: Side) -> &[Backend] {
        match side {
            Side::A => &self.a,
            Side::B => &self.b,
        }
    }

    fn encode(&self) -> Result<Vec<u8>> {
        let failed = |error| Error::new(ErrorKind::Unexpected, "the register cannot be encoded").with_source(error);
        let body = serde_json::to_vec(self).map_err(failed)?;
        let header = Header { lepton_router: FORMAT, crc32c: format!("{:08x}", crc(Crc::Crc32c, &body)) };
        let mut text = serde_json::to_vec(&header).map_err(failed)?;
        text.push(b'\n');
        text.extend_from_slice(&body);
        text.push(b'\n');
        Ok(text)
    }

    fn decode(text: &[u8]) -> Result<Self> {
        let damaged = |why: &str| Error::new(ErrorKind::Corrupt, format!("the register is damaged: {why}"));
        let end = text.iter().position(|byte| *byte == b'\n').ok_or_else(|| damaged("it has no header"))?;
        let (header, body) = (&text[..end], &text[end + 1..]);
        // The version is read before anything that depends on it.
        let any: serde_json::Value =
            serde_json::from_slice(header).map_err(|error| damaged("its header is not JSON").with_source(error))?;
        match any.get("lepton_router").and_then(serde_json::Value::as_u64) {
            Some(FORMAT) => {}
            Some(other) => {
                let message = format!("the register has format {other}; this router reads format {FORMAT} only");
                return Err(Error::unsupported(message));
            }
            None => return Err(damaged("its header has no version")),
        }
        let header: Header =
            serde_json::from_value(any).map_err(|error| damaged("its header is wrong").with_source(error))?;
        let body = body.strip_suffix(b"\n").ok_or_else(|| damaged("it is cut off"))?;
        if header.crc32c != format!("{:08x}", crc(Crc::Crc32c, body)) {
            return Err(damaged("its checksum does not match"));
        }
        serde_json::from_slice(body).map_err(|error| damaged("its state is wrong").with_source(error))
    }
}

/// The folder of the register, locked.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes the folder if need be, and locks it.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|error| at(Error::io("cannot make the folder of the register", error), path))?;
        let lock = path.join("lock");
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&lock);
        let file = file.map_err(|error| at(Error::io("cannot open the lock of the register", error), &lock))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: file }),
            Err(TryLockError::WouldBlock) => {
                Err(at(Error::new(ErrorKind::Locked, "another router uses this register"), path))
            }
            Err(TryLockError::Error(error)) => Err(at(Error::io("cannot lock the register", error), &lock)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn file(&self) -> PathBuf {
        self.path.join("register")
    }

    /// Reads the register; `None` if there is none.
    pub(super) fn read(&self) -> Result<Option<Stored>> {
        let path = self.file();
        match fs::read(&path) {
            Ok(text) => Stored::decode(&text).map(Some).map_err(|error| at(error, &path)),
            Err(error) if error.kind() == Io::NotFound => Ok(None),
            Err(error) => Err(at(Error::io("cannot read the register", error), &path)),
        }
    }

    /// Replaces the register, durably.
    ///
    /// An error has effect `None` as long as the old state is certain, and `Unknown` once the new
    /// one may be what the next start reads.
    pub(super) fn write(&self, state: &Stored) -> Result<()> {
        let (path, new) = (self.file(), self.path.join("register.new"));
        let text = state.encode()?;
        let wrong = |error| at(Error::io("cannot write the register", error), &new);
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new).map_err(wrong)?;
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(wrong)?;
        fs::rename(&new, &path)
            .and_then(|()| File::open(&self.path)?.sync_all())
            .map_err(|error| at(Error::io("cannot publish the register", error), &path).with_effect(Effect::Unknown))
    }
}

fn at(error: Error, path: &Path) -> Error {
    error.with_context("path", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored() -> Stored {
        let hold = StoredHold { id: HoldId::new("4-x"), all: true, limits: HoldLimits::default() };
        let backend = || vec![Backend::new("r", "h:1")];
        Stored { version: 9, epoch: 4, owner: Side::B, a: backend(), b: backend(), hold: Some(hold) }
    }

    #[test]
    fn a_written_register_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Folder::open(folder.path()).unwrap();
        assert_eq!(folder.read().unwrap(), None);
        folder.write(&stored()).unwrap();
        assert_eq!(folder.read().unwrap(), Some(stored()));
        assert_eq!(Folder::open(folder.path()).unwrap_err().kind(), ErrorKind::Locked);
    }

    #[test]
    fn the_example_of_the_documentation_is_what_is_written() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/formats/router.md");
        let page = fs::read_to_string(page).unwrap();
        let example = page.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let backend = |address| vec![Backend::new("shop-1", address)];
        let hold = StoredHold { id: HoldId::new("4-00f3a2c955d1b07e"), all: false, limits: HoldLimits::default() };
        let (a, b) = (backend("10.0.0.1:8080"), backend("10.1.0.1:8080"));
        let stored = Stored { version: 9, epoch: 4, owner: Side::A, a, b, hold: Some(hold) };
        assert_eq!(String::from_utf8(stored.encode().unwrap()).unwrap(), example);
        assert_eq!(Stored::decode(example.as_bytes()).unwrap(), stored);
    }

    #[test]
    fn every_changed_byte_and_every_cut_is_found() {
        let text = stored().encode().unwrap();
        for place in 0..text.len() {
            let mut changed = text.clone();
            changed[place] ^= 1;
            assert!(Stored::decode(&changed).is_err(), "byte {place}");
            assert!(Stored::decode(&text[..place]).is_err(), "cut at {place}");
        }
    }

    #[test]
    fn another_version_is_refused_by_its_number() {
        let error = Stored::decode(b"{\"lepton_router\":2,\"more\":1}\nanything").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("format 2"), "{error}");
    }
}
