//! The meaning of refusals that is the same for all stores.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::StatusCode;
use lepton_core::{Effect, Error, ErrorKind, Result, RetryClass};

use crate::transport::ResponseBody;
use crate::wire::secrets::Secrets;

/// The most of a refusal's body that is read, in bytes.
const LONGEST_REFUSAL: usize = 256 << 10;
/// How long to wait if a server throttles without giving a time.
pub(crate) const DEFAULT_WAIT: Duration = Duration::from_secs(1);

/// The condition of a write request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    None,
    /// There must be no object.
    IfAbsent,
    /// The object must match a tag.
    IfMatch,
}

/// What a server reported when it refused, unchanged: it may hold secrets.
#[derive(Debug, Default)]
pub(crate) struct ErrorResponse {
    pub(crate) status: u16,
    pub(crate) code: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) request_id: Option<String>,
}

/// The error to report. `writes`: whether the request could have changed something, so
/// that a server failure leaves its outcome unknown. `secrets`: those that the request
/// was sent with, none of which appears in the error.
pub(crate) fn error(
    kind: ErrorKind,
    retry: RetryClass,
    response: ErrorResponse,
    writes: bool,
    secrets: &Secrets,
) -> Error {
    let failed_inside = response.status >= 500 || (response.status == 200 && retry != RetryClass::Never);
    let unknown = writes && failed_inside && kind != ErrorKind::Unsupported && kind != ErrorKind::OutOfSpace;
    let message = match &response.message {
        Some(message) => format!("{}: {}", sentence(kind), secrets.printable(message)),
        None => sentence(kind).to_owned(),
    };
    let mut error = Error::new(kind, message)
        .with_retry(retry)
        .with_effect(if unknown { Effect::Unknown } else { Effect::None })
        .with_status(response.status);
    if let Some(code) = response.code {
        error = error.with_code(secrets.printable(&code));
    }
    if let Some(id) = response.request_id {
        error = error.with_request_id(secrets.printable(&id));
    }
    error
}

/// The meaning of a status where no code is more specific.
pub(crate) fn by_status(status: u16) -> (ErrorKind, RetryClass) {
    use ErrorKind as K;
    let never = |kind| (kind, RetryClass::Never);
    match status {
        404 => never(K::NotFound),
        401 => never(K::Unauthenticated),
        403 => never(K::PermissionDenied),
        409 => (K::Conflict, RetryClass::Now),
        412 => never(K::PreconditionFailed),
        413 => never(K::TooLarge),
        400 | 416 => never(K::InvalidInput),
        405 | 501 => never(K::Unsupported),
        408 => (K::Timeout, RetryClass::Now),
        429 | 503 => (K::Throttled, RetryClass::After(DEFAULT_WAIT)),
        507 => never(K::OutOfSpace),
        500..=599 => (K::Unavailable, RetryClass::Now),
        _ => never(K::Unexpected),
    }
}

/// The document of a refusal.
///
/// # Errors
/// The body's own, if it breaks off and the status is ambiguous: only the code in the
/// document states what is missing or wrong.
pub(crate) async fn read_error_body(status: StatusCode, body: ResponseBody) -> Result<Bytes> {
    let enough =
        !status.is_client_error() || matches!(status, StatusCode::PRECONDITION_FAILED | StatusCode::TOO_MANY_REQUESTS);
    match body.read(LONGEST_REFUSAL).await {
        Ok(document) if status == StatusCode::BAD_REQUEST && speaks_tls(&document) => {
            let message = "the server speaks TLS at this port; the endpoint must begin with https://";
            Err(Error::new(ErrorKind::Tls, message).with_status(status.as_u16()))
        }
        Err(error) if !enough && error.retry() != RetryClass::Never => Err(error.with_effect(Effect::None)),
        document => Ok(document.unwrap_or_default()),
    }
}

/// Whether this is how Go's servers and nginx refuse a request without TLS at a port for TLS.
fn speaks_tls(document: &[u8]) -> bool {
    let says = |phrase: &[u8]| document.windows(phrase.len()).any(|window| window == phrase);
    says(b"HTTP request to an HTTPS server") || says(b"plain HTTP request was sent to HTTPS port")
}

/// The sentence that precedes the server's message.
fn sentence(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NotFound => "there is no such object",
        ErrorKind::BucketNotFound => "there is no such bucket",
        ErrorKind::UploadNotFound => "there is no such upload; it was completed, aborted or has expired",
        ErrorKind::Unauthenticated => "the credentials were refused",
        ErrorKind::PermissionDenied => "the credentials do not permit this",
        ErrorKind::ClockSkew => "this machine's clock is too far from the server's",
        ErrorKind::PreconditionFailed => "the object is not the one that was expected",
        ErrorKind::AlreadyExists => "it exists already",
        ErrorKind::Archived => "the object is archived and must be restored before it can be read",
        ErrorKind::TooLarge => "the object or part is too large for this store",
        ErrorKind::ChecksumMismatch => "other bytes arrived than were sent",
        ErrorKind::Throttled => "the store throttles requests",
        ErrorKind::Unavailable => "the store failed",
        ErrorKind::InvalidKey => "the store cannot hold this key",
        ErrorKind::OutOfSpace => "the store has no space left",
        ErrorKind::Unsupported => "the store does not support this",
        ErrorKind::Conflict => "another request changes the object at this moment",
        _ => "the store refused the request",
    }
}

/// Maps a failed condition to the one that the caller set. Some stores respond to
/// `IfMatch` with 404 if there is no object.
pub(crate) fn for_condition(error: Error, condition: Condition) -> Error {
    match (condition, error.kind()) {
        (Condition::IfAbsent, ErrorKind::PreconditionFailed) => error.with_kind(ErrorKind::AlreadyExists),
        (Condition::IfMatch, ErrorKind::NotFound) => error.with_kind(ErrorKind::PreconditionFailed),
        _ => error,
    }
}

/// Seconds, or a date (RFC 9110, 10.2.3).
pub(crate) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    match value.trim().parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(value).ok()?.duration_since(now).ok(),
    }
}
