//! Passes request bodies to the storage: they are streamed, and checked on the way against
//! everything that the client stated about them.
//!
//! s3s itself checks signatures, chunk signatures and `x-amz-content-sha256`. This file checks
//! the rest: the length, `Content-MD5`, and the `x-amz-checksum-*` headers and trailers. The
//! last piece is withheld until everything is checked, so that no storage can accept a wrong
//! body.

use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures_core::Stream;
use futures_util::StreamExt as _;
use http::HeaderMap;
use lepton_core::{Body, BodySource, ByteStream, Error, ErrorKind, Hashing, LeafStream, Leaves, Result};
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Md5, Sha1, Sha256};
use s3s::dto::StreamingBlob;
use s3s::{S3Result, TrailingHeaders, s3_error};

use super::error::s3_error_of;

const PREFIX: &str = "x-amz-checksum-";
/// Headers that look like checksums but are not.
const NOT_DIGESTS: [&str; 3] = ["x-amz-checksum-algorithm", "x-amz-checksum-type", "x-amz-checksum-mode"];

/// The digests of a body that were stated and verified, by header name, in base64.
pub(super) type Verified = Arc<OnceLock<Vec<(String, String)>>>;

/// A request's body, ready to be passed to a storage.
pub(super) struct Ingested {
    pub(super) body: Body,
    pub(super) verified: Verified,
}

/// Prepares the body of a request. An empty body is checked immediately, any other while the
/// storage reads it.
pub(super) async fn ingest(
    blob: Option<StreamingBlob>,
    headers: &HeaderMap,
    trailers: Option<TrailingHeaders>,
) -> S3Result<Ingested> {
    let len = length(headers)?;
    let verified = Verified::default();
    let digests = stated(headers, trailers.is_some())?;
    let input = blob.map_or_else(|| futures_util::stream::empty().boxed(), |blob| blob.boxed());
    let checked =
        Checked { input, held: None, left: len, digests, trailers, verified: Arc::clone(&verified), ended: false };
    if len > 0 {
        let body = Body::from_source(len, Arc::new(OneShot(Mutex::new(Some(checked.boxed())))));
        return Ok(Ingested { body, verified });
    }
    let mut checked = checked;
    while let Some(piece) = checked.next().await {
        piece.map_err(|error| s3_error_of(&error))?;
    }
    Ok(Ingested { body: Body::from_pieces([]), verified })
}

/// The length of the decoded body. For a chunked upload s3s puts it into `Content-Length` if
/// the client sent such a header.
fn length(headers: &HeaderMap) -> S3Result<u64> {
    let header = |name| headers.get(name).map(|value| value.to_str().ok().and_then(|text| text.parse().ok()));
    match header("x-amz-decoded-content-length").or_else(|| header("content-length")) {
        Some(Some(len)) => Ok(len),
        Some(None) => Err(s3_error!(InvalidArgument, "the content length is not a number")),
        None => Err(s3_error!(MissingContentLength, "the request does not say how long its body is")),
    }
}

/// A digest that the client stated, and its computation.
struct Digest {
    name: String,
    hasher: Hasher,
    /// In base64; `None` until its trailer arrives.
    stated: Option<String>,
}

enum Hasher {
    Md5(Md5),
    Sha1(Sha1),
    Sha256(Sha256),
    Crc32(Crc32),
    Crc32c(Crc32c),
    Crc64Nvme(Crc64Nvme),
}

