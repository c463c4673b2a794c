//! Moving the bytes of one file into another, new one: shared where the file system
//! can, else moved by the system, else read and written. Holes stay holes.

use std::fs::File;

use lepton_core::{Error, Result};
use rustix::buffer::spare_capacity;
use rustix::fs::{SeekFrom, fstat, seek};
use rustix::io::{Errno, pread, pwrite, retry_on_intr};

use super::error::failed;
use super::space::reserve;

/// How much is read and written in one go.
const BLOCK: u64 = 1 << 20;

/// The unit that a file system sets aside: a file that lacks less has no hole.
const UNIT: u64 = 4096;

/// The unit in which the system says how much a file takes.
const SECTOR: u64 = 512;

/// Bytes on their way from the start of one file to the start of another.
#[derive(Debug)]
pub(super) struct Moving {
    at: u64,
    size: u64,
    sparse: bool,
    /// The system moves bytes by itself, until it has refused to.
    by_itself: bool,
}

impl Moving {
    /// Begins to move `size` bytes; where they can be shared that is all.
    pub(super) fn begin(from: &File, to: &File, size: u64) -> Result<Self> {
        let sparse = is_sparse(from, size);
        // Whatever keeps them from being shared, the next way works or says why not.
        let at = if share(from, to).is_ok() { size } else { 0 };
        if at < size && sparse {
            to.set_len(size).map_err(|error| Error::io("the new file cannot be given its size", error))?;
        } else if at < size {
            reserve(to, size)?;
        }
        Ok(Self { at, size, sparse, by_itself: true })
    }

    /// Moves at most so many bytes more. `false` if the source ended too early.
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

    /// Where the next bytes that are no hole begin and end.
    fn next_data(&self, from: &File) -> Result<Option<(u64, u64)>> {
        if !self.sparse {
            return Ok(Some((self.at, self.size)));
        }
        let found =
            seek(from, SeekFrom::Data(self.at)).and_then(|start| Ok((start, seek(from, SeekFrom::Hole(start))?)));
        match found {
            Ok((start, end)) => Ok((start < self.size).then_some((start, end.min(self.size)))),
            // Nothing but a hole is left.
            Err(Errno::NXIO) => Ok(None),
            // A file system that does not tell its holes.
            Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(Some((self.at, self.size))),
            Err(errno) => Err(failed("the holes of the file cannot be found", errno)),
        }
    }

    /// Moves bytes to the same place in the other file; at least one, unless the
    /// source has ended.
    fn some(&mut self, from: &File, to: &File, at: u64, most: u64) -> Result<u64> {
        if self.by_itself {
            match move_by_itself(from, to, at, most) {
                Ok(moved) if moved > 0 => return Ok(moved),
                // Reading and writing works, or says what is wrong.
                _ => self.by_itself = false,
            }
        }
        let mut bytes = Vec::with_capacity(usize::try_from(most.min(BLOCK)).unwrap_or_default());
        let read = retry_on_intr(|| pread(from, spare_capacity(&mut bytes), at));
        read.map_err(|errno| failed("the file cannot be read", errno).with_context("offset", at))?;
        // A vector may have got more room than it asked for.
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

/// Whether so large a file takes less room than its bytes would.
pub(super) fn is_sparse(file: &File, size: u64) -> bool {
    #[allow(clippy::unnecessary_cast, clippy::cast_sign_loss, reason = "its type differs between systems")]
    let taken = fstat(file).map_or(size, |stat| (stat.st_blocks as u64).saturating_mul(SECTOR));
    taken.saturating_add(UNIT) <= size
}

/// Whether a file is in memory only, where the system moves bytes no cheaper than by
/// reading and writing.
#[cfg(target_os = "linux")]
pub(super) fn is_in_memory(file: &File) -> bool {
    const TMPFS: u64 = 0x0102_1994;
    #[allow(clippy::unnecessary_cast, clippy::cast_sign_loss, reason = "its type differs between systems")]
    rustix::fs::fstatfs(file).is_ok_and(|system| system.f_type as u64 == TMPFS)
}

/// Elsewhere the system moves no bytes by itself.
#[cfg(not(target_os = "linux"))]
pub(super) fn is_in_memory(_: &File) -> bool {
    true
}

/// Has the file system share all bytes of one file with another, empty one.
#[cfg(target_os = "linux")]
pub(super) fn share(from: &File, to: &File) -> rustix::io::Result<()> {
    retry_on_intr(|| rustix::fs::ioctl_ficlone(to, from))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn share(_: &File, _: &File) -> rustix::io::Result<()> {
    Err(Errno::NOSYS)
}

/// Has the system move bytes, without their passing through this process.
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
