//! The record of an upload's parts, which enables another process to resume after a kill.
//!
//! The file has a header with the options of the upload, followed by a slot of 64 bytes
//! for each part. So parts can be recorded concurrently, and one can be looked up without
//! reading the others. An incomplete slot counts as a missing part. The bytes are
//! specified in `docs/formats/local-upload.md`.

use std::fs::File;
use std::io::ErrorKind as Io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::time::SystemTime;

use lepton_core::{
    Attributes, ChecksumAlgorithm, Crc, ETag, Error, ErrorKind, ObjectKey, PartInfo, PartReceipt, Result, Sha256,
    StoredChecksum, crc,
};
use serde::{Deserialize, Serialize};

const MAGIC: &[u8; 8] = b"LEPTUPLD";
const MAJOR: u16 = 1;
const MINOR: u16 = 0;
const HEAD: usize = 28;
const SLOT: usize = 64;
const SLOTS_AT: u64 = 1 << 20;
const LARGEST_HEADER: usize = (1 << 20) - HEAD;

/// The options with which the upload was created.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) key: ObjectKey,
    pub(super) initiated: Option<SystemTime>,
    #[serde(default)]
    pub(super) attributes: Attributes,
    #[serde(default)]
    pub(super) size: Option<u64>,
}

/// A recorded part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) number: u32,
    pub(super) range: Range<u64>,
    pub(super) root: Sha256,
}

impl Slot {
    /// The part as listed.
    pub(super) fn info(&self) -> PartInfo {
        let checksum = StoredChecksum::full(ChecksumAlgorithm::Sha256Tree, self.root.0.to_vec());
        let tag = ETag::new(self.root.to_string());
        PartReceipt::new(self.number, self.range.end - self.range.start, tag).checksum(Some(checksum))
    }

    fn encode(&self) -> [u8; SLOT] {
        let mut bytes = [0; SLOT];
        bytes[..4].copy_from_slice(&self.number.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.range.start.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.range.end.to_le_bytes());
        bytes[24..56].copy_from_slice(&self.root.0);
        let check = crc(Crc::Crc64Nvme, &bytes[..56]);
        bytes[56..].copy_from_slice(&check.to_le_bytes());
        bytes
    }

    /// Decodes a part from its slot; `None` if the slot is invalid or belongs to another
    /// part.
    fn decode(bytes: &[u8], number: u32) -> Option<Self> {
        let bytes: &[u8; SLOT] = bytes.try_into().ok()?;
        let slot = Self {
            number,
            range: u64::from_le_bytes(bytes[8..16].try_into().ok()?)
                ..u64::from_le_bytes(bytes[16..24].try_into().ok()?),
            root: Sha256(bytes[24..56].try_into().ok()?),
        };
        (slot.encode() == *bytes && slot.range.start <= slot.range.end).then_some(slot)
    }
}

/// Writes the header of a new record.
pub(super) fn write_header(file: &File, header: &Header) -> Result<()> {
    let json = serde_json::to_vec(header).map_err(|error| {
        Error::invalid_input("the attributes cannot be recorded with the upload").with_source(error)
    })?;
    let Some(len) = u32::try_from(json.len()).ok().filter(|_| json.len() <= LARGEST_HEADER) else {
        return Err(Error::new(ErrorKind::TooLarge, "the attributes are more than 1 MiB"));
    };
    let mut bytes = MAGIC.to_vec();
    bytes.extend(MAJOR.to_le_bytes().into_iter().chain(MINOR.to_le_bytes()).chain([0; 4]));
    bytes.extend(len.to_le_bytes().into_iter().chain(crc(Crc::Crc64Nvme, &json).to_le_bytes()));
    bytes.extend(json);
    file.write_all_at(&bytes, 0).map_err(|error| Error::io("the record of the upload cannot be written", error))
}

/// Reads the options with which the upload was created.
///
/// # Errors
/// `corrupt` if it is damaged, `unsupported` if another version wrote it.
pub(super) fn read_header(file: &File) -> Result<Header> {
    let mut head = [0; HEAD];
    read_exact(file, &mut head, 0)?;
    let [major, minor] = [8, 10].map(|at| u16::from_le_bytes([head[at], head[at + 1]]));
    let [flags, len] = [12, 16].map(|at| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]));
    if &head[..8] != MAGIC {
        return Err(damaged("it does not begin as one"));
    }
    if major != MAJOR || flags != 0 {
        let message = format!("the record of the upload has format {major}.{minor} with flags {flags:#x}; this is 1.0");
        return Err(Error::unsupported(message));
    }
    let len = usize::try_from(len).ok().filter(|len| *len <= LARGEST_HEADER);
    let mut json = vec![0; len.ok_or_else(|| damaged("the length of its header is impossible"))?];
    read_exact(file, &mut json, HEAD as u64)?;
    if crc(Crc::Crc64Nvme, &json).to_le_bytes() != head[20..] {
        return Err(damaged("its header does not have the checksum it should"));
    }
    serde_json::from_slice(&json).map_err(|error| damaged("its header cannot be read").with_source(error))
}

