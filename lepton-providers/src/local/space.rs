//! Reserves space on the disk before the bytes are sent.

use std::fs::File;

use lepton_core::Result;

/// Reserves space for `len` bytes of a new file, or reports that the disk is full.
#[cfg(target_os = "linux")]
pub(super) fn reserve(file: &File, len: u64) -> Result<()> {
    use rustix::fs::{FallocateFlags, StatFs, fallocate, fstatfs};
    use rustix::io::{Errno, retry_on_intr};

    /// Files up to this size are written in one call; reserving space for them would only
    /// cost time.
    const SMALL: u64 = 1 << 20;
    /// `TMPFS_MAGIC` of `linux/magic.h`.
    const IN_MEMORY: u64 = 0x0102_1994;

    /// Whether `len` bytes are free. A file system with zero blocks has no limit.
    fn has_room(system: &StatFs, len: u64) -> bool {
        let size = u64::try_from(system.f_bsize).unwrap_or(0);
        system.f_blocks == 0 || system.f_bavail.saturating_mul(size) >= len
    }

    if len <= SMALL {
        return Ok(());
    }
    let set_aside = match retry_on_intr(|| fstatfs(file)) {
        // It fills reserved space with zeros, which costs as much as writing.
        #[allow(clippy::cast_sign_loss, reason = "a magic number, signed on some machines")]
        Ok(system) if system.f_type as u64 == IN_MEMORY => {
            if has_room(&system, len) {
                Ok(())
            } else {
                Err(Errno::NOSPC)
            }
        }
        _ => retry_on_intr(|| fallocate(file, FallocateFlags::KEEP_SIZE, 0, len)),
    };
    match set_aside {
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(()),
        Err(errno) => {
            Err(super::error::failed("space for the file cannot be set aside", errno).with_context("bytes", len))
        }
    }
}

/// On other systems, a full disk is detected while writing.
#[cfg(not(target_os = "linux"))]
pub(super) fn reserve(_: &File, _: u64) -> Result<()> {
    Ok(())
}
