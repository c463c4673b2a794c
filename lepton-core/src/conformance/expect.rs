//! The expectations of a case.

use std::fmt::Debug;

use crate::capabilities::Support;
use crate::error::{Effect, Error, ErrorKind, Result, RetryClass};
use crate::key::ObjectKey;

/// The result of a case.
pub(super) type Check<T = ()> = std::result::Result<T, Stop>;

/// Why a case did not pass.
#[derive(Debug)]
pub(super) enum Stop {
    Failed(String),
    NotApplicable(String),
}

impl Stop {
    /// Adds what was being done when it failed.
    pub(super) fn while_doing(self, what: impl std::fmt::Display) -> Self {
        match self {
            Stop::Failed(why) => Stop::Failed(format!("{what}: {why}")),
            Stop::NotApplicable(why) => Stop::NotApplicable(why),
        }
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Failed(format!("{error:?}"))
    }
}

/// Fails the case unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::conformance::expect::Stop::Failed(format!($($message)+)));
        }
    };
}
pub(super) use ensure;

/// Fails the case unless both are the same.
#[allow(clippy::needless_pass_by_value, reason = "callers compare what they just made")]
pub(super) fn same<T: PartialEq + Debug>(what: &str, found: T, expected: T) -> Check {
    ensure!(found == expected, "{what}: expected {expected:?}, found {found:?}");
    Ok(())
}

/// Ends a case that applies only if this is supported.
pub(super) fn needs(support: Support, capability: &str) -> Check {
    if support.is_available() {
        return Ok(());
    }
    Err(Stop::NotApplicable(format!("{capability} is {support:?}")))
}

/// Ends a case that applies only if this is unsupported.
pub(super) fn needs_not(support: Support, capability: &str) -> Check {
    if support == Support::Unsupported {
        return Ok(());
    }
    Err(Stop::NotApplicable(format!("{capability} is {support:?}")))
}

/// Checks the error of an operation that must fail permanently: nothing was done, trying
/// again does not help, and the message states the operation and the key.
pub(super) fn refused<T: Debug>(result: Result<T>, kind: ErrorKind, key: &ObjectKey) -> Check {
    let error = failure(result, &format!("{kind} on {key}"))?;
    ensure!(error.kind() == kind, "expected the error {kind}, found {error:?}");
    ensure!(error.retry() == RetryClass::Never, "trying again cannot help, yet the error says so: {error:?}");
    ensure!(error.effect() == Effect::None, "nothing was done, yet the error does not say so: {error:?}");
    ensure!(error.operation().is_some(), "the error does not name its operation: {error:?}");
    ensure!(error.full_message().contains(&key.to_string()), "the error does not name the key {key}: {error:?}");
    Ok(())
}

/// Returns the error of an operation that must fail.
pub(super) fn failure<T: Debug>(result: Result<T>, expected: &str) -> Check<Error> {
    match result {
        Err(error) => Ok(error),
        Ok(found) => Err(Stop::Failed(format!("expected {expected}, but it succeeded: {found:?}"))),
    }
}
