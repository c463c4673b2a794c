//! Writing groups to the last segment, and starting new segments.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::folder::{at, segment_path, sync_folder};
use super::format::{self, COMMIT, HEADER, HEADER_LEN};
use super::identity::Identity;
use super::replay::Scan;
use crate::error::{Error, Result};

/// The size in bytes at which a segment is followed by another.
const SEGMENT: u64 = 8 << 20;

#[derive(Debug)]
pub(super) struct Writer {
    folder: PathBuf,
    file: File,
    number: u32,
    len: u64,
    groups: u64,
}

impl Writer {
    /// Creates a new journal; `leftover` is a segment in which nothing was ever committed.
    pub(super) fn create(folder: &Path, leftover: &[PathBuf], identity: &Identity) -> Result<Self> {
        for path in leftover {
            fs::remove_file(path).map_err(|e| at(Error::io("cannot remove an empty journal segment", e), path))?;
        }
        let mut writer = Self {
            folder: folder.to_owned(),
            file: start_segment(folder, 1)?,
            number: 1,
            len: HEADER_LEN as u64,
            groups: 0,
        };
        writer.write_group(header_record(identity)?)?;
        Ok(writer)
    }

    /// Continues after the last complete group and drops what follows it.
    pub(super) fn resume(folder: &Path, scan: &Scan) -> Result<Self> {
        let number = u32::try_from(scan.segments.len()).unwrap_or(u32::MAX);
        let path = segment_path(folder, number);
        let failed = |e| at(Error::io("cannot open the journal's last segment", e), &path);
        let mut file = OpenOptions::new().read(true).write(true).open(&path).map_err(failed)?;
        let mut len = scan.good_len;
        if len < HEADER_LEN as u64 {
            // The process was killed while it started the segment.
            file.set_len(0).and_then(|()| file.write_all(&format::segment_header())).map_err(failed)?;
            len = HEADER_LEN as u64;
        }
        file.set_len(len)
            .and_then(|()| file.seek(SeekFrom::Start(len)))
            .and_then(|_| file.sync_all())
            .map_err(failed)?;
        Ok(Self { folder: folder.to_owned(), file, number, len, groups: scan.groups })
    }

    /// Writes a group with its marker and waits for the disk.
    pub(super) fn write_group(&mut self, mut group: Vec<u8>) -> Result<()> {
        if self.len >= SEGMENT {
            self.file = start_segment(&self.folder, self.number + 1)?;
            self.number += 1;
            self.len = HEADER_LEN as u64;
        }
        format::encode(&mut group, COMMIT, &(self.groups + 1).to_le_bytes());
        let written = self.file.write_all(&group).and_then(|()| self.file.sync_data());
        written.map_err(|e| at(Error::io("cannot write the journal", e), &segment_path(&self.folder, self.number)))?;
        self.groups += 1;
        self.len += group.len() as u64;
        Ok(())
    }
}

/// The record with the identity of the plan.
fn header_record(identity: &Identity) -> Result<Vec<u8>> {
    let header = serde_json::to_vec(identity)
        .map_err(|e| Error::invalid_input("the plan's identity is not JSON").with_source(e))?;
    let mut record = Vec::new();
    format::encode(&mut record, HEADER, &header);
    Ok(record)
}

/// Writes a first segment with one group of these records. The file gets this name only
/// once it is complete and on disk.
pub(super) fn first_segment(path: &Path, identity: &Identity, records: &[(u16, Vec<u8>)]) -> Result<()> {
    let mut bytes = format::segment_header().to_vec();
    bytes.extend(header_record(identity)?);
    for (kind, payload) in records {
        format::encode(&mut bytes, *kind, payload);
    }
    format::encode(&mut bytes, COMMIT, &1u64.to_le_bytes());
    let temporary = path.with_extension("tmp");
    let failed = |e| at(Error::io("cannot write a journal segment", e), &temporary);
    let mut file = File::create(&temporary).map_err(failed)?;
    file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&temporary, path).map_err(|e| at(Error::io("cannot place a journal segment", e), path))
}

fn start_segment(folder: &Path, number: u32) -> Result<File> {
    let path = segment_path(folder, number);
    let failed = |e| at(Error::io("cannot start a journal segment", e), &path);
    let mut file = OpenOptions::new().write(true).create_new(true).open(&path).map_err(failed)?;
    file.write_all(&format::segment_header()).and_then(|()| file.sync_all()).map_err(failed)?;
    sync_folder(folder)?;
    Ok(file)
}
