//! The error for a field that is wrong.

use crate::Error;

/// The error for a field of a workload.
pub(super) fn wrong(field: &str, value: &str, allowed: &str) -> Error {
    Error::invalid_input(format!("{field} of the workload is {value:?}; it must be {allowed}"))
        .with_context("field", field)
}
