//! Errors of bodies, which pass through a storage that reads them.

use std::borrow::Cow;

use lepton_core::{Error, ErrorKind};

pub(super) fn refused(code: &str, kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(kind, message).with_code(code)
}
