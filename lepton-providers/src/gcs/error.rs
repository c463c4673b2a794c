//! The meaning of the service's refusals, in JSON and in XML.
//!
//! Codes: "HTTP status and error codes for JSON" and "… for XML" in the documentation.

use std::time::{Duration, SystemTime};

use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use lepton_core::{Error, ErrorKind, RetryClass};
use serde::Deserialize;

use crate::wire::refusal::{self, DEFAULT_WAIT, ErrorResponse, by_status, retry_after};
use crate::wire::secrets::Secrets;
use crate::wire::xml::Element;

/// The content of a refusal.
#[derive(Debug, Default)]
pub(super) struct Refusal {
    response: ErrorResponse,
    retry_after: Option<Duration>,
    /// Whether the request concerned the bucket.
    of_bucket: bool,
}

#[derive(Deserialize)]
struct Answer {
    error: Told,
}

/// The level of detail depends on the part of the service that responds, and on the
/// request.
#[derive(Deserialize)]
#[serde(untagged)]
enum Told {
    Fully {
        message: Option<String>,
        #[serde(default)]
        errors: Vec<Reason>,
    },
    Shortly(String),
}

#[derive(Deserialize)]
struct Reason {
    reason: Option<String>,
    message: Option<String>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, headers: &HeaderMap, body: &[u8], now: SystemTime) -> Self {
        let (code, message) = json(body).or_else(|| xml(body)).unwrap_or_default();
        let header = |name: &str| headers.get(name)?.to_str().ok().map(str::to_owned);
        Self {
            response: ErrorResponse {
                status: status.as_u16(),
                code,
                message,
                request_id: header("x-guploader-uploadid"),
            },
            retry_after: headers.get(RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?, now)),
            of_bucket: false,
        }
    }

    /// Sets whether the request concerned the bucket and not an object in it.
    pub(super) fn of_bucket(self, of_bucket: bool) -> Self {
        Self { of_bucket, ..self }
    }

    /// The error to report. `writes`: whether the request could have changed something.
    /// `renews`: whether there may be a newer token than the one that it was sent with.
    /// `secrets`: those that it was sent with.
    pub(super) fn into_error(self, writes: bool, renews: bool, secrets: &Secrets) -> Error {
        let Self { mut response, retry_after, of_bucket } = self;
        let status = response.status;
        let code = response.code.as_deref().unwrap_or_default();
        let words = response.message.as_deref().unwrap_or_default();
        let (kind, retry) =
            by_words(status, code, words).or_else(|| by_code(code)).unwrap_or_else(|| by_status(status));
        let (kind, retry) = match kind {
            // Both are `notFound`; only the message distinguishes them.
            ErrorKind::NotFound if of_bucket || words.contains("bucket does not exist") => {
                (ErrorKind::BucketNotFound, RetryClass::Never)
            }
            ErrorKind::Unauthenticated if renews && status == 401 => (kind, RetryClass::RefreshCredentials),
            _ => (kind, retry),
        };
        if kind == ErrorKind::PermissionDenied && is_about_paying(code, words) {
            response.message = Some(format!("{words}; set user_project to a project that may pay for these requests"));
        }
        let retry = match (retry, retry_after) {
            (RetryClass::Now | RetryClass::After(_), Some(delay)) => RetryClass::After(delay),
            (retry, _) => retry,
        };
        refusal::error(kind, retry, response, writes, secrets)
    }
}

/// Whether the service requires a project that pays.
fn is_about_paying(code: &str, words: &str) -> bool {
    code.to_ascii_lowercase().starts_with("userproject") || words.to_ascii_lowercase().contains("no user project")
}

/// The meaning that only the message has: `required` and `invalid` have many causes.
fn by_words(status: u16, code: &str, words: &str) -> Option<(ErrorKind, RetryClass)> {
    if status == 400 && words.contains("doesn't match calculated") {
        return Some((ErrorKind::ChecksumMismatch, RetryClass::Now));
    }
    let kind = match (status, code) {
        (401, "required") => ErrorKind::Unauthenticated,
        (400, "required") if is_about_paying(code, words) => ErrorKind::PermissionDenied,
        (_, "required") => ErrorKind::InvalidInput,
        _ => return None,
    };
    Some((kind, RetryClass::Never))
}

fn json(body: &[u8]) -> Option<(Option<String>, Option<String>)> {
    match serde_json::from_slice::<Answer>(body).ok()?.error {
        Told::Fully { message, errors } => {
            let first = errors.into_iter().next();
            let (reason, words) = first.map_or((None, None), |first| (first.reason, first.message));
            Some((reason, message.or(words)))
        }
        Told::Shortly(message) => Some((None, Some(message))),
    }
}

fn xml(body: &[u8]) -> Option<(Option<String>, Option<String>)> {
    let root = Element::parse(body).ok().filter(|root| root.name() == b"Error")?;
    Some((root.text("Code").map(str::to_owned), root.text("Message").map(str::to_owned)))
}

