//! Helpers for the engine's JSON files: opening them, and their errors.

use std::fs::File;
use std::path::Path;

use lepton_core::{Error, ErrorKind, Result};
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

pub(crate) fn failed(message: &'static str, what: &'static str, path: &Path, error: std::io::Error) -> Error {
    Error::io(message, error).with_operation(what).with_context("path", path.display())
}
