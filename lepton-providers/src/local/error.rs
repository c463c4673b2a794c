//! Maps the system's error numbers.

use std::borrow::Cow;

use lepton_core::{Error, ErrorKind, RetryClass};
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use rustix::io::Errno;

use super::contain::{Root, split};

/// Characters that are escaped in a displayed path: everything that is not printable
/// ASCII, the quote, the backslash and the percent sign.
const HIDDEN: &AsciiSet = &CONTROLS.add(b'%').add(b'"').add(b'\\');

/// Characters that are escaped in a `file:` URL.
const NOT_IN_URL: &AsciiSet = &HIDDEN.add(b' ').add(b'#').add(b'?').add(b'<').add(b'>');

/// A path as shown in messages.
pub(super) fn shown(path: &[u8]) -> String {
    percent_encode(path, HIDDEN).to_string()
}

/// An absolute path as a URL.
pub(super) fn url(path: &[u8]) -> String {
    format!("file://{}", percent_encode(path, NOT_IN_URL))
}

/// The error of a failed system call.
pub(super) fn failed(message: impl Into<Cow<'static, str>>, errno: Errno) -> Error {
    let error = Error::io(message, errno.into());
    match errno {
        Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN | Errno::BUSY => error.with_retry(RetryClass::Now),
        Errno::NOTDIR => error.with_kind(ErrorKind::NotFound),
        Errno::OPNOTSUPP | Errno::NOSYS => error.with_kind(ErrorKind::Unsupported),
        _ => error,
    }
}

/// The same for a path below the root.
pub(super) fn failed_at(message: impl Into<Cow<'static, str>>, path: &[u8], errno: Errno) -> Error {
    failed(message, errno).with_context("path", shown(path))
}

/// The error for a path that cannot be written. If that is so for its folder alone, it is named:
/// other objects can be written.
pub(super) fn not_written(root: &Root, message: &'static str, path: &[u8], errno: Errno) -> Error {
    let error = failed_at(message, path, errno);
    if matches!(errno, Errno::ACCESS | Errno::PERM) && root.is_writable() {
        return error.with_context("unwritable", shown(split(path).0));
    }
    error
}

/// The error for a path that cannot be written because a file is in the way.
pub(super) fn in_the_way(root: &Root, path: &[u8], errno: Errno) -> Error {
    let ends = (0..path.len()).filter(|at| path[*at] == b'/');
    let (why, what) = match errno {
        Errno::NOTDIR => {
            let file = ends.map(|at| &path[..at]).find(|folder| root.directory(folder).err() == Some(Errno::NOTDIR));
            ("a folder of the key is a file here, and a disk cannot hold both", shown(file.unwrap_or(path)))
        }
        Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST => {
            ("there is a folder of that name, and a disk cannot hold both", shown(path) + "/")
        }
        Errno::LOOP => {
            let link = ends.map(|at| &path[..at]).find(|folder| root.directory(folder).is_err());
            ("the key leads through a symbolic link, which the settings do not follow", shown(link.unwrap_or(path)))
        }
        Errno::XDEV => ("the key leads outside the root through a symbolic link", shown(path)),
        _ => return not_written(root, "the path cannot be written", path, errno),
    };
    failed_at(why, path, errno).with_kind(ErrorKind::InvalidKey).with_context("in_the_way", what)
}
