//! The errors of S3, as clients receive them.

use std::borrow::Cow;

use http::{HeaderName, HeaderValue, StatusCode};

pub(crate) type S3Result<T> = Result<T, S3Error>;

macro_rules! codes {
    ($($code:ident = $status:ident,)*) => {
        /// The codes that this server uses, and those that it may receive from a storage.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Code { $($code,)* }

        impl Code {
            const ALL: &[Self] = &[$(Self::$code,)*];

            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$code => stringify!($code),)* }
            }

            fn status(self) -> StatusCode {
                match self { $(Self::$code => StatusCode::$status,)* }
            }
        }
    };
}

codes! {
    AccessDenied = FORBIDDEN,
    AuthorizationHeaderMalformed = BAD_REQUEST,
    AuthorizationQueryParametersError = BAD_REQUEST,
    BadDigest = BAD_REQUEST,
    BucketAlreadyOwnedByYou = CONFLICT,
    EntityTooLarge = BAD_REQUEST,
    EntityTooSmall = BAD_REQUEST,
    ExpiredToken = BAD_REQUEST,
    IncompleteBody = BAD_REQUEST,
    InsufficientStorage = INSUFFICIENT_STORAGE,
    InternalError = INTERNAL_SERVER_ERROR,
    InvalidAccessKeyId = FORBIDDEN,
    InvalidArgument = BAD_REQUEST,
    InvalidBucketName = BAD_REQUEST,
    InvalidDigest = BAD_REQUEST,
    InvalidObjectState = FORBIDDEN,
    InvalidPart = BAD_REQUEST,
    InvalidPartOrder = BAD_REQUEST,
    InvalidRange = RANGE_NOT_SATISFIABLE,
    InvalidRequest = BAD_REQUEST,
    InvalidTag = BAD_REQUEST,
    InvalidURI = BAD_REQUEST,
    KeyTooLongError = BAD_REQUEST,
    MalformedTrailerError = BAD_REQUEST,
    MalformedXML = BAD_REQUEST,
    MaxMessageLengthExceeded = BAD_REQUEST,
    MethodNotAllowed = METHOD_NOT_ALLOWED,
    MissingContentLength = LENGTH_REQUIRED,
    NoSuchBucket = NOT_FOUND,
    NoSuchKey = NOT_FOUND,
    NoSuchUpload = NOT_FOUND,
    NoSuchVersion = NOT_FOUND,
    NotImplemented = NOT_IMPLEMENTED,
    NotModified = NOT_MODIFIED,
    OperationAborted = CONFLICT,
    PreconditionFailed = PRECONDITION_FAILED,
    RequestTimeTooSkewed = FORBIDDEN,
    RequestTimeout = BAD_REQUEST,
    ServiceUnavailable = SERVICE_UNAVAILABLE,
    SignatureDoesNotMatch = FORBIDDEN,
    SlowDown = SERVICE_UNAVAILABLE,
    XAmzContentSHA256Mismatch = BAD_REQUEST,
}

/// An error with which a request is answered.
#[derive(Debug)]
pub(crate) struct S3Error {
    pub(crate) code: Cow<'static, str>,
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

impl S3Error {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code: code.name().into(), status: code.status(), message: message.into(), headers: Vec::new() }
    }

    /// The error that a storage calls `code`. The status of a code that S3 does not know is
    /// that of `kind`.
    pub(crate) fn named(code: &str, kind: Code, message: String) -> Self {
        let known = Code::ALL.iter().find(|known| known.name() == code);
        Self { code: code.to_owned().into(), ..Self::new(*known.unwrap_or(&kind), message) }
    }

    /// Adds a header to the reply. A value that HTTP does not allow is omitted.
    pub(crate) fn with(mut self, name: HeaderName, value: impl TryInto<HeaderValue>) -> Self {
        self.headers.extend(value.try_into().ok().map(|value| (name, value)));
        self
    }
}

/// An [`S3Error`] from a code and a formatted message.
macro_rules! s3_error {
    ($code:ident, $($message:tt)+) => {
        $crate::protocol::S3Error::new($crate::protocol::Code::$code, format!($($message)+))
    };
}
pub(crate) use s3_error;
