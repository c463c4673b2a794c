//! The meaning of a store's refusals.
//!
//! Codes: "Error responses" in the Amazon S3 API reference, and the codes that
//! MinIO and versitygw add.

use std::time::{Duration, SystemTime};

use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use lepton_core::{Error, ErrorKind, RetryClass};

use crate::wire::refusal::{self, DEFAULT_WAIT, ErrorResponse, retry_after};
use crate::wire::secrets::Secrets;
use crate::wire::xml::Element;

/// The content of a refusal.
#[derive(Debug, Default)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: Option<String>,
    pub(super) region: Option<String>,
    message: Option<String>,
    request_id: Option<String>,
    retry_after: Option<Duration>,
    delete_marker: bool,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, headers: &HeaderMap, body: &[u8], now: SystemTime) -> Self {
        let header = |name: &str| headers.get(name)?.to_str().ok().map(str::to_owned);
        let document = Element::parse(body).ok();
        let error = document.as_ref().filter(|root| root.name() == b"Error");
        let field = |name: &str| error.and_then(|error| error.text(name)).map(str::to_owned);
        Self {
            status: status.as_u16(),
            code: field("Code").or_else(|| header("x-minio-error-code")),
            region: header("x-amz-bucket-region").or_else(|| field("Region")),
            message: field("Message").or_else(|| header("x-minio-error-desc")),
            request_id: header("x-amz-request-id").or_else(|| field("RequestId")),
            retry_after: headers.get(RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?, now)),
            delete_marker: header("x-amz-delete-marker").is_some_and(|value| value == "true"),
        }
    }

    /// An error inside a response that is otherwise a success.
    pub(super) fn inside(error: &Element<'_>) -> Self {
        let field = |name: &str| error.text(name).map(str::to_owned);
        Self { status: 200, code: field("Code"), message: field("Message"), ..Self::default() }
    }

    /// If the same credentials were valid before, a signature that does not match is that
    /// of a chunk: its bytes changed after they were hashed.
    pub(super) fn blame_the_chunks(&mut self) {
        if self.code.as_deref() == Some("SignatureDoesNotMatch") {
            self.code = Some("XAmzContentSHA256Mismatch".to_owned());
        }
    }

    /// The error to report. `writes`: whether the request could have changed something,
    /// so that a server failure leaves its outcome unknown. `secrets`: those that the
    /// request was sent with.
    pub(super) fn into_error(self, writes: bool, secrets: &Secrets) -> Error {
        let (kind, retry) = self.meaning();
        let Self { status, code, message, request_id, .. } = self;
        refusal::error(kind, retry, ErrorResponse { status, code, message, request_id }, writes, secrets)
    }

    fn meaning(&self) -> (ErrorKind, RetryClass) {
        let (kind, retry) = self.code.as_deref().and_then(by_code).unwrap_or_else(|| self.by_status());
        let retry = match (retry, self.retry_after) {
            (RetryClass::Now | RetryClass::After(_), Some(delay)) => RetryClass::After(delay),
            (retry, _) => retry,
        };
        (kind, retry)
    }

    fn by_status(&self) -> (ErrorKind, RetryClass) {
        match self.status {
            405 if self.delete_marker => (ErrorKind::NotFound, RetryClass::Never),
            status => refusal::by_status(status),
        }
    }
}