impl Hasher {
    fn of(header: &str) -> Option<Self> {
        Some(match header {
            "content-md5" => Self::Md5(Md5::new()),
            "x-amz-checksum-sha1" => Self::Sha1(Sha1::new()),
            "x-amz-checksum-sha256" => Self::Sha256(Sha256::new()),
            "x-amz-checksum-crc32" => Self::Crc32(Crc32::new()),
            "x-amz-checksum-crc32c" => Self::Crc32c(Crc32c::new()),
            "x-amz-checksum-crc64nvme" => Self::Crc64Nvme(Crc64Nvme::new()),
            _ => return None,
        })
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Md5(hasher) => hasher.update(bytes),
            Self::Sha1(hasher) => hasher.update(bytes),
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Crc32(hasher) => hasher.update(bytes),
            Self::Crc32c(hasher) => hasher.update(bytes),
            Self::Crc64Nvme(hasher) => hasher.update(bytes),
        }
    }

    fn base64(self) -> String {
        match self {
            Self::Md5(hasher) => BASE64_STANDARD.encode(hasher.finalize()),
            Self::Sha1(hasher) => BASE64_STANDARD.encode(hasher.finalize()),
            Self::Sha256(hasher) => BASE64_STANDARD.encode(hasher.finalize()),
            Self::Crc32(hasher) => BASE64_STANDARD.encode(hasher.finalize()),
            Self::Crc32c(hasher) => BASE64_STANDARD.encode(hasher.finalize()),
            Self::Crc64Nvme(hasher) => BASE64_STANDARD.encode(hasher.finalize()),
        }
    }
}

/// The digests that the headers state, or announce for the trailer.
fn stated(headers: &HeaderMap, has_trailers: bool) -> S3Result<Vec<Digest>> {
    let mut digests = Vec::new();
    let mut add = |name: &str, stated: Option<String>| {
        let Some(hasher) = Hasher::of(name) else {
            return Err(s3_error!(InvalidRequest, "the checksum header {name} is not known"));
        };
        digests.push(Digest { name: name.to_owned(), hasher, stated });
        Ok(())
    };
    for (name, value) in headers {
        let name = name.as_str();
        if name == "content-md5" || (name.starts_with(PREFIX) && !NOT_DIGESTS.contains(&name)) {
            let text = value.to_str().unwrap_or_default();
            if BASE64_STANDARD.decode(text).is_err() {
                return Err(s3_error!(InvalidDigest, "the header {name} is not base64"));
            }
            add(name, Some(text.to_owned()))?;
        }
    }
    let announced = headers.get_all("x-amz-trailer").iter().filter(|_| has_trailers);
    for names in announced.filter_map(|value| value.to_str().ok()) {
        for name in names.split(',').map(|name| name.trim().to_ascii_lowercase()) {
            if name.starts_with(PREFIX) {
                add(&name, None)?;
            }
        }
    }
    Ok(digests)
}

/// A body that is checked as it passes.
struct Checked {
    input: futures_core::stream::BoxStream<'static, std::result::Result<Bytes, s3s::StdError>>,
    held: Option<Bytes>,
    left: u64,
    digests: Vec<Digest>,
    trailers: Option<TrailingHeaders>,
    verified: Verified,
    ended: bool,
}

impl Checked {
    fn accept(&mut self, piece: &Bytes) -> Result<()> {
        let len = piece.len() as u64;
        self.left = self.left.checked_sub(len).ok_or_else(|| {
            refused("IncompleteBody", ErrorKind::InvalidInput, "the body is longer than the request says")
        })?;
        self.digests.iter_mut().for_each(|digest| digest.hasher.update(piece));
        Ok(())
    }

    fn verify(&mut self) -> Result<()> {
        if self.left > 0 {
            let message = format!("the body ended {} bytes early", self.left);
            return Err(refused("IncompleteBody", ErrorKind::InvalidInput, message));
        }
        let mut verified = Vec::new();
        for Digest { name, hasher, stated } in self.digests.drain(..) {
            let trailer = || {
                let trailers = self.trailers.as_ref()?;
                trailers.read(|trailers| Some(trailers.get(&name)?.to_str().ok()?.to_owned())).flatten()
            };
            let Some(stated) = stated.or_else(trailer) else {
                let message = format!("the trailer {name} was announced and did not come");
                return Err(refused("MalformedTrailerError", ErrorKind::InvalidInput, message));
            };
            let computed = hasher.base64();
            if computed != stated {
                let message = format!("the body has {name} {computed}; the request says {stated}");
                return Err(refused("BadDigest", ErrorKind::ChecksumMismatch, message));
            }
            verified.push((name, computed));
        }
        let _ = self.verified.set(verified);
        Ok(())
    }
}

