//! The meaning of the service's refusals.
//!
//! Codes: "Blob Storage error codes" and "Status and error codes" in the REST reference.

use std::time::{Duration, SystemTime};

use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use lepton_core::{Error, ErrorKind, RetryClass};

use crate::wire::refusal::{self, DEFAULT_WAIT, ErrorResponse, by_status, retry_after};
use crate::wire::secrets::Secrets;
use crate::wire::xml::Element;

/// The content of a refusal.
#[derive(Debug, Default)]
pub(super) struct Refusal {
    response: ErrorResponse,
    /// Details beyond the message; they are never shown, because they quote what was
    /// signed.
    detail: String,
    /// Whether the service's clock differs too much from the local one.
    clock: bool,
    retry_after: Option<Duration>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, headers: &HeaderMap, body: &[u8], now: SystemTime) -> Self {
        let header = |name: &str| headers.get(name)?.to_str().ok().map(str::to_owned);
        let document = Element::parse(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)).ok();
        let error = document.as_ref().filter(|root| root.name() == b"Error");
        let field = |name: &str| error.and_then(|error| error.text(name)).map(str::to_owned);
        // The message ends with the id of the request and the time, on separate lines.
        let message = error.and_then(|error| error.text("Message")).and_then(|message| message.lines().next());
        Self {
            response: ErrorResponse {
                status: status.as_u16(),
                code: header("x-ms-error-code").or_else(|| field("Code")),
                message: message.map(str::to_owned),
                request_id: header("x-ms-request-id"),
            },
            clock: header("date").is_some_and(|date| is_far(&date, now)),
            detail: field("AuthenticationErrorDetail").or_else(|| header("www-authenticate")).unwrap_or_default(),
            retry_after: headers.get(RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?, now)),
        }
    }

    /// The error to report. `writes`: whether the request could have changed something.
    /// `token`: whether it was sent with a token, of which there may be a newer one.
    /// `secrets`: those that it was sent with.
    pub(super) fn into_error(mut self, writes: bool, token: bool, secrets: &Secrets) -> Error {
        let status = self.response.status;
        let code = self.response.code.as_deref().unwrap_or_default();
        if let Some(advice) = advice(code) {
            self.response.message = Some(advice.to_owned());
        }
        let (kind, retry) = match code {
            "CannotVerifyCopySource" => of_source(status),
            code => by_code(code).unwrap_or_else(|| uncoded(status)),
        };
        let (kind, retry) = match kind {
            ErrorKind::PermissionDenied if self.is_signature() => (ErrorKind::Unauthenticated, RetryClass::Never),
            ErrorKind::Unauthenticated if self.is_clock() => (ErrorKind::ClockSkew, RetryClass::Never),
            ErrorKind::Unauthenticated if token && status == 401 => (kind, RetryClass::RefreshCredentials),
            _ => (kind, retry),
        };
        let retry = match (retry, self.retry_after) {
            (RetryClass::Now | RetryClass::After(_), Some(delay)) => RetryClass::After(delay),
            (retry, _) => retry,
        };
        refusal::error(kind, retry, self.response, writes, secrets)
    }

    /// The emulator reports a wrong signature with the code of a missing permission.
    fn is_signature(&self) -> bool {
        self.response.message.as_deref().is_some_and(|message| message.contains("failed to authenticate the request"))
    }

    /// A date that is too old is refused like a wrong signature; only the detail
    /// distinguishes them, or the date of the response if it has no body.
    fn is_clock(&self) -> bool {
        if self.clock && self.response.code.as_deref() == Some("AuthenticationFailed") {
            return true;
        }
        let about = |text: &str| text.contains("date header") || text.contains("Request date header too old");
        about(&self.detail) || self.response.message.as_deref().is_some_and(about)
    }
}

/// Whether the clocks differ by more than the quarter of an hour that the service allows.
fn is_far(date: &str, now: SystemTime) -> bool {
    let Ok(theirs) = httpdate::parse_http_date(date) else { return false };
    let apart = theirs.duration_since(now).unwrap_or_else(|early| early.duration());
    apart > Duration::from_secs(15 * 60)
}

/// What to do, if the service's message does not state it.
fn advice(code: &str) -> Option<&'static str> {
    match code {
        "SnapshotsPresent" => Some("the blob has snapshots; set delete_snapshots=include to delete them with it"),
        "LeaseNotPresentWithBlobOperation" => Some("lease_id is set, but the blob has no lease"),
        _ => None,
    }
}

/// The service could not read the source of a copy; the status is that of its own
/// attempt.
fn of_source(status: u16) -> (ErrorKind, RetryClass) {
    match status {
        401 | 403 => (ErrorKind::PermissionDenied, RetryClass::Never),
        409 => (ErrorKind::Unavailable, RetryClass::After(DEFAULT_WAIT)),
        status => by_status(status),
    }
}

/// A conflict without a known code is not assumed to be transient.
fn uncoded(status: u16) -> (ErrorKind, RetryClass) {
    match status {
        409 => (ErrorKind::Conflict, RetryClass::Never),
        status => by_status(status),
    }
}

