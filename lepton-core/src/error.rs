//! One error for the whole SDK.
//!
//! Code decides by [`Error::retry`] and [`Error::effect`]; people and other
//! languages read [`Error::kind`]. The three are independent: a 503 in reply to a
//! put is [`RetryClass::After`] *and* [`Effect::Unknown`].

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

/// The result of everything that can fail in Lepton.
pub type Result<T, E = Error> = std::result::Result<T, E>;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// The kind of an error. Each variant states what the caller should do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorKind { $($(#[$doc])* $name,)* }

        impl ErrorKind {
            /// All kinds, for catalogues and tests.
            pub const ALL: &'static [ErrorKind] = &[$(ErrorKind::$name,)*];

            /// The stable name of the kind in journals, manifests and JSON output. A
            /// code is never reused for another meaning.
            pub fn code(self) -> &'static str {
                match self { $(ErrorKind::$name => $code,)* }
            }

            /// The kind with this code; `None` for an unknown one.
            pub fn from_code(code: &str) -> Option<Self> {
                match code {
                    $($code => Some(ErrorKind::$name),)*
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    /// The object, upload or file does not exist. Check the key; if it existed a
    /// moment ago, it has been deleted.
    NotFound = "not_found",
    /// The bucket or root folder does not exist. Create it or correct the name:
    /// nothing in this run can succeed.
    BucketNotFound = "bucket_not_found",
    /// The multipart upload is unknown: it was completed or aborted, or it expired.
    /// Look at the object before starting again.
    UploadNotFound = "upload_not_found",
    /// The object exists, and the caller required it not to. Choose another key or
    /// another policy for existing objects.
    AlreadyExists = "already_exists",
    /// A condition (If-Match, If-None-Match) did not hold: the object is not the one
    /// that the caller saw. Read it again before deciding.
    PreconditionFailed = "precondition_failed",
    /// The source object changed while it was being copied. Copy it again from
    /// the start.
    SourceChanged = "source_changed",
    /// The credentials are valid but do not permit this. Request the permission that
    /// the message names.
    PermissionDenied = "permission_denied",
    /// The credentials are missing, wrong or expired. Correct them.
    Unauthenticated = "unauthenticated",
    /// This machine's clock is too far from the server's. Set the clock.
    ClockSkew = "clock_skew",
    /// An argument or setting is wrong; the message names it and the allowed values.
    InvalidInput = "invalid_input",
    /// This backend cannot store the key exactly as it is. Rename the object or leave
    /// it out.
    InvalidKey = "invalid_key",
    /// The backend does not support the request; the message names both.
    Unsupported = "unsupported",
    /// The server throttles, or the limit of open files is reached. Wait as `retry`
    /// states and send fewer requests.
    Throttled = "throttled",
    /// The server failed with an internal error (5xx). Try again as `retry` states.
    Unavailable = "unavailable",
    /// Nothing was received for longer than the idle limit. Try again; raise the
    /// limit if the server is merely slow.
    Timeout = "timeout",
    /// The connection could not be established, or it broke. Try again.
    Network = "network",
    /// The host name does not resolve. Correct the endpoint.
    HostNotFound = "host_not_found",
    /// The TLS handshake failed. Check the certificate, its name and the
    /// configured certificate authorities.
    Tls = "tls",
    /// No space, quota or inodes are left. Free some; the run can then continue.
    OutOfSpace = "out_of_space",
    /// The destination cannot be written (read-only file system or store).
    ReadOnly = "read_only",
    /// The bytes do not have the expected digest. Do not use them; verify both sides to
    /// find out which is wrong.
    ChecksumMismatch = "checksum_mismatch",
    /// A journal, manifest or reply is damaged or of an unknown format. The message
    /// states where.
    Corrupt = "corrupt",
    /// The object is in an archive tier and must be restored before it is read.
    Archived = "archived",
    /// The object or part is larger than the backend allows.
    TooLarge = "too_large",
    /// Another process holds the lock. Wait for that process or stop it.
    Locked = "locked",
    /// A journal belongs to another plan. Use the same options as before, or
    /// another journal folder, or begin anew.
    PlanMismatch = "plan_mismatch",
    /// Reading back an unknown outcome found neither the old state nor the new one:
    /// another writer changed the object. Decide which is right.
    Conflict = "conflict",
    /// The caller cancelled the work. The journal records what was done.
    Cancelled = "cancelled",
    /// More objects failed than the run allows. The report names them.
    TooManyFailures = "too_many_failures",
    /// A mirror would delete more objects than allowed. Nothing was deleted. Check the
    /// plan; if it is right, allow more.
    TooManyDeletes = "too_many_deletes",
    /// A call to the local operating system failed in a way that no other kind
    /// describes; the source has the system's own message.
    Io = "io",
    /// The server sent a reply that the protocol does not allow, or Lepton has a bug.
    /// Report it with the request id.
    Unexpected = "unexpected",
}

impl From<&std::io::Error> for ErrorKind {
    fn from(error: &std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        match error.kind() {
            Io::NotFound => Self::NotFound,
            Io::PermissionDenied => Self::PermissionDenied,
            Io::AlreadyExists => Self::AlreadyExists,
            Io::StorageFull | Io::QuotaExceeded => Self::OutOfSpace,
            Io::ReadOnlyFilesystem => Self::ReadOnly,
            Io::FileTooLarge => Self::TooLarge,
            Io::InvalidFilename => Self::InvalidKey,
            Io::TimedOut => Self::Timeout,
            _ if cfg!(unix) && matches!(error.raw_os_error(), Some(ENFILE | EMFILE)) => Self::Throttled,
            _ => Self::Io,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// The system (`ENFILE`) or the process (`EMFILE`) has reached its limit of open files and
/// sockets. The numbers are the same on every Unix.
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;

/// Whether trying the same thing again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RetryClass {
    /// Trying again gives the same result.
    Never,
    /// Trying again may help, with a delay that the caller chooses.
    Now,
    /// Trying again may help, but not before this time has passed.
    After(Duration),
    /// Trying again may help with fresh credentials.
    RefreshCredentials,
}

/// What the failed operation did to the outside world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Effect {
    /// Nothing was changed.
    None,
    /// A part of it was done; the message states which.
    Partial,
    /// It may or may not have been done. Read back before deciding.
    Unknown,
    /// It was done; only a later step failed.
    Applied,
}

type Source = Box<dyn StdError + Send + Sync + 'static>;

/// An error with everything needed to decide, report and investigate.
///
/// `Display` prints one sentence with the operation and its context, without the
/// [source](StdError::source); [`Error::full_message`] returns the whole chain.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    retry: RetryClass,
    effect: Effect,
    message: Cow<'static, str>,
    operation: Option<&'static str>,
    context: Vec<(&'static str, String)>,
    code: Option<String>,
    request_id: Option<String>,
    status: Option<u16>,
    source: Option<Source>,
}

impl Error {
    /// An error of this kind. By default it is not to be retried and had no effect.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            retry: RetryClass::Never,
            effect: Effect::None,
            message: message.into(),
            operation: None,
            context: Vec::new(),
            code: None,
            request_id: None,
            status: None,
            source: None,
        }))
    }

    /// A wrong argument: [`ErrorKind::InvalidInput`].
    pub fn invalid_input(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }

    /// A request that the backend does not support: [`ErrorKind::Unsupported`].
    pub fn unsupported(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// A failed call to the operating system, with the kind that its error number implies.
    pub fn io(message: impl Into<Cow<'static, str>>, source: std::io::Error) -> Self {
        Self::new(ErrorKind::from(&source), message).with_source(source)
    }

    /// The same error with another kind.
    #[must_use]
    pub fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// Sets whether trying again can help.
    #[must_use]
    pub fn with_retry(mut self, retry: RetryClass) -> Self {
        self.0.retry = retry;
        self
    }

    /// Sets what the operation did before it failed.
    #[must_use]
    pub fn with_effect(mut self, effect: Effect) -> Self {
        self.0.effect = effect;
        self
    }

    /// Sets the operation (`get`, `upload_part`, …). The first name set, the innermost, stays.
    #[must_use]
    pub fn with_operation(mut self, operation: &'static str) -> Self {
        self.0.operation.get_or_insert(operation);
        self
    }

    /// Adds a detail, such as the key or the part; never a secret. A name that is
    /// already set keeps its first value.
    #[must_use]
    pub fn with_context(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        if self.context(name).is_none() {
            self.0.context.push((name, value.to_string()));
        }
        self
    }

    /// Adds the provider's own code (`NoSuchKey`).
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.0.code = Some(code.into());
        self
    }

    /// Adds the provider's id of the request.
    #[must_use]
    pub fn with_request_id(mut self, id: impl Into<String>) -> Self {
        self.0.request_id = Some(id.into());
        self
    }

    /// Adds the HTTP status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.0.status = Some(status);
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same error with other texts. `text` returns the replacement for the message, each
    /// detail, the provider's code and the request id; `None` leaves the text as it is. A
    /// cause whose text changes is replaced by one that holds only the changed text.
    #[must_use]
    pub fn with_texts(mut self, text: &dyn Fn(&str) -> Option<String>) -> Self {
        let inner = &mut *self.0;
        if let Some(changed) = text(&inner.message) {
            inner.message = changed.into();
        }
        let details = inner.context.iter_mut().map(|(_, value)| value);
        for value in details.chain(&mut inner.code).chain(&mut inner.request_id) {
            if let Some(changed) = text(value) {
                *value = changed;
            }
        }
        if let Some(source) = &inner.source {
            let original = chain(&**source);
            if let Some(changed) = text(&original) {
                inner.source = Some(Box::new(Told(changed)));
            } else if text(&format!("{source:?}")).is_some() {
                inner.source = Some(Box::new(Told(original)));
            }
        }
        self
    }

    /// The kind of the error.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether trying again can help.
    pub fn retry(&self) -> RetryClass {
        self.0.retry
    }

    /// What the operation did before it failed.
    pub fn effect(&self) -> Effect {
        self.0.effect
    }

    /// The message, without operation and context.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The operation that failed.
    pub fn operation(&self) -> Option<&'static str> {
        self.0.operation
    }

    /// The value of one detail.
    pub fn context(&self, name: &str) -> Option<&str> {
        self.0.context.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_str())
    }

    /// The provider's own code.
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// The provider's id of the request.
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// The HTTP status.
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// The error and its causes in one line, for people.
    pub fn full_message(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let words = error.to_string();
            if !text.contains(&words) {
                text.push_str(": ");
                text.push_str(&words);
            }
            cause = error.source();
        }
        text
    }
}