impl Stream for Checked {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        loop {
            if self.ended {
                return Poll::Ready(self.held.take().map(Ok));
            }
            let outcome = match ready!(self.input.poll_next_unpin(cx)) {
                Some(Ok(piece)) if piece.is_empty() => continue,
                Some(Ok(piece)) => match self.accept(&piece) {
                    Ok(()) => match self.held.replace(compact(piece)) {
                        Some(previous) => return Poll::Ready(Some(Ok(previous))),
                        None => continue,
                    },
                    Err(error) => Err(error),
                },
                Some(Err(error)) => Err(broken(error)),
                None => self.verify(),
            };
            self.ended = true;
            if let Err(error) = outcome {
                self.held = None;
                return Poll::Ready(Some(Err(error)));
            }
        }
    }
}

/// Copies a small piece: a slice would keep alive the whole buffer that it was read into, for
/// as long as a storage holds the piece.
fn compact(piece: Bytes) -> Bytes {
    const SMALL: usize = 64 << 10;
    if piece.len() < SMALL { Bytes::copy_from_slice(&piece) } else { piece }
}

fn refused(code: &str, kind: ErrorKind, message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(kind, message).with_code(code)
}

/// The error of a body that s3s or the network broke. The error types of s3s are private, so
/// they are recognised by their names in its messages.
fn broken(source: s3s::StdError) -> Error {
    let text = source.to_string();
    let found = |name| text.contains(name);
    let (code, kind, message) = if found("AwsChunkedStreamError: SignatureMismatch") {
        ("SignatureDoesNotMatch", ErrorKind::ChecksumMismatch, "a chunk is not what its signature says")
    } else if found("UploadStreamError: Sha256Mismatch") {
        ("XAmzContentSHA256Mismatch", ErrorKind::ChecksumMismatch, "the body is not what x-amz-content-sha256 says")
    } else if found("AwsChunkedStreamError: Underlying") || found("UploadStreamError: Underlying") {
        ("IncompleteBody", ErrorKind::Network, "the connection broke within the body")
    } else if found("AwsChunkedStreamError") {
        ("IncompleteBody", ErrorKind::InvalidInput, "the chunks of the body are not well formed or not complete")
    } else if found("UploadStreamError") {
        ("IncompleteBody", ErrorKind::InvalidInput, "the body is not as long as the request says")
    } else {
        ("IncompleteBody", ErrorKind::Network, "the connection broke within the body")
    };
    refused(code, kind, message).with_source(source)
}

/// A body that can be read from the network once: opening it again is an error.
struct OneShot(Mutex<Option<ByteStream>>);

impl BodySource for OneShot {
    fn open(&self) -> LeafStream {
        let stream = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let stream = stream.unwrap_or_else(|| {
            let message = "the body of a network request can be read only once";
            futures_util::stream::once(async move { Err(Error::new(ErrorKind::Unsupported, message)) }).boxed()
        });
        Leaves::new(stream, Hashing::Lazy).boxed()
    }
}

/// A stream from one store as the body of a write to another; it can be read once.
pub(super) fn once(len: u64, stream: ByteStream) -> Body {
    Body::from_source(len, Arc::new(OneShot(Mutex::new(Some(stream)))))
}

/// Adds the verified digests to the headers of a reply.
pub(super) fn echo(verified: &Verified, headers: &mut HeaderMap) {
    for (name, value) in verified.get().into_iter().flatten() {
        if let (true, Ok(name), Ok(value)) =
            (name.starts_with(PREFIX), http::HeaderName::try_from(name), http::HeaderValue::try_from(value))
        {
            headers.insert(name, value);
        }
    }
}