fn by_code(code: &str) -> Option<(ErrorKind, RetryClass)> {
    use ErrorKind as K;
    let never = |kind| (kind, RetryClass::Never);
    Some(match code {
        "notFound" | "NoSuchKey" => never(K::NotFound),
        "NoSuchBucket" => never(K::BucketNotFound),
        "NoSuchUpload" => never(K::UploadNotFound),
        "conditionNotMet" | "PreconditionFailed" => never(K::PreconditionFailed),
        "BucketAlreadyExists" | "BucketAlreadyOwnedByYou" => never(K::AlreadyExists),
        "authError" | "AuthenticationRequired" | "InvalidSecurity" | "ExpiredToken" | "SignatureDoesNotMatch" => {
            never(K::Unauthenticated)
        }
        "RequestTimeTooSkewed" => never(K::ClockSkew),
        "forbidden"
        | "insufficientPermissions"
        | "accountDisabled"
        | "AccessDenied"
        | "UserProjectMissing"
        | "userProjectMissing"
        | "UserProjectAccountProblem"
        | "userProjectAccountProblem"
        | "UserProjectAccessDenied"
        | "userProjectAccessDenied"
        | "retentionPolicyNotMet"
        | "objectUnderActiveHold" => never(K::PermissionDenied),
        "userProjectInvalid" | "UserProjectInvalid" | "userProjectInconsistent" | "UserProjectInconsistent" => {
            never(K::InvalidInput)
        }
        "BadDigest" | "InvalidDigest" | "badDigest" | "CrcMismatch" => (K::ChecksumMismatch, RetryClass::Now),
        "uploadTooLarge" | "EntityTooLarge" => never(K::TooLarge),
        "rateLimitExceeded" | "userRateLimitExceeded" | "SlowDown" | "ServiceUnavailable" => {
            (K::Throttled, RetryClass::After(DEFAULT_WAIT))
        }
        "backendError" | "internalError" | "InternalError" => (K::Unavailable, RetryClass::Now),
        "quotaExceeded" => never(K::OutOfSpace),
        "notImplemented" | "NotImplemented" => never(K::Unsupported),
        "KeyTooLongError" | "KeyTooLong" | "InvalidObjectName" => never(K::InvalidKey),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, body: &str) -> Error {
        let status = StatusCode::from_u16(status).unwrap();
        Refusal::new(status, &HeaderMap::new(), body.as_bytes(), SystemTime::UNIX_EPOCH).into_error(
            true,
            true,
            &Secrets::default(),
        )
    }

    #[test]
    fn both_forms_are_read() {
        use ErrorKind as K;
        let json = |message: &str, reason: &str| {
            format!(r#"{{"error": {{"code": 1, "message": "{message}", "errors": [{{"reason": "{reason}"}}]}}}}"#)
        };
        for (status, body, kind, retry) in [
            (404, json("No such object: b/o", "notFound"), K::NotFound, RetryClass::Never),
            (404, json("The specified bucket does not exist.", "notFound"), K::BucketNotFound, RetryClass::Never),
            (412, json("x", "conditionNotMet"), K::PreconditionFailed, RetryClass::Never),
            (401, json("x", "authError"), K::Unauthenticated, RetryClass::RefreshCredentials),
            (429, json("x", "rateLimitExceeded"), K::Throttled, RetryClass::After(DEFAULT_WAIT)),
            (503, json("x", "backendError"), K::Unavailable, RetryClass::Now),
            (
                404,
                "<Error><Code>NoSuchUpload</Code><Message>m</Message></Error>".into(),
                K::UploadNotFound,
                RetryClass::Never,
            ),
            (400, r#"{"error": "invalid_grant"}"#.into(), K::InvalidInput, RetryClass::Never),
            (502, "<html>".into(), K::Unavailable, RetryClass::Now),
            (401, json("Anonymous caller", "required"), K::Unauthenticated, RetryClass::RefreshCredentials),
            (400, json("Required parameter: project", "required"), K::InvalidInput, RetryClass::Never),
            (
                400,
                json("Bucket is a requester pays bucket but no user project provided.", "required"),
                K::PermissionDenied,
                RetryClass::Never,
            ),
            (403, json("x", "userProjectAccessDenied"), K::PermissionDenied, RetryClass::Never),
            (400, json("x", "userProjectInvalid"), K::InvalidInput, RetryClass::Never),
            (
                400,
                json("Provided CRC32C \\\"a\\\" doesn't match calculated CRC32C \\\"b\\\".", "invalid"),
                K::ChecksumMismatch,
                RetryClass::Now,
            ),
            (400, "<Error><Code>CrcMismatch</Code></Error>".into(), K::ChecksumMismatch, RetryClass::Now),
        ] {
            let error = refused(status, &body);
            assert_eq!((error.kind(), error.retry()), (kind, retry), "{body}");
        }
    }

    #[test]
    fn requester_pays_names_the_setting() {
        let body = r#"{"error": {"errors": [{"reason": "required"}], "message": "no user project provided"}}"#;
        assert!(refused(400, body).message().contains("user_project"));
        let fixed = Refusal::new(StatusCode::UNAUTHORIZED, &HeaderMap::new(), b"", SystemTime::UNIX_EPOCH);
        assert_eq!(fixed.into_error(false, false, &Secrets::default()).retry(), RetryClass::Never);
    }
}