/// The texts of an error and its causes.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// A cause of which only the text is left.
struct Told(String);

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Told {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &self.0;
        if let Some(operation) = inner.operation {
            write!(f, "{operation}: ")?;
        }
        f.write_str(&inner.message)?;
        let status = inner.status.map(|s| s.to_string());
        let named = [
            ("status", status.as_deref()),
            ("code", inner.code.as_deref()),
            ("request_id", inner.request_id.as_deref()),
        ];
        let context = inner.context.iter().map(|(name, value)| (*name, value.as_str()));
        let mut separator = " (";
        for (name, value) in context.chain(named.into_iter().filter_map(|(n, v)| Some((n, v?)))) {
            write!(f, "{separator}{name}={value}")?;
            separator = ", ";
        }
        if separator == ", " {
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &self.0;
        write!(f, "Error[{} retry={:?} effect={:?}] {self}", inner.kind, inner.retry, inner.effect)?;
        match &inner.source {
            Some(source) => write!(f, ", caused by {source:?}"),
            None => Ok(()),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

/// What to do about a failed operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decision {
    /// Try again, but not before this time has passed.
    Again(Duration),
    /// Get fresh credentials, then try again.
    Refresh,
    /// Read back the state of the object before deciding.
    ReadBack,
    /// Report the failure.
    GiveUp,
}

/// The single rule for retries: try again if that can help and either nothing was
/// done or doing it twice is harmless; otherwise read an unknown outcome back, and
/// report everything else.
///
/// ```
/// use lepton_core::{decide, Decision, Effect, Error, ErrorKind, RetryClass};
/// let lost = Error::new(ErrorKind::Network, "connection reset")
///     .with_retry(RetryClass::Now)
///     .with_effect(Effect::Unknown);
/// assert_eq!(decide(&lost, false), Decision::ReadBack);
/// assert!(matches!(decide(&lost, true), Decision::Again(_)));
/// ```
pub fn decide(error: &Error, idempotent: bool) -> Decision {
    let harmless = idempotent || error.effect() == Effect::None;
    match (error.retry(), error.effect()) {
        (RetryClass::Now, _) if harmless => Decision::Again(Duration::ZERO),
        (RetryClass::After(delay), _) if harmless => Decision::Again(delay),
        (RetryClass::RefreshCredentials, _) if harmless => Decision::Refresh,
        (_, Effect::Unknown) => Decision::ReadBack,
        _ => Decision::GiveUp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct() {
        let codes: std::collections::BTreeSet<_> = ErrorKind::ALL.iter().map(|k| k.code()).collect();
        assert_eq!(codes.len(), ErrorKind::ALL.len());
    }

    #[test]
    fn display_has_context_and_no_source() {
        let error = Error::io("cannot read", std::io::Error::other("disk on fire"))
            .with_operation("get")
            .with_context("key", "a/b")
            .with_status(503);
        assert_eq!(error.to_string(), "get: cannot read (key=a/b, status=503)");
        assert_eq!(error.full_message(), "get: cannot read (key=a/b, status=503): disk on fire");
    }

    #[test]
    fn every_text_can_be_changed() {
        let cause = Error::io("about x", std::io::Error::other("x"));
        let error = Error::new(ErrorKind::Io, "x").with_code("x").with_request_id("x").with_context("key", "x");
        let changed = error.with_source(cause).with_texts(&|text| text.contains('x').then(|| text.replace('x', "y")));
        assert_eq!(changed.to_string(), "y (key=y, code=y, request_id=y)");
        assert!(changed.full_message().ends_with(": about y: y"), "{}", changed.full_message());
        assert!(!format!("{changed:?}").contains('x'), "{changed:?}");
    }

    #[test]
    fn never_with_unknown_effect_is_read_back() {
        let error = Error::new(ErrorKind::Unexpected, "?").with_effect(Effect::Unknown);
        assert_eq!(decide(&error, true), Decision::ReadBack);
        assert_eq!(decide(&Error::new(ErrorKind::NotFound, "?"), true), Decision::GiveUp);
    }
}
