//! The bytes of a segment: a header of 16 bytes, then records.
//!
//! Header: magic, major and minor version (u16 each), flags (u32). A reader must
//! understand every flag that is set. Record: length of the payload (u32), type
//! (u16), payload, CRC-32C of these three (u32). All numbers are little-endian.

use std::ops::Range;

use crate::checksum::{Crc, crc};
use crate::{Error, ErrorKind, Result};

pub(super) const MAGIC: &[u8; 8] = b"LEPTJRNL";
pub(super) const MAJOR: u16 = 1;
const MINOR: u16 = 0;
pub(super) const HEADER_LEN: usize = 16;
pub(super) const MAX_PAYLOAD: usize = 16 << 20;

/// Record types that the journal itself uses.
pub(super) const COMMIT: u16 = 0;
pub(super) const HEADER: u16 = 1;

/// The first record type that a user of the journal may choose.
pub const FIRST_USER_TYPE: u16 = 16;

const BEFORE: usize = 6;
const AROUND: usize = BEFORE + 4;

pub(super) fn segment_header() -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    header[..8].copy_from_slice(MAGIC);
    header[8..10].copy_from_slice(&MAJOR.to_le_bytes());
    header[10..12].copy_from_slice(&MINOR.to_le_bytes());
    header
}

/// Checks a segment header: `corrupt` if it is none, `unsupported` if another version wrote it.
pub(super) fn check_header(bytes: &[u8]) -> Result<()> {
    let Some(header) = bytes.first_chunk::<HEADER_LEN>() else {
        return Err(Error::new(ErrorKind::Corrupt, "the segment has no header"));
    };
    if &header[..8] != MAGIC {
        return Err(Error::new(ErrorKind::Corrupt, "not a Lepton journal"));
    }
    let major = u16::from_le_bytes([header[8], header[9]]);
    let flags = u32::from_le_bytes([header[12], header[13], header[14], header[15]]);
    if major != MAJOR || flags != 0 {
        let message =
            format!("journal format {major} with flags {flags:#x}; this version reads format {MAJOR} without flags");
        return Err(Error::unsupported(message));
    }
    Ok(())
}

pub(super) fn encode(out: &mut Vec<u8>, kind: u16, payload: &[u8]) {
    let start = out.len();
    // Callers keep payloads within MAX_PAYLOAD, far below u32.
    out.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(payload);
    let check = check_of(&out[start..]);
    out.extend_from_slice(&check);
}

/// A record found in a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) kind: u16,
    pub(super) payload: Range<usize>,
    pub(super) end: usize,
}

/// Reads the record that starts at `at`; the error states what is wrong with it.
pub(super) fn decode(bytes: &[u8], at: usize) -> std::result::Result<Found, &'static str> {
    let rest = &bytes[at..];
    let (Some(len), Some(kind)) = (rest.first_chunk::<4>(), rest.get(4..6)) else { return Err("it is cut off") };
    let len = u32::from_le_bytes(*len) as usize;
    if len > MAX_PAYLOAD {
        return Err("its length is impossible");
    }
    let Some(whole) = rest.get(..len + AROUND) else { return Err("it is cut off") };
    let (body, check) = whole.split_at(len + BEFORE);
    if check != check_of(body) {
        return Err("its checksum is wrong");
    }
    let kind = u16::from_le_bytes([kind[0], kind[1]]);
    Ok(Found { kind, payload: at + BEFORE..at + BEFORE + len, end: at + len + AROUND })
}

fn check_of(bytes: &[u8]) -> [u8; 4] {
    let low = crc(Crc::Crc32c, bytes) & u64::from(u32::MAX);
    u32::try_from(low).unwrap_or_default().to_le_bytes()
}