#[allow(clippy::too_many_lines, reason = "a table")]
fn by_code(code: &str) -> Option<(ErrorKind, RetryClass)> {
    use ErrorKind as K;
    let never = |kind| (kind, RetryClass::Never);
    Some(match code {
        "ContainerNotFound" | "ContainerBeingDeleted" => never(K::BucketNotFound),
        "BlobNotFound" | "ResourceNotFound" => never(K::NotFound),
        "BlobAlreadyExists" | "ContainerAlreadyExists" | "ResourceAlreadyExists" => never(K::AlreadyExists),
        "ConditionNotMet" | "TargetConditionNotMet" | "SourceConditionNotMet" | "BlobOverwritten" => {
            never(K::PreconditionFailed)
        }
        "BlobArchived" | "BlobBeingRehydrated" | "BlobNotAvailable" => never(K::Archived),
        "BlobUsesCustomerSpecifiedEncryption"
        | "BlobDoesNotUseCustomerSpecifiedEncryption"
        | "BlobCustomerSpecifiedEncryptionMismatch"
        | "LeaseNotPresentWithBlobOperation" => never(K::InvalidInput),
        "InvalidBlobType"
        | "InvalidSourceBlobType"
        | "InvalidSourceBlobUrl"
        | "CopyAcrossAccountsNotSupported"
        | "BlobTierInadequateForContentLength"
        | "SnapshotsPresent"
        | "FeatureVersionMismatch"
        | "UnsupportedHttpVerb"
        | "UnsupportedHeader"
        | "UnsupportedQueryParameter"
        | "NotImplemented"
        | "ApiNotImplemented"
        | "APINotImplemented" => never(K::Unsupported),
        "LeaseIdMissing"
        | "LeaseLost"
        | "LeaseIdMismatchWithBlobOperation"
        | "LeaseIdMismatchWithContainerOperation"
        | "LeaseAlreadyPresent"
        | "LeaseIsBreakingAndCannotBeAcquired" => never(K::Locked),
        "InvalidBlockList" => never(K::UploadNotFound),
        "InvalidBlobOrBlock" | "InvalidBlockId" | "DirectoryIsNotEmpty" => never(K::Conflict),
        "PendingCopyOperation" | "NoPendingCopyOperation" | "SystemInUse" => {
            (K::Conflict, RetryClass::After(DEFAULT_WAIT))
        }
        "AuthenticationFailed"
        | "InvalidAuthenticationInfo"
        | "NoAuthenticationInformation"
        | "AccountRequiresHttps" => never(K::Unauthenticated),
        "AuthorizationFailure"
        | "AuthorizationPermissionMismatch"
        | "AuthorizationProtocolMismatch"
        | "AuthorizationResourceTypeMismatch"
        | "AuthorizationServiceMismatch"
        | "AuthorizationSourceIPMismatch"
        | "InsufficientAccountPermissions"
        | "KeyBasedAuthenticationNotPermitted"
        | "PublicAccessNotPermitted"
        | "UnauthorizedBlobOverwrite"
        | "BlobImmutableDueToPolicy"
        | "BlobImmutableDueToLegalHold"
        | "AccountIsDisabled"
        | "ContainerDisabled" => never(K::PermissionDenied),
        "Md5Mismatch" | "Crc64Mismatch" | "InvalidMd5" | "InvalidCrc64" => (K::ChecksumMismatch, RetryClass::Now),
        "RequestBodyTooLarge" | "BlockCountExceedsLimit" | "BlockListTooLong" => never(K::TooLarge),
        // The last two: a file exists instead of a folder, or vice versa.
        "InvalidResourceName" | "InvalidUri" | "RequestUrlFailedToParse" | "PathConflict" | "ResourceTypeMismatch" => {
            never(K::InvalidKey)
        }
        // The reference has both spellings.
        "ServerBusy" | "TooManyRequests" | "SnapshotOperationRateExceeded" | "SnaphotOperationRateExceeded" => {
            (K::Throttled, RetryClass::After(DEFAULT_WAIT))
        }
        "InternalError" | "OperationTimedOut" => (K::Unavailable, RetryClass::Now),
        "InsufficientStorage" | "AccountQuotaExceeded" => never(K::OutOfSpace),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use lepton_core::Effect;

    use super::*;

    fn refused(status: u16, code: &str, detail: &str, token: bool) -> Error {
        let body = format!(
            "\u{feff}<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>why\nRequestId:1\nTime:2</Message>\
             <AuthenticationErrorDetail>{detail}</AuthenticationErrorDetail></Error>"
        );
        let headers = HeaderMap::from_iter([("x-ms-request-id".parse().unwrap(), HeaderValue::from_static("R1"))]);
        let status = StatusCode::from_u16(status).unwrap();
        Refusal::new(status, &headers, body.as_bytes(), SystemTime::UNIX_EPOCH).into_error(
            true,
            token,
            &Secrets::default(),
        )
    }

    #[test]
    fn kinds_retries_and_effects() {
        use ErrorKind as K;
        let after = RetryClass::After(DEFAULT_WAIT);
        for (status, code, kind, retry, effect) in [
            (404, "ContainerNotFound", K::BucketNotFound, RetryClass::Never, Effect::None),
            (404, "BlobNotFound", K::NotFound, RetryClass::Never, Effect::None),
            (409, "BlobAlreadyExists", K::AlreadyExists, RetryClass::Never, Effect::None),
            (412, "ConditionNotMet", K::PreconditionFailed, RetryClass::Never, Effect::None),
            (412, "LeaseIdMissing", K::Locked, RetryClass::Never, Effect::None),
            (409, "BlobArchived", K::Archived, RetryClass::Never, Effect::None),
            (409, "InvalidBlobType", K::Unsupported, RetryClass::Never, Effect::None),
            (400, "InvalidBlockList", K::UploadNotFound, RetryClass::Never, Effect::None),
            (403, "AuthenticationFailed", K::Unauthenticated, RetryClass::Never, Effect::None),
            (403, "AuthorizationPermissionMismatch", K::PermissionDenied, RetryClass::Never, Effect::None),
            (400, "Md5Mismatch", K::ChecksumMismatch, RetryClass::Now, Effect::None),
            (413, "RequestBodyTooLarge", K::TooLarge, RetryClass::Never, Effect::None),
            (503, "ServerBusy", K::Throttled, after, Effect::Unknown),
            (500, "OperationTimedOut", K::Unavailable, RetryClass::Now, Effect::Unknown),
            (501, "NotImplemented", K::Unsupported, RetryClass::Never, Effect::None),
            (502, "Odd", K::Unavailable, RetryClass::Now, Effect::Unknown),
            (409, "Odd", K::Conflict, RetryClass::Never, Effect::None),
            (409, "BlobUsesCustomerSpecifiedEncryption", K::InvalidInput, RetryClass::Never, Effect::None),
            (409, "PathConflict", K::InvalidKey, RetryClass::Never, Effect::None),
            (409, "LeaseAlreadyPresent", K::Locked, RetryClass::Never, Effect::None),
            (409, "SnaphotOperationRateExceeded", K::Throttled, after, Effect::None),
            (409, "BlobOverwritten", K::PreconditionFailed, RetryClass::Never, Effect::None),
            (404, "CannotVerifyCopySource", K::NotFound, RetryClass::Never, Effect::None),
            (412, "CannotVerifyCopySource", K::PreconditionFailed, RetryClass::Never, Effect::None),
            (401, "CannotVerifyCopySource", K::PermissionDenied, RetryClass::Never, Effect::None),
            (409, "CannotVerifyCopySource", K::Unavailable, after, Effect::None),
            (500, "CannotVerifyCopySource", K::Unavailable, RetryClass::Now, Effect::Unknown),
        ] {
            let error = refused(status, code, "", false);
            assert_eq!((error.kind(), error.retry(), error.effect()), (kind, retry, effect), "{code}");
            assert_eq!((error.code(), error.request_id()), (Some(code), Some("R1")));
            assert!(error.message().ends_with(": why"), "{error}");
        }
    }

    #[test]
    fn errors_that_a_setting_can_fix_name_it() {
        let snapshots = refused(409, "SnapshotsPresent", "", false);
        assert_eq!(snapshots.kind(), ErrorKind::Unsupported);
        assert!(snapshots.message().contains("delete_snapshots"), "{snapshots}");
        let lease = refused(412, "LeaseNotPresentWithBlobOperation", "", false);
        assert_eq!(lease.kind(), ErrorKind::InvalidInput);
        assert!(lease.message().contains("lease_id is set"), "{lease}");
    }

    #[test]
    fn without_a_body_the_services_date_tells_of_the_clock() {
        let date = |date: &'static str| {
            HeaderMap::from_iter([
                ("date".parse().unwrap(), HeaderValue::from_static(date)),
                ("x-ms-error-code".parse().unwrap(), HeaderValue::from_static("AuthenticationFailed")),
            ])
        };
        for (time, kind) in [
            ("Thu, 01 Jan 1970 00:15:00 GMT", ErrorKind::Unauthenticated),
            ("Thu, 01 Jan 1970 00:15:01 GMT", ErrorKind::ClockSkew),
            ("yesterday", ErrorKind::Unauthenticated),
        ] {
            let refusal = Refusal::new(StatusCode::FORBIDDEN, &date(time), b"", SystemTime::UNIX_EPOCH);
            assert_eq!(refusal.into_error(false, false, &Secrets::default()).kind(), kind, "{time}");
        }
    }

    #[test]
    fn a_wrong_clock_and_an_old_token_are_distinguished_from_a_wrong_key() {
        let old = refused(403, "AuthenticationFailed", "Request date header too old: x", false);
        assert_eq!(old.kind(), ErrorKind::ClockSkew);
        let token = refused(401, "InvalidAuthenticationInfo", "Lifetime validation failed", true);
        assert_eq!((token.kind(), token.retry()), (ErrorKind::Unauthenticated, RetryClass::RefreshCredentials));
        assert_eq!(refused(401, "InvalidAuthenticationInfo", "", false).retry(), RetryClass::Never);
    }
}
