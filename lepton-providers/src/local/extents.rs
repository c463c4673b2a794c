//! Moves the bytes of one file into a new one: shared if the file system supports it,
//! otherwise moved by the system, otherwise read and written. Holes stay holes.

use std::fs::File;

use lepton_core::{Error, Result};
use rustix::buffer::spare_capacity;
use rustix::fs::{SeekFrom, fstat, seek};
use rustix::io::{Errno, pread, pwrite, retry_on_intr};

use super::error::failed;
use super::space::reserve;

/// How much is read and written in one call.
const BLOCK: u64 = 1 << 20;

/// The allocation unit of a file system: a file that lacks less than this has no hole.
const UNIT: u64 = 4096;

/// The unit in which the system reports the allocated size.
const SECTOR: u64 = 512;

/// A transfer from one file to another, starting at offset 0.
#[derive(Debug)]
pub(super) struct Moving {
    at: u64,
    size: u64,
    sparse: bool,
    /// Whether the system moves the bytes itself; false once it has refused to.
    by_itself: bool,
}

impl Moving {
    /// Begins to move `size` bytes; if they can be shared, this completes the transfer.
    pub(super) fn begin(from: &File, to: &File, size: u64) -> Result<Self> {
        let sparse = is_sparse(from, size);
        // Whatever prevents sharing, the next method works or reports why not.
        let at = if share(from, to).is_ok() { size } else { 0 };
        if at < size && sparse {
            to.set_len(size).map_err(|error| Error::io("the new file cannot be given its size", error))?;
        } else if at < size {
            reserve(to, size)?;
        }
        Ok(Self { at, size, sparse, by_itself: true })
    }

    /// Moves up to `most` more bytes. `false` if the source ended too early.
    pub(super) fn step(&mut self, from: &File, to: &File, most: u64) -> Result<bool> {
        let mut left = most;
        while left > 0 && self.at < self.size {
            let Some((start, end)) = self.next_data(from)? else {
                self.at = self.size;
                break;
            };
            let moved = self.some(from, to, start, left.min(end - start))?;
            if moved == 0 {
                return Ok(false);
            }
            self.at = start + moved;
            left -= moved;
        }
        Ok(true)
    }

    pub(super) fn is_done(&self) -> bool {
        self.at >= self.size
    }

    /// The next range that is not a hole.
    fn next_data(&self, from: &File) -> Result<Option<(u64, u64)>> {
        if !self.sparse {
            return Ok(Some((self.at, self.size)));
        }
        let found =
            seek(from, SeekFrom::Data(self.at)).and_then(|start| Ok((start, seek(from, SeekFrom::Hole(start))?)));
        match found {
            Ok((start, end)) => Ok((start < self.size).then_some((start, end.min(self.size)))),
            // The rest is a hole.
            Err(Errno::NXIO) => Ok(None),
            // The file system does not report holes.
            Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(Some((self.at, self.size))),
            Err(errno) => Err(failed("the holes of the file cannot be found", errno)),
        }
    }

    /// Moves bytes to the same offset in the other file; at least one, unless the source
    /// has ended.
    fn some(&mut self, from: &File, to: &File, at: u64, most: u64) -> Result<u64> {
        if self.by_itself {
            match move_by_itself(from, to, at, most) {
                Ok(moved) if moved > 0 => return Ok(moved),
                // Reading and writing works, or reports the error.
                _ => self.by_itself = false,
            }
        }
        let mut bytes = Vec::with_capacity(usize::try_from(most.min(BLOCK)).unwrap_or_default());
        let read = retry_on_intr(|| pread(from, spare_capacity(&mut bytes), at));
        read.map_err(|errno| failed("the file cannot be read", errno).with_context("offset", at))?;
        // The vector may have more capacity than requested.
        bytes.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        let mut written = 0;
        while written < bytes.len() {
            let place = at + written as u64;
            match retry_on_intr(|| pwrite(to, &bytes[written..], place)) {
                Ok(more) if more > 0 => written += more,
                done => {
                    let errno = done.err().unwrap_or(Errno::IO);
                    return Err(failed("the file cannot be written", errno).with_context("offset", place));
                }
            }
        }
        Ok(written as u64)
    }
}

/// Whether a file of this size has less space allocated than its bytes need.
pub(super) fn is_sparse(file: &File, size: u64) -> bool {
    #[allow(clippy::unnecessary_cast, clippy::cast_sign_loss, reason = "its type differs between systems")]
    let taken = fstat(file).map_or(size, |stat| (stat.st_blocks as u64).saturating_mul(SECTOR));
    taken.saturating_add(UNIT) <= size
}

/// Whether a file is in memory only, where a move by the system costs as much as reading
/// and writing.
#[cfg(target_os = "linux")]
pub(super) fn is_in_memory(file: &File) -> bool {
    const TMPFS: u64 = 0x0102_1994;
    #[allow(clippy::unnecessary_cast, clippy::cast_sign_loss, reason = "its type differs between systems")]
    rustix::fs::fstatfs(file).is_ok_and(|system| system.f_type as u64 == TMPFS)
}

/// Other systems do not move bytes themselves.
#[cfg(not(target_os = "linux"))]
pub(super) fn is_in_memory(_: &File) -> bool {
    true
}

/// Makes the file system share all bytes of one file with another, empty one.
#[cfg(target_os = "linux")]
pub(super) fn share(from: &File, to: &File) -> rustix::io::Result<()> {
    retry_on_intr(|| rustix::fs::ioctl_ficlone(to, from))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn share(_: &File, _: &File) -> rustix::io::Result<()> {
    Err(Errno::NOSYS)
}

/// Makes the system move bytes without passing them through this process.
#[cfg(target_os = "linux")]
fn move_by_itself(from: &File, to: &File, at: u64, most: u64) -> rustix::io::Result<u64> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let moved = retry_on_intr(|| {
        let (mut read_at, mut write_at) = (at, at);
        rustix::fs::copy_file_range(from, Some(&mut read_at), to, Some(&mut write_at), most)
    });
    moved.map(|moved| moved as u64)
}

#[cfg(not(target_os = "linux"))]
fn move_by_itself(_: &File, _: &File, _: u64, _: u64) -> rustix::io::Result<u64> {
    Err(Errno::NOSYS)
}
