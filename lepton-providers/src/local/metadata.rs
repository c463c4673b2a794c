//! Times, modes and extended attributes, under the names that rclone uses.
//!
//! `mtime` (seconds since 1970 with nine digits of fraction) and `mode` (octal,
//! with the file type) are read from the file and applied to it. Everything else
//! is in extended attributes: `user.content-type`, …, `user.<name>`.

use std::os::fd::AsFd;
use std::time::{Duration, SystemTime};

use lepton_core::{Attribute, Attributes, Capabilities, ETag, Error, ObjectKey, ObjectMeta, Result};
use rustix::fs::{
    FileType, Mode, Stat, Timespec, Timestamps, XattrFlags, fchmod, fgetxattr, flistxattr, fsetxattr, fstat, fstatvfs,
    futimens,
};
use rustix::io::Errno;

use super::error::failed;

/// The bits of a mode that hold the file type.
const FORMAT: u32 = 0o170_000;

/// The permissions that are kept. Set-id and sticky bits from elsewhere are not applied:
/// they would grant rights on this machine.
const PERMISSIONS: u32 = 0o777;

/// The names of the headers that are separate attributes.
const HEADERS: [&str; 6] =
    ["content-type", "content-encoding", "content-disposition", "content-language", "cache-control", "expires"];

/// The identity and state of a file: while it is equal, so are the bytes, within the
/// granularity of the file system's time stamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileState {
    pub(super) dev: u64,
    pub(super) ino: u64,
    pub(super) mode: u32,
    pub(super) size: u64,
    pub(super) mtime: (i64, u32),
    pub(super) ctime: (i64, u32),
}

impl From<Stat> for FileState {
    #[allow(
        clippy::unnecessary_cast,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the types of these fields differ between systems; sizes and nanoseconds are never negative"
    )]
    fn from(stat: Stat) -> Self {
        Self {
            dev: stat.st_dev as u64,
            ino: stat.st_ino as u64,
            mode: stat.st_mode as u32,
            size: stat.st_size as u64,
            mtime: (stat.st_mtime as i64, stat.st_mtime_nsec as u32),
            ctime: (stat.st_ctime as i64, stat.st_ctime_nsec as u32),
        }
    }
}

impl FileState {
    pub(super) fn of(file: impl AsFd) -> rustix::io::Result<Self> {
        fstat(file).map(Self::from)
    }

    #[allow(clippy::useless_conversion, reason = "the type of a mode differs between systems")]
    pub(super) fn kind(&self) -> FileType {
        FileType::from_raw_mode((self.mode & FORMAT).try_into().unwrap_or_default())
    }

    pub(super) fn is_dir(&self) -> bool {
        self.kind() == FileType::Directory
    }

    /// The tag. The tag of a folder does not depend on its content.
    pub(super) fn etag(&self) -> ETag {
        if self.is_dir() {
            return ETag::new(format!("{:x}-{:x}", self.dev, self.ino));
        }
        let ((mtime, m_ns), (ctime, c_ns)) = (self.mtime, self.ctime);
        ETag::new(format!("{:x}-{:x}-{:x}-{mtime:x}.{m_ns:x}-{ctime:x}.{c_ns:x}", self.dev, self.ino, self.size))
    }

    /// The metadata that a listing shows.
    pub(super) fn meta(&self, key: ObjectKey) -> ObjectMeta {
        let mut meta = ObjectMeta::new(key, if self.is_dir() { 0 } else { self.size });
        let (seconds, nanos) = self.mtime;
        let whole = Duration::from_secs(seconds.unsigned_abs());
        let epoch = SystemTime::UNIX_EPOCH;
        let at = if seconds < 0 { epoch.checked_sub(whole) } else { epoch.checked_add(whole) };
        meta.last_modified = at.and_then(|at| at.checked_add(Duration::from_nanos(nanos.into())));
        meta.etag = Some(self.etag());
        meta
    }
}

