//! The lock on a journal folder, for one run at a time.
//!
//! The lock belongs to the open file description and is close-on-exec, so it is
//! released with the process, however the process ends. It works on one host only.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

use super::folder::at;
use crate::error::{Error, ErrorKind, Result};

#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    pub(super) fn take(folder: &Path) -> Result<Self> {
        let path = folder.join("journal.lock");
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = opened.map_err(|e| at(Error::io("cannot open the journal's lock", e), &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Best effort: the process id only improves the message.
                let _ = file.read_to_string(&mut holder);
                let message = format!("another run has this journal open (process {})", holder.trim());
                return Err(at(Error::new(ErrorKind::Locked, message), folder));
            }
            Err(TryLockError::Error(e)) => return Err(at(Error::io("cannot lock the journal", e), &path)),
        }
        let written =
            file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
        written.map_err(|e| at(Error::io("cannot write the journal's lock", e), &path))?;
        Ok(Self { _file: file })
    }
}
