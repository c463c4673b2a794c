//! Helpers for the engine's JSON files: opening them, and their errors.

use std::fs::File;
use std::path::{Path, PathBuf};

use lepton_core::{Error, ErrorKind, Result, RuntimeExt as _, SharedRuntime};
use serde::Serialize;

/// One line as JSON.
pub(crate) fn to_json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value)
        .map_err(|error| Error::new(ErrorKind::Unexpected, "a line cannot be written").with_source(error))
}

/// Opens a file for reading.
pub(crate) fn open(path: &Path, what: &'static str) -> Result<std::io::BufReader<File>> {
    let file = File::open(path).map_err(|e| failed("cannot open the file", what, path, e))?;
    Ok(std::io::BufReader::with_capacity(256 << 10, file))
}

/// The temporary file in which a file is written before it gets its name.
pub(crate) fn temporary(path: &Path) -> PathBuf {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    PathBuf::from(temporary)
}

/// Refuses a path at which no file can be written, before there is anything to write.
pub(crate) async fn check(env: &SharedRuntime, path: PathBuf, what: &'static str) -> Result<()> {
    env.run_blocking(move || check_writable(&path, what)).join().await?
}

fn check_writable(path: &Path, what: &'static str) -> Result<()> {
    let refuse = |why: &str| {
        let message = format!("the {what} cannot be written there: {why}");
        Err(Error::invalid_input(message).with_operation(what).with_context("path", path.display()))
    };
    if path.is_dir() {
        return refuse("the path is that of a folder; name a file");
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return refuse("its folder does not exist; create it first");
    }
    // Not the temporary file itself: another run may be writing it.
    let mut probe = path.as_os_str().to_owned();
    probe.push(format!(".{}.probe", std::process::id()));
    let temporary = PathBuf::from(probe);
    // A process of this id that was killed may have left it.
    let _ = std::fs::remove_file(&temporary);
    let created = File::options().write(true).create_new(true).open(&temporary);
    created.map_err(|e| failed("cannot create the file", what, &temporary, e))?;
    std::fs::remove_file(&temporary).map_err(|e| failed("cannot remove the file", what, &temporary, e))
}

pub(crate) fn failed(message: &'static str, what: &'static str, path: &Path, error: std::io::Error) -> Error {
    Error::io(message, error).with_operation(what).with_context("path", path.display())
}