fn by_code(code: &str) -> Option<(ErrorKind, RetryClass)> {
    use ErrorKind as K;
    let never = |kind| (kind, RetryClass::Never);
    Some(match code {
        "NoSuchBucket" => never(K::BucketNotFound),
        "NoSuchKey" | "NoSuchVersion" => never(K::NotFound),
        "NoSuchUpload" => never(K::UploadNotFound),
        "AccessDenied" | "AllAccessDisabled" | "AccountProblem" => never(K::PermissionDenied),
        "ExpiredToken" | "TokenRefreshRequired" | "ExpiredTokenException" => {
            (K::Unauthenticated, RetryClass::RefreshCredentials)
        }
        "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "InvalidToken"
        | "InvalidTokenId"
        | "InvalidSecurity"
        | "NotSignedUp"
        | "AuthorizationHeaderMalformed"
        | "CredentialsNotSupported"
        | "InvalidClientTokenId"
        | "MissingSecurityHeader"
        | "MissingAuthenticationToken"
        | "XAdminUserNotFound" => never(K::Unauthenticated),
        "RequestTimeTooSkewed" => never(K::ClockSkew),
        "BucketAlreadyExists" | "BucketAlreadyOwnedByYou" => never(K::AlreadyExists),
        "PreconditionFailed" => never(K::PreconditionFailed),
        "ConditionalRequestConflict" | "OperationAborted" => (K::Conflict, RetryClass::Now),
        "InvalidObjectState" => never(K::Archived),
        "EntityTooLarge" => never(K::TooLarge),
        "BadDigest" | "XAmzContentSHA256Mismatch" | "XAmzContentChecksumMismatch" | "InvalidDigest" => {
            (K::ChecksumMismatch, RetryClass::Now)
        }
        "RequestTimeout" => (K::Timeout, RetryClass::Now),
        "IncompleteBody" => (K::Network, RetryClass::Now),
        "SlowDown"
        | "SlowDownRead"
        | "SlowDownWrite"
        | "ServiceUnavailable"
        | "Throttling"
        | "ThrottlingException"
        | "RequestLimitExceeded"
        | "TooManyRequests"
        | "RequestThrottled"
        | "BandwidthLimitExceeded" => (K::Throttled, RetryClass::After(DEFAULT_WAIT)),
        "InternalError" => (K::Unavailable, RetryClass::Now),
        "XMinioServerNotInitialized" => (K::Unavailable, RetryClass::After(DEFAULT_WAIT)),
        "KeyTooLongError"
        | "XMinioInvalidObjectName"
        | "XMinioParentIsObject"
        | "XMinioObjectExistsAsDirectory"
        | "ObjectParentIsFile"
        | "ExistingObjectIsDirectory"
        | "DirectoryObjectContainsData"
        | "InvalidObjectName" => never(K::InvalidKey),
        "XMinioStorageFull" | "QuotaExceeded" | "XMinioAdminBucketQuotaExceeded" | "InsufficientStorage" => {
            never(K::OutOfSpace)
        }
        "NotImplemented" | "XNotImplemented" => never(K::Unsupported),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use lepton_core::Effect;

    use super::*;
    use crate::wire::refusal::{Condition, for_condition};

    fn error(status: u16, code: &str, writes: bool) -> Error {
        let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>why\n</Message></Error>");
        let body = if code.is_empty() { String::new() } else { body };
        let headers = HeaderMap::from_iter([("x-amz-request-id".parse().unwrap(), HeaderValue::from_static("R1"))]);
        let status = StatusCode::from_u16(status).unwrap();
        Refusal::new(status, &headers, body.as_bytes(), SystemTime::UNIX_EPOCH).into_error(writes, &Secrets::default())
    }

    #[test]
    fn kinds_retries_and_effects() {
        use ErrorKind as K;
        let after = RetryClass::After(DEFAULT_WAIT);
        for (status, code, kind, retry, effect_of_write) in [
            (404, "NoSuchBucket", K::BucketNotFound, RetryClass::Never, Effect::None),
            (404, "NoSuchKey", K::NotFound, RetryClass::Never, Effect::None),
            (404, "", K::NotFound, RetryClass::Never, Effect::None),
            (404, "NoSuchUpload", K::UploadNotFound, RetryClass::Never, Effect::None),
            (403, "SignatureDoesNotMatch", K::Unauthenticated, RetryClass::Never, Effect::None),
            (403, "InvalidTokenId", K::Unauthenticated, RetryClass::Never, Effect::None),
            (400, "ExpiredToken", K::Unauthenticated, RetryClass::RefreshCredentials, Effect::None),
            (403, "AccessDenied", K::PermissionDenied, RetryClass::Never, Effect::None),
            (403, "RequestTimeTooSkewed", K::ClockSkew, RetryClass::Never, Effect::None),
            (403, "InvalidObjectState", K::Archived, RetryClass::Never, Effect::None),
            (409, "ConditionalRequestConflict", K::Conflict, RetryClass::Now, Effect::None),
            (412, "", K::PreconditionFailed, RetryClass::Never, Effect::None),
            (400, "BadDigest", K::ChecksumMismatch, RetryClass::Now, Effect::None),
            (400, "EntityTooLarge", K::TooLarge, RetryClass::Never, Effect::None),
            (503, "SlowDown", K::Throttled, after, Effect::Unknown),
            (429, "", K::Throttled, after, Effect::None),
            (500, "InternalError", K::Unavailable, RetryClass::Now, Effect::Unknown),
            (502, "", K::Unavailable, RetryClass::Now, Effect::Unknown),
            (501, "NotImplemented", K::Unsupported, RetryClass::Never, Effect::None),
            (418, "Teapot", K::Unexpected, RetryClass::Never, Effect::None),
        ] {
            let write = error(status, code, true);
            assert_eq!(
                (write.kind(), write.retry(), write.effect()),
                (kind, retry, effect_of_write),
                "{status} {code}"
            );
            assert_eq!(error(status, code, false).effect(), Effect::None);
            assert_eq!((write.status(), write.request_id()), (Some(status), Some("R1")));
        }
    }

    #[test]
    fn retry_after_is_parsed_in_both_forms() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(retry_after("7", now), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:47 GMT", now), Some(Duration::from_secs(10)));
        assert_eq!(retry_after("soon", now), None);
        let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static("9"))]);
        let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, &headers, b"", now);
        assert_eq!(refusal.into_error(true, &Secrets::default()).retry(), RetryClass::After(Duration::from_secs(9)));
    }

    #[test]
    fn a_condition_is_named_as_the_caller_put_it() {
        assert_eq!(for_condition(error(412, "", true), Condition::IfAbsent).kind(), ErrorKind::AlreadyExists);
        assert_eq!(for_condition(error(404, "", true), Condition::IfMatch).kind(), ErrorKind::PreconditionFailed);
    }

    #[test]
    fn an_error_inside_a_success_is_unknown_where_another_try_could_help() {
        let body = b"<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>";
        let inside = Refusal::inside(&Element::parse(body).unwrap()).into_error(true, &Secrets::default());
        assert_eq!((inside.kind(), inside.effect()), (ErrorKind::Unavailable, Effect::Unknown));
    }
}
