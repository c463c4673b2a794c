//! Converts Lepton's errors to S3 errors.

use http::StatusCode;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use lepton_core::{Error, ErrorKind, Retry};
use s3s::{S3Error, S3ErrorCode};

/// The S3 error for a storage's error. A code that the error carries is passed on.
pub(super) fn s3_error_of(error: &Error) -> S3Error {
    let by_kind = code_of(error.kind());
    let own = error.code().and_then(|code| S3ErrorCode::from_bytes(code.as_bytes()));
    let mut s3 = S3Error::with_message(own.unwrap_or_else(|| by_kind.clone()), error.report());
    let status = match error.kind() {
        ErrorKind::OutOfSpace => Some(StatusCode::INSUFFICIENT_STORAGE),
        _ => s3.status_code().or(by_kind.status_code()),
    };
    s3.set_status_code(status.unwrap_or(StatusCode::BAD_REQUEST));
    if let Retry::After(delay) = error.retry()
        && let Ok(seconds) = http::HeaderValue::try_from(delay.as_secs().max(1).to_string())
    {
        // These headers replace those of s3s, so the content type must be set as well.
        let xml = http::HeaderValue::from_static("application/xml");
        s3.set_headers(http::HeaderMap::from_iter([(RETRY_AFTER, seconds), (CONTENT_TYPE, xml)]));
    }
    s3
}

fn code_of(kind: ErrorKind) -> S3ErrorCode {
    match kind {
        ErrorKind::NotFound => S3ErrorCode::NoSuchKey,
        ErrorKind::BucketNotFound => S3ErrorCode::NoSuchBucket,
        ErrorKind::UploadNotFound => S3ErrorCode::NoSuchUpload,
        ErrorKind::AlreadyExists | ErrorKind::PreconditionFailed | ErrorKind::SourceChanged => {
            S3ErrorCode::PreconditionFailed
        }
        ErrorKind::PermissionDenied | ErrorKind::Unauthenticated | ErrorKind::ReadOnly => S3ErrorCode::AccessDenied,
        ErrorKind::InvalidInput | ErrorKind::InvalidKey => S3ErrorCode::InvalidArgument,
        ErrorKind::Unsupported => S3ErrorCode::NotImplemented,
        ErrorKind::Throttled => S3ErrorCode::SlowDown,
        ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Network => S3ErrorCode::ServiceUnavailable,
        ErrorKind::ChecksumMismatch => S3ErrorCode::BadDigest,
        ErrorKind::Archived => S3ErrorCode::InvalidObjectState,
        ErrorKind::TooLarge => S3ErrorCode::EntityTooLarge,
        ErrorKind::Conflict => S3ErrorCode::OperationAborted,
        ErrorKind::OutOfSpace => S3ErrorCode::Custom("InsufficientStorage".into()),
        _ => S3ErrorCode::InternalError,
    }
}

/// Converts the error of a storage's result to an S3 error.
pub(super) trait IntoS3<T> {
    fn s3(self) -> s3s::S3Result<T>;
}

impl<T> IntoS3<T> for lepton_core::Result<T> {
    fn s3(self) -> s3s::S3Result<T> {
        self.map_err(|error| s3_error_of(&error))
    }
}