fn damaged(how: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("the record of the upload is damaged: {how}"))
}

fn read_exact(file: &File, buffer: &mut [u8], at: u64) -> Result<()> {
    file.read_exact_at(buffer, at).map_err(|error| match error.kind() {
        Io::UnexpectedEof => damaged("it ends too early"),
        _ => Error::io("the record of the upload cannot be read", error),
    })
}

/// Records a part; `None` clears its slot.
pub(super) fn write_slot(file: &File, number: u32, slot: Option<&Slot>) -> Result<()> {
    let bytes = slot.map_or([0; SLOT], Slot::encode);
    file.write_all_at(&bytes, place(number)).map_err(|error| Error::io("the part cannot be recorded", error))
}

/// Whether anything was ever recorded for a part.
pub(super) fn is_written(file: &File, number: u32) -> Result<bool> {
    let mut bytes = [0; SLOT];
    match file.read_exact_at(&mut bytes, place(number)) {
        Ok(()) => Ok(bytes != [0; SLOT]),
        Err(error) if error.kind() == Io::UnexpectedEof => Ok(false),
        Err(error) => Err(Error::io("the record of the upload cannot be read", error)),
    }
}

/// The recorded parts, ascending.
pub(super) fn read_slots(file: &File) -> Result<Vec<Slot>> {
    let failed = |error| Error::io("the record of the upload cannot be read", error);
    let mut slots = Vec::new();
    let mut block = vec![0; 1024 * SLOT];
    for first in (1u32..).step_by(1024) {
        let mut filled = 0;
        while filled < block.len() {
            match file.read_at(&mut block[filled..], place(first) + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == Io::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
        slots.extend((first..).zip(block[..filled].chunks(SLOT)).filter_map(|(n, bytes)| Slot::decode(bytes, n)));
        if filled < block.len() {
            break;
        }
    }
    Ok(slots)
}

fn place(number: u32) -> u64 {
    SLOTS_AT + u64::from(number - 1) * SLOT as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(number: u32) -> Slot {
        Slot { number, range: 5..u64::from(number) + 5, root: Sha256::of(&number.to_le_bytes()) }
    }

    #[test]
    fn slots_are_read_in_order_and_torn_ones_are_not_there() {
        let file = tempfile::tempfile().unwrap();
        for number in [3000, 1, 7, 2] {
            write_slot(&file, number, Some(&slot(number))).unwrap();
        }
        assert_eq!(read_slots(&file).unwrap(), [1, 2, 7, 3000].map(slot));
        file.write_all_at(b"torn", place(2) + 30).unwrap();
        file.set_len(place(3000) + 20).unwrap();
        assert_eq!(read_slots(&file).unwrap(), [1, 7].map(slot));
        // A valid slot at another part's position is ignored.
        file.write_all_at(&slot(7).encode(), place(9)).unwrap();
        assert_eq!(read_slots(&file).unwrap(), [1, 7].map(slot));
        assert!(is_written(&file, 2).unwrap() && !is_written(&file, 3).unwrap());
    }

    #[test]
    fn a_slot_has_the_bytes_that_are_specified() {
        let slot = Slot { number: 258, range: 1 << 20..(2 << 20) + 1, root: Sha256::of(b"") };
        let expected = "0201000000000000000010000000000001002000000000\
                        00e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let bytes = slot.encode();
        assert_eq!(lepton_core::to_hex(&bytes[..56]), expected);
        assert_eq!(bytes[56..], crc(Crc::Crc64Nvme, &bytes[..56]).to_le_bytes());
        assert_eq!(Slot::decode(&bytes, 258), Some(slot));
    }

    #[test]
    fn the_header_round_trips_and_damage_is_named() {
        let file = tempfile::tempfile().unwrap();
        let key = ObjectKey::new(b"a\xff/b".to_vec()).unwrap();
        let initiated = Some(SystemTime::UNIX_EPOCH);
        let header = Header { key, initiated, attributes: Attributes::default(), size: Some(7) };
        write_header(&file, &header).unwrap();
        assert_eq!(read_header(&file).unwrap(), header);
        for (at, kind) in [
            (0, ErrorKind::Corrupt),
            (9, ErrorKind::Unsupported),
            (15, ErrorKind::Unsupported),
            (40, ErrorKind::Corrupt),
        ] {
            write_header(&file, &header).unwrap();
            file.write_all_at(b"\x55", at).unwrap();
            assert_eq!(read_header(&file).unwrap_err().kind(), kind, "byte {at}");
        }
        file.set_len(10).unwrap();
        assert_eq!(read_header(&file).unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
