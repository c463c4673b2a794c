//! Signatures of the chunks of a body (`STREAMING-AWS4-HMAC-SHA256-PAYLOAD`) and of the
//! trailer after them (`STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER`).
//!
//! "Signature Calculations … Transferring Payload in Multiple Chunks" in the Amazon S3 API
//! reference.

use std::fmt;

use lepton_core::{Sha256, to_hex};

use crate::auth::aws::sign::key::EMPTY_SHA256;
use crate::auth::aws::sign::request::Signature;

/// Signs the chunks of one request; each signature covers the previous one.
pub(super) struct ChunkSigner {
    previous: Signature,
}

impl ChunkSigner {
    /// `request`: the signature of the request whose body the chunks are.
    pub(super) fn new(request: Signature) -> Self {
        Self { previous: request }
    }

    /// The signature of the next chunk, given the hash of its bytes.
    pub(super) fn sign(&mut self, chunk: Sha256) -> &str {
        let hash = chunk.to_string();
        self.next("AWS4-HMAC-SHA256-PAYLOAD", &[EMPTY_SHA256, &hash])
    }

    /// The signature of the trailer, a line `name:value` without its end. It follows the
    /// last chunk, which is empty.
    pub(super) fn sign_trailer(&mut self, line: &str) -> &str {
        let hash = Sha256::of(format!("{line}\n").as_bytes()).to_string();
        self.next("AWS4-HMAC-SHA256-TRAILER", &[&hash])
    }

    fn next(&mut self, what: &str, hashes: &[&str]) -> &str {
        let Signature { key, date, text } = &mut self.previous;
        let mut mac = key.mac.clone();
        mac.update(what.as_bytes());
        for piece in [date.as_str(), &key.scope, text.as_str()].iter().chain(hashes) {
            mac.update(b"\n");
            mac.update(piece.as_bytes());
        }
        *text = to_hex(&mac.finish());
        text
    }
}

impl fmt::Debug for ChunkSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChunkSigner")
    }
}

/// The examples of the Amazon S3 API reference.
#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, UNIX_EPOCH};

    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::*;
    use crate::auth::aws::credentials::Credentials;
    use crate::auth::aws::sign::key::SigningContext;
    use crate::auth::aws::sign::request::RequestSigner;
    use crate::wire::time::BasicDate;

    fn signer(headers: &[(&'static str, &'static str)], payload_hash: &str) -> ChunkSigner {
        let credentials =
            Arc::new(Credentials::new("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"));
        let date = BasicDate::new(UNIX_EPOCH + Duration::from_secs(1_369_353_600));
        let context = SigningContext { credentials: &credentials, region: "us-east-1", service: "s3", date };
        let pairs =
            headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let (mut headers, path) = (HeaderMap::from_iter(pairs), "/examplebucket/chunkObject.txt");
        ChunkSigner::new(RequestSigner::default().sign(&context, "PUT", path, "", &mut headers, payload_hash))
    }

    #[test]
    fn chunked_upload() {
        let headers = [
            ("host", "s3.amazonaws.com"),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            ("content-encoding", "aws-chunked"),
            ("x-amz-decoded-content-length", "66560"),
            ("content-length", "66824"),
        ];
        let hash = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
        let mut chunks = signer(&headers, hash);
        assert_eq!(chunks.previous.text, "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9");
        for (bytes, expected) in [
            (65_536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
            (1_024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
            (0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
        ] {
            assert_eq!(chunks.sign(Sha256::of(&vec![b'a'; bytes])), expected);
        }
    }

    #[test]
    fn chunked_upload_with_a_trailer() {
        let headers = [
            ("host", "s3.amazonaws.com"),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            ("content-encoding", "aws-chunked"),
            ("x-amz-decoded-content-length", "66560"),
            ("x-amz-trailer", "x-amz-checksum-crc32c"),
        ];
        let hash = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
        let mut chunks = signer(&headers, hash);
        assert_eq!(chunks.previous.text, "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e");
        for (bytes, expected) in [
            (65_536, "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2"),
            (1_024, "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7"),
            (0, "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"),
        ] {
            assert_eq!(chunks.sign(Sha256::of(&vec![b'a'; bytes])), expected);
        }
        let trailer = chunks.sign_trailer("x-amz-checksum-crc32c:sOO8/Q==");
        assert_eq!(trailer, "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435");
    }
}
