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

    /// Marks an error with this side, unless it is marked already: the code nearest to the
    /// request knows the side best.
    pub(crate) fn mark(self, error: Error) -> Error {
        error.with_context(CONTEXT, self.name())
    }

    /// The side on which an error occurred; `None` if it is of neither.
    pub(crate) fn of(error: &Error) -> Option<Self> {
        let name = error.context(CONTEXT)?;
        [Self::Source, Self::Destination].into_iter().find(|side| side.name() == name)
    }
}

/// Whether an object's error would affect every other object too, so that the run ends
/// immediately.
pub(crate) fn ends_the_run(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Unauthenticated
        | ErrorKind::BucketNotFound
        | ErrorKind::ClockSkew
        | ErrorKind::HostNotFound
        | ErrorKind::Tls
        | ErrorKind::OutOfSpace
        | ErrorKind::ReadOnly => true,
        // A disk names the folder if others can be written.
        ErrorKind::PermissionDenied => Side::of(error) != Some(Side::Source) && error.context("unwritable").is_none(),
        _ => false,
    }
}
