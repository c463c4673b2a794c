//! The file with a replica's output.
//!
//! The replica appends to it through a descriptor of its own, so the file can be neither replaced
//! nor cut without losing lines. What is too old is given back to the file system as a hole: the
//! places of all lines stay as they are.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

/// The granularity of a hole.
const PAGE: u64 = 4096;

/// Where the output of a replica is.
pub(in crate::process) fn output_file(folder: &Path) -> PathBuf {
    folder.join("output.log")
}

/// Gives the older part of the output back, if there is more than the limit.
pub(in crate::process) fn trim_output(folder: &Path, limit: u64) -> io::Result<()> {
    let path = output_file(folder);
    let found = path.metadata()?;
    if found.blocks().saturating_mul(512) <= limit {
        return Ok(());
    }
    let old = found.len().saturating_sub(limit / 2) / PAGE * PAGE;
    if old == 0 {
        return Ok(());
    }
    let file = OpenOptions::new().write(true).open(&path)?;
    match fallocate(&file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 0, old) {
        // The file system has no holes, so the output stays.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        done => done.map_err(Into::into),
    }
}

/// Where the output begins that has not been given back.
pub(in crate::process) fn output_begins(file: &File) -> io::Result<u64> {
    match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(0)) {
        Ok(begin) => Ok(begin),
        // There is nothing but a hole.
        Err(Errno::NXIO) => Ok(file.metadata()?.len()),
        Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(0),
        Err(errno) => Err(errno.into()),
    }
}

/// Reads at most so many bytes from an offset on; the zeros of a hole are left out.
pub(in crate::process) fn read_output(file: &mut File, from: u64, limit: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn the_older_part_is_given_back_and_places_stay() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = OpenOptions::new().create(true).append(true).open(output_file(folder.path())).unwrap();
        let line = format!("{}\n", "x".repeat(99));
        writer.write_all(line.repeat(1000).as_bytes()).unwrap();
        trim_output(folder.path(), 1 << 20).unwrap();
        let mut file = File::open(output_file(folder.path())).unwrap();
        assert_eq!(output_begins(&file).unwrap(), 0);
        trim_output(folder.path(), 50_000).unwrap();
        writer.write_all(b"last\n").unwrap();
        let begin = output_begins(&file).unwrap();
        // A file system without holes keeps everything.
        assert!(begin == 0 || (60_000..=75_000).contains(&begin), "{begin}");
        assert_eq!(read_output(&mut file, 100_000, 100).unwrap(), b"last\n");
    }
}
