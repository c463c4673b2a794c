//! The bodies of requests, checked against everything that the client states about them: the
//! length, the signatures of chunks and trailers, `x-amz-content-sha256`, `Content-MD5`, and
//! the `x-amz-checksum-*` headers and trailers.
//!
//! - `chunks`: takes the frames of `aws-chunked` apart
//! - `digests`: what is stated about the content, and what is computed
//! - `checked`: the content, of which the last piece is withheld until everything is checked,
//!   so that no storage can accept a wrong body
//! - `once`: a stream that can be read once as the body of a write; `refusal`: errors of bodies

mod checked;
mod chunks;
mod digests;
mod once;
mod refusal;
#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};

use futures_util::StreamExt as _;
use http::HeaderMap;

use crate::auth::ChunkSigner;
use crate::protocol::{Body, S3Error, S3Result, s3_error, s3_error_of};
use checked::Checked;
use chunks::Chunks;
use digests::{Digests, Verified};

pub(crate) use once::once;

/// The largest document that a request may have. The completion of an upload of 10,000 parts
/// with checksums has about 2 MiB.
const LARGEST_DOCUMENT: u64 = 4 << 20;

/// The body of a request of which nothing has been read yet.
pub(crate) struct Payload {
    pub(crate) body: Body,
    /// Checks the signatures of chunks, if the request itself is signed for that.
    pub(crate) signer: Option<ChunkSigner>,
}

/// The content of a body, ready to be passed to a storage.
pub(crate) struct Ingested {
    pub(crate) body: lepton_core::Body,
    verified: Arc<OnceLock<Verified>>,
}

impl Payload {
    /// The content for a storage. An empty body is checked immediately, any other while the
    /// storage reads it.
    pub(crate) async fn ingest(self, headers: &HeaderMap) -> S3Result<Ingested> {
        let (len, mut checked) = self.checked(headers, Digests::stated(headers)?)?;
        let verified = checked.verified();
        if len > 0 {
            return Ok(Ingested { body: once(len, checked.boxed()), verified });
        }
        while let Some(piece) = checked.next().await {
            piece.map_err(|error| s3_error_of(&error))?;
        }
        Ok(Ingested { body: lepton_core::Body::from_pieces([]), verified })
    }

    /// The whole content of a body that is a document.
    pub(crate) async fn document(self, headers: &HeaderMap) -> S3Result<Vec<u8>> {
        self.collected(headers, Digests::stated(headers)?).await
    }

    /// The same where the checksums in the headers are those of an object.
    pub(crate) async fn document_about_object(self, headers: &HeaderMap) -> S3Result<Vec<u8>> {
        self.collected(headers, Digests::stated(headers)?.without_checksums()).await
    }

    async fn collected(self, headers: &HeaderMap, digests: Digests) -> S3Result<Vec<u8>> {
        let (len, mut checked) = self.checked(headers, digests)?;
        if len > LARGEST_DOCUMENT {
            return Err(s3_error!(MaxMessageLengthExceeded, "a document has at most {LARGEST_DOCUMENT} bytes"));
        }
        let mut document = Vec::new();
        while let Some(piece) = checked.next().await {
            document.extend_from_slice(&piece.map_err(|error| s3_error_of(&error))?);
        }
        Ok(document)
    }

    /// The content, with its length.
    fn checked(self, headers: &HeaderMap, digests: Digests) -> S3Result<(u64, Checked)> {
        let chunks = chunks(headers, self.signer)?;
        let name = if chunks.is_some() { "x-amz-decoded-content-length" } else { "content-length" };
        let Some(len) = headers.get(name) else {
            return Err(s3_error!(MissingContentLength, "the request does not say how long its body is"));
        };
        let len = len.to_str().ok().and_then(|len| len.parse().ok());
        let len = len.ok_or_else(|| s3_error!(InvalidArgument, "the header {name} is not a number"))?;
        Ok((len, Checked::new(self.body, chunks, len, digests)))
    }
}

impl Ingested {
    /// Adds the checksums that were stated and are right to the headers of a reply. There are
    /// none before the body was read.
    pub(crate) fn echo(&self, headers: &mut HeaderMap) {
        let verified = self.verified.get().into_iter().flatten();
        headers.extend(verified.map(|(name, value)| (name.clone(), value.clone())));
    }
}

/// The frames of the body, if it has any.
fn chunks(headers: &HeaderMap, signer: Option<ChunkSigner>) -> S3Result<Option<Chunks>> {
    let refused = || -> S3Error { s3_error!(InvalidRequest, "chunks are signed where the headers are signed too") };
    let Some(stated) = headers.get("x-amz-content-sha256") else { return Ok(None) };
    match stated.as_bytes() {
        b"UNSIGNED-PAYLOAD" => Ok(None),
        b"STREAMING-UNSIGNED-PAYLOAD-TRAILER" => Ok(Some(Chunks::unsigned())),
        b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD" => Ok(Some(Chunks::signed(signer.ok_or_else(refused)?, false))),
        b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => Ok(Some(Chunks::signed(signer.ok_or_else(refused)?, true))),
        other if other.starts_with(b"STREAMING-") => {
            Err(s3_error!(NotImplemented, "this server does not know x-amz-content-sha256: {stated:?}"))
        }
        // The digest of the whole, which is checked as the other digests are.
        _ => Ok(None),
    }
}