/// Refuses attributes that this root does not keep.
pub(super) fn check(attributes: &Attributes, capabilities: &Capabilities) -> Result<()> {
    for attribute in attributes.present() {
        let only_file_facts = attribute == Attribute::UserMetadata && {
            let own = |(name, value): (&String, &String)| parse_mtime(name, value).is_some() || is_mode(name, value);
            attributes.user_metadata.iter().all(own)
        };
        if !capabilities.keeps(attribute) && !only_file_facts {
            let name = serde_json::to_value(attribute).unwrap_or_default();
            let name = name.as_str().unwrap_or_default();
            return Err(Error::unsupported(format!("this disk does not keep the attribute {name}"))
                .with_context("attribute", name));
        }
    }
    match attributes.user_metadata.keys().find(|name| capabilities.reserved_metadata_names.contains(name)) {
        Some(name) => Err(Error::unsupported(format!("a disk cannot keep user metadata of the name {name:?}"))
            .with_context("attribute", "user-metadata")),
        None => Ok(()),
    }
}

/// The names of extended attributes that hold something other than user metadata, and the empty
/// name.
pub(super) fn reserved_names() -> Vec<String> {
    HEADERS.iter().chain(&[""]).map(|&name| name.to_owned()).collect()
}

/// Attaches attributes to an open file that was checked with [`check`]. This has to be
/// the last change to the file, or its modification time would change again.
pub(super) fn apply(file: impl AsFd, attributes: &Attributes) -> Result<()> {
    let file = file.as_fd();
    let format = fstat(file).map(FileState::from).map_err(|errno| failed("the new file cannot be examined", errno))?;
    let mut copy = attributes.clone();
    for name in HEADERS {
        if let Some(value) = header(&mut copy, name).and_then(Option::take) {
            set(file, name, &value)?;
        }
    }
    let (mut mtime, mut mode) = (None, None);
    for (name, value) in &attributes.user_metadata {
        if let Some(time) = parse_mtime(name, value) {
            mtime = Some(time);
        } else if let Some(bits) = parse_mode(name, value, format.mode) {
            mode = Some(bits);
        } else {
            // An `mtime` or `mode` in another form is kept as plain metadata.
            set(file, name, value)?;
        }
    }
    #[allow(clippy::useless_conversion, reason = "the type of a mode differs between systems")]
    if let Some(bits) = mode {
        let mode = Mode::from_raw_mode(bits.try_into().unwrap_or_default());
        fchmod(file, mode).map_err(|errno| failed("the mode of the file cannot be set", errno))?;
    }
    if let Some(time) = mtime {
        let times = Timestamps { last_access: time, last_modification: time };
        futimens(file, &times).map_err(|errno| failed("the time of the file cannot be set", errno))?;
    }
    Ok(())
}

/// The attributes of an open file. Extended attributes that are not UTF-8 are left out:
/// Lepton never writes such.
pub(super) fn read(file: impl AsFd, state: &FileState, xattrs: bool) -> rustix::io::Result<Attributes> {
    let file = file.as_fd();
    let mut attributes = Attributes::default();
    let (seconds, nanos) = state.mtime;
    attributes.user_metadata.insert("mtime".into(), format_mtime(seconds, nanos));
    attributes.user_metadata.insert("mode".into(), format!("{:o}", state.mode));
    if !xattrs {
        return Ok(attributes);
    }
    for name in grown(1024, |buffer| flistxattr(file, buffer))?.split(|byte| *byte == 0) {
        let Some(name) = std::str::from_utf8(name).ok().and_then(|name| name.strip_prefix("user.")) else { continue };
        let value = match grown(256, |buffer| fgetxattr(file, format!("user.{name}"), buffer)) {
            Ok(value) => String::from_utf8(value).ok(),
            Err(Errno::NODATA) => None,
            Err(errno) => return Err(errno),
        };
        let Some(value) = value else { continue };
        match header(&mut attributes, name) {
            Some(field) => *field = Some(value),
            None => drop(attributes.user_metadata.insert(name.to_owned(), value)),
        }
    }
    Ok(attributes)
}

/// Whether the file system of this directory supports user extended attributes.
pub(super) fn has_xattrs(dir: impl AsFd) -> bool {
    let mut value = [0u8; 1];
    !matches!(fgetxattr(dir, "user.lepton", &mut value), Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::PERM))
}

/// Calls with a growing buffer until the answer fits.
fn grown(start: usize, call: impl Fn(&mut [u8]) -> rustix::io::Result<usize>) -> rustix::io::Result<Vec<u8>> {
    // Linux limits names and values to 64 KiB each; others are bounded here.
    const LARGEST: usize = 1 << 24;
    let mut buffer = vec![0; start];
    loop {
        match call(&mut buffer) {
            Ok(len) => {
                buffer.truncate(len);
                return Ok(buffer);
            }
            Err(Errno::RANGE) if buffer.len() < LARGEST => buffer.resize(buffer.len() * 8, 0),
            // A file system without extended attributes lists none.
            Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
            Err(errno) => return Err(errno),
        }
    }
}

