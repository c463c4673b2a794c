//! The two sides of a transfer.

use lepton_core::{Error, ErrorKind};

/// What is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Source,
    Destination,
}

impl Side {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Side::Source => "source",
            Side::Destination => "destination",
        }
    }
}

/// Says on which side an error arose.
pub(crate) fn side(error: Error) -> Error {
    error.with_context("side", "source")
}

/// The side that [`side`] named.
pub(crate) fn is_source(error: &Error) -> bool {
    error.context("side") == Some("source")
}

/// Whether an object's error means that no other object can do better, so that
/// the run ends at once.
pub(crate) fn ends_the_run(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Unauthenticated
        | ErrorKind::BucketNotFound
        | ErrorKind::ClockSkew
        | ErrorKind::HostNotFound
        | ErrorKind::Tls
        | ErrorKind::OutOfSpace
        | ErrorKind::ReadOnly => true,
        ErrorKind::PermissionDenied => !is_source(error),
        _ => error.operation() == Some("journal"),
    }
}
