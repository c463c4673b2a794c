//! The two sides of a transfer.

use lepton_core::{Error, ErrorKind};

/// The name under which an error carries its side.
const CONTEXT: &str = "side";

/// One of the two stores of a transfer.
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

    /// Says in the error that it arose on this side, unless it says where it arose already: the
    /// side is known best where the request was sent.
    pub(crate) fn mark(self, error: Error) -> Error {
        error.with_context(CONTEXT, self.name())
    }

    /// The side on which an error arose; `None` if it is of neither.
    pub(crate) fn of(error: &Error) -> Option<Self> {
        let name = error.context(CONTEXT)?;
        [Self::Source, Self::Destination].into_iter().find(|side| side.name() == name)
    }
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
        ErrorKind::PermissionDenied => Side::of(error) != Some(Side::Source),
        _ => false,
    }
}