fn set(file: impl AsFd, name: &str, value: &str) -> Result<()> {
    let file = file.as_fd();
    let Err(errno) = fsetxattr(file, format!("user.{name}"), value.as_bytes(), XattrFlags::empty()) else {
        return Ok(());
    };
    // ext4 reports "no space" for an attribute that does not fit into a block.
    let disk_full = || fstatvfs(file).is_ok_and(|disk| disk.f_bavail == 0);
    let error = match errno {
        Errno::OPNOTSUPP => Error::unsupported("this disk does not keep extended attributes"),
        Errno::RANGE | Errno::TOOBIG | Errno::NAMETOOLONG | Errno::INVAL => {
            Error::unsupported("the name or value is too large for an extended attribute of this disk")
        }
        Errno::NOSPC if !disk_full() => {
            Error::unsupported("the name or value is too large for an extended attribute of this disk")
        }
        errno => failed("an extended attribute cannot be set", errno),
    };
    Err(error.with_context("attribute", name))
}

fn header<'a>(attributes: &'a mut Attributes, name: &str) -> Option<&'a mut Option<String>> {
    match name {
        "content-type" => Some(&mut attributes.content_type),
        "content-encoding" => Some(&mut attributes.content_encoding),
        "content-disposition" => Some(&mut attributes.content_disposition),
        "content-language" => Some(&mut attributes.content_language),
        "cache-control" => Some(&mut attributes.cache_control),
        "expires" => Some(&mut attributes.expires),
        _ => None,
    }
}

/// Seconds and the nanoseconds after them, as one decimal number.
fn format_mtime(seconds: i64, nanos: u32) -> String {
    let total = i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    let (sign, size) = (if total < 0 { "-" } else { "" }, total.unsigned_abs());
    format!("{sign}{}.{:09}", size / 1_000_000_000, size % 1_000_000_000)
}

fn parse_mtime(name: &str, value: &str) -> Option<Timespec> {
    let unsigned = value.strip_prefix('-').unwrap_or(value);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if name != "mtime" || whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let size =
        whole.parse::<i64>().map(i128::from).ok()? * 1_000_000_000 + format!("{fraction:0<9}").parse::<i128>().ok()?;
    let total = if value.starts_with('-') { -size } else { size };
    Some(Timespec {
        tv_sec: total.div_euclid(1_000_000_000).try_into().ok()?,
        tv_nsec: total.rem_euclid(1_000_000_000).try_into().ok()?,
    })
}

/// The permissions of an octal mode, if it is one of this file type.
fn parse_mode(name: &str, value: &str, like: u32) -> Option<u32> {
    let bits = u32::from_str_radix(value, 8).ok().filter(|_| is_mode(name, value))?;
    let fits = bits & FORMAT == 0 || bits & FORMAT == like & FORMAT;
    fits.then_some(bits & PERMISSIONS)
}

fn is_mode(name: &str, value: &str) -> bool {
    let octal = value.len() <= 7 && value.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    name == "mode" && octal && !value.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_and_after_1970_round_trip() {
        for (seconds, nanos, text) in [
            (1_354_040_105, 123_456_789, "1354040105.123456789"),
            (0, 0, "0.000000000"),
            (-1, 500_000_000, "-0.500000000"),
            (-2, 1, "-1.999999999"),
        ] {
            assert_eq!(format_mtime(seconds, nanos), text);
            let time = parse_mtime("mtime", text).unwrap();
            assert_eq!((time.tv_sec, time.tv_nsec), (seconds, nanos.into()));
        }
        assert_eq!(parse_mtime("mtime", "12").map(|time| time.tv_sec), Some(12));
        for text in ["", "-", ".5", "1.1234567890", "2006-01-02T15:04:05Z", "9999999999999999999999"] {
            assert!(parse_mtime("mtime", text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_mode_is_applied_to_its_own_kind_without_set_id_bits() {
        let file = 0o100_644;
        assert_eq!(parse_mode("mode", "100640", file), Some(0o640));
        assert_eq!(parse_mode("mode", "0600", file), Some(0o600));
        assert_eq!(parse_mode("mode", "104755", file), Some(0o755));
        assert_eq!(parse_mode("mode", "40755", file), None);
        assert_eq!(parse_mode("mode", "dark", file), None);
    }
}
