//! Reads a journal back: the complete groups and their records.
//!
//! A segment is read whole: it has at most 8 MiB plus one group.

use std::fs;
use std::path::{Path, PathBuf};

use super::folder::at;
use super::format::{self, COMMIT, HEADER, HEADER_LEN};
use super::identity::Identity;
use crate::error::{Error, ErrorKind, Result};

/// A record of an earlier run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The type that its writer chose.
    pub kind: u16,
    /// Its bytes.
    pub payload: Vec<u8>,
}

/// The result of a scan of all segments.
#[derive(Debug, Clone)]
pub(super) struct Scan {
    pub(super) identity: Identity,
    pub(super) segments: Vec<PathBuf>,
    /// The end of the last complete group in the last segment.
    pub(super) good_len: u64,
    /// The number of complete groups.
    pub(super) groups: u64,
}

/// The segments of a folder in order; none may be missing.
pub(super) fn segments(folder: &Path) -> Result<Vec<PathBuf>> {
    let found = numbered(folder)?;
    for (index, (number, path)) in found.iter().enumerate() {
        if *number as usize != index + 1 {
            let message = format!("journal segment {} is missing", index + 1);
            return Err(at(Error::new(ErrorKind::Corrupt, message), path));
        }
    }
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// The segments in the folder, with their numbers.
pub(super) fn numbered(folder: &Path) -> Result<Vec<(u32, PathBuf)>> {
    let failed = |e| at(Error::io("cannot read the journal folder", e), folder);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let number = name.to_str().and_then(|n| n.strip_prefix("journal-")?.strip_suffix(".log")?.parse::<u32>().ok());
        found.extend(number.map(|number| (number, folder.join(&name))));
    }
    found.sort();
    Ok(found)
}

/// Checks all segments; `None` if nothing was ever committed.
pub(super) fn scan(segments: &[PathBuf]) -> Result<Option<Scan>> {
    let mut scan = Scan { identity: Identity::new(), segments: segments.to_vec(), good_len: 0, groups: 0 };
    for (index, path) in segments.iter().enumerate() {
        let bytes = read(path)?;
        let last = index + 1 == segments.len();
        let good = groups(&bytes, &mut scan.groups).map_err(|e| at(e, path))?;
        if good < bytes.len() && !last {
            let message = format!("the segment is damaged at offset {good}, and others follow it");
            return Err(at(Error::new(ErrorKind::Corrupt, message), path));
        }
        if index == 0 {
            if good == 0 {
                // The process was killed while it created the journal: nothing was committed.
                return if last {
                    Ok(None)
                } else {
                    Err(at(Error::new(ErrorKind::Corrupt, "the segment holds nothing"), path))
                };
            }
            scan.identity = identity(&bytes).map_err(|e| at(e, path))?;
        }
        scan.good_len = good as u64;
    }
    Ok((!segments.is_empty()).then_some(scan))
}

/// The end of the last complete group. Damage before a later complete group is
/// an error.
fn groups(bytes: &[u8], groups: &mut u64) -> Result<usize> {
    if bytes.len() < HEADER_LEN {
        return Ok(0);
    }
    format::check_header(bytes)?;
    let (mut position, mut good) = (HEADER_LEN, 0);
    while position < bytes.len() {
        match format::decode(bytes, position) {
            Ok(found) => {
                position = found.end;
                if found.kind == COMMIT {
                    expect_group(bytes, &found, groups)?;
                    good = position;
                }
            }
            Err(why) => {
                if commit_follows(bytes, position + 1, *groups) {
                    let message = format!("the record at offset {position} is damaged: {why}");
                    return Err(Error::new(ErrorKind::Corrupt, message));
                }
                break;
            }
        }
    }
    Ok(good)
}

fn expect_group(bytes: &[u8], found: &format::Found, groups: &mut u64) -> Result<()> {
    let number = group_number(bytes, found);
    if number != Some(*groups + 1) {
        let message = format!("group {} at offset {} should be group {}", number.unwrap_or(0), found.end, *groups + 1);
        return Err(Error::new(ErrorKind::Corrupt, message));
    }
    *groups += 1;
    Ok(())
}

fn group_number(bytes: &[u8], found: &format::Found) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes[found.payload.clone()].first_chunk()?))
}

/// Whether a complete group ends anywhere after `from`. If so, damage before it is not a
/// torn tail.
fn commit_follows(bytes: &[u8], from: usize, groups: u64) -> bool {
    let start = [8, 0, 0, 0, 0, 0];
    let candidates = bytes.windows(start.len()).enumerate().skip(from).filter(|(_, window)| *window == start);
    candidates.into_iter().any(|(at, _)| {
        format::decode(bytes, at).is_ok_and(|found| group_number(bytes, &found).is_some_and(|number| number > groups))
    })
}

fn identity(bytes: &[u8]) -> Result<Identity> {
    let corrupt =
        |why: &str| Error::new(ErrorKind::Corrupt, format!("the journal's first record is not its header: {why}"));
    let found = format::decode(bytes, HEADER_LEN).map_err(corrupt)?;
    if found.kind != HEADER {
        return Err(corrupt("another type"));
    }
    serde_json::from_slice(&bytes[found.payload]).map_err(|e| corrupt(&e.to_string()))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|e| at(Error::io("cannot read a journal segment", e), path))
}

/// The records of earlier runs in order. Iterating blocks.
#[derive(Debug, Clone)]
pub struct Replay {
    scan: Scan,
    next: usize,
    bytes: Vec<u8>,
    position: usize,
}

impl Replay {
    pub(super) fn new(scan: Scan) -> Self {
        Self { scan, next: 0, bytes: Vec::new(), position: 0 }
    }

    /// Reads the records of the journal in `folder` without locking it, including those
    /// that a run in this process has committed.
    ///
    /// # Errors
    /// `not_found` if there is no journal; `corrupt` if it is damaged.
    pub fn of(folder: &Path) -> Result<Self> {
        let missing = || at(Error::new(ErrorKind::NotFound, "there is no journal in this folder"), folder);
        Ok(Self::new(scan(&segments(folder)?)?.ok_or_else(missing)?))
    }

    /// The identity of the plan that the journal belongs to.
    pub fn identity(&self) -> &Identity {
        &self.scan.identity
    }

    fn load(&mut self) -> Result<bool> {
        let Some(path) = self.scan.segments.get(self.next) else { return Ok(false) };
        // Free the old segment first, so that only one is in memory.
        self.bytes = Vec::new();
        self.bytes = read(path)?;
        self.next += 1;
        if self.next == self.scan.segments.len() {
            self.bytes.truncate(usize::try_from(self.scan.good_len).unwrap_or(usize::MAX));
        }
        self.position = HEADER_LEN;
        Ok(true)
    }

    fn record(&mut self) -> Result<Option<Record>> {
        loop {
            while self.position < self.bytes.len() {
                let found = format::decode(&self.bytes, self.position).map_err(|why| {
                    Error::new(ErrorKind::Corrupt, format!("the record at offset {} is damaged: {why}", self.position))
                })?;
                self.position = found.end;
                if found.kind != COMMIT && found.kind != HEADER {
                    return Ok(Some(Record { kind: found.kind, payload: self.bytes[found.payload].to_vec() }));
                }
            }
            if !self.load()? {
                return Ok(None);
            }
        }
    }
}

impl Iterator for Replay {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        let record = self.record();
        if record.is_err() {
            (self.next, self.position, self.bytes) = (self.scan.segments.len(), 0, Vec::new());
        }
        record.transpose()
    }
}
