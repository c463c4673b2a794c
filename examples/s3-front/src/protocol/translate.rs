//! Converts the errors of storages to those of S3.

use http::header::RETRY_AFTER;
use lepton_core::{Error, ErrorKind, RetryClass};

use super::error::{Code, S3Error, S3Result};

/// The S3 error for a storage's error. A code that the error carries is passed on.
pub(crate) fn s3_error_of(error: &Error) -> S3Error {
    let by_kind = code_of(error.kind());
    let s3 = match (error.kind(), error.code()) {
        (ErrorKind::OutOfSpace, _) | (_, None) => S3Error::new(by_kind, error.full_message()),
        (_, Some(code)) => S3Error::named(code, by_kind, error.full_message()),
    };
    match error.retry() {
        RetryClass::After(delay) => s3.with(RETRY_AFTER, delay.as_secs().max(1)),
        _ => s3,
    }
}

fn code_of(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::NotFound => Code::NoSuchKey,
        ErrorKind::BucketNotFound => Code::NoSuchBucket,
        ErrorKind::UploadNotFound => Code::NoSuchUpload,
        ErrorKind::AlreadyExists | ErrorKind::PreconditionFailed | ErrorKind::SourceChanged => Code::PreconditionFailed,
        ErrorKind::PermissionDenied | ErrorKind::Unauthenticated | ErrorKind::ReadOnly => Code::AccessDenied,
        ErrorKind::InvalidInput | ErrorKind::InvalidKey => Code::InvalidArgument,
        ErrorKind::Unsupported => Code::NotImplemented,
        ErrorKind::Throttled => Code::SlowDown,
        ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Network => Code::ServiceUnavailable,
        ErrorKind::ChecksumMismatch => Code::BadDigest,
        ErrorKind::Archived => Code::InvalidObjectState,
        ErrorKind::TooLarge => Code::EntityTooLarge,
        ErrorKind::Conflict => Code::OperationAborted,
        ErrorKind::OutOfSpace => Code::InsufficientStorage,
        _ => Code::InternalError,
    }
}

/// Converts the error of a storage's result to an S3 error.
pub(crate) trait IntoS3<T> {
    fn s3(self) -> S3Result<T>;
}

impl<T> IntoS3<T> for lepton_core::Result<T> {
    fn s3(self) -> S3Result<T> {
        self.map_err(|error| s3_error_of(&error))
    }
}
