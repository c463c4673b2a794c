//! The digests that a client states about a body.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use lepton_core::{Crc, CrcHasher, ErrorKind, Md5Hasher, Result, from_hex, to_hex};
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};

use super::chunks::Trailer;
use super::refusal::refused;
use crate::protocol::{S3Result, s3_error};

const CHECKSUM: &str = "x-amz-checksum-";
const CONTENT_SHA256: &str = "x-amz-content-sha256";
/// Headers that look like checksums but are not.
const NOT_DIGESTS: [&str; 3] = ["x-amz-checksum-algorithm", "x-amz-checksum-type", "x-amz-checksum-mode"];

/// The checksums that were stated and are right, as headers.
pub(super) type Verified = Vec<(HeaderName, HeaderValue)>;

/// All that is stated about one body.
pub(super) struct Digests(Vec<Digest>);

struct Digest {
    name: String,
    hasher: Hasher,
    /// `None` until its trailer arrives.
    stated: Option<Vec<u8>>,
}

impl Digests {
    /// The digests that the headers state, or announce for the trailer.
    pub(super) fn stated(headers: &HeaderMap) -> S3Result<Self> {
        let mut digests = Vec::new();
        for (name, value) in headers {
            let name = name.as_str();
            let Some(hasher) = hasher_of(name)? else { continue };
            let text = value.to_str().unwrap_or_default();
            if name == CONTENT_SHA256 && (text == "UNSIGNED-PAYLOAD" || text.starts_with("STREAMING-")) {
                continue;
            }
            let stated = decode(name, text).filter(|stated| stated.len() == hasher.len());
            let stated = stated.ok_or_else(|| s3_error!(InvalidDigest, "the header {name} is not a digest"))?;
            digests.push(Digest { name: name.to_owned(), hasher, stated: Some(stated) });
        }
        let announced = headers.get_all("x-amz-trailer").iter().filter_map(|names| names.to_str().ok());
        for name in announced.flat_map(|names| names.split(',')) {
            let name = name.trim().to_ascii_lowercase();
            if let Some(hasher) = hasher_of(&name)? {
                digests.push(Digest { name, hasher, stated: None });
            }
        }
        Ok(Self(digests))
    }

    pub(super) fn without_checksums(mut self) -> Self {
        self.0.retain(|digest| !digest.name.starts_with(CHECKSUM));
        self
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.iter_mut().for_each(|digest| digest.hasher.update(bytes));
    }

    /// Compares everything, when all bytes are there. Returns the checksums.
    pub(super) fn verify(self, trailer: &Trailer) -> Result<Verified> {
        let unknown = |name: &&str| name.starts_with(CHECKSUM) && !self.0.iter().any(|digest| digest.name == *name);
        if let Some(name) = trailer.iter().map(|(name, _)| name.as_str()).find(unknown) {
            let message = format!("the trailer {name} was not announced");
            return Err(refused("MalformedTrailerError", ErrorKind::InvalidInput, message));
        }
        let mut verified = Verified::new();
        for digest in self.0 {
            let name = digest.name.clone();
            let value = digest.verify(trailer)?;
            if let (true, Ok(name), Ok(value)) =
                (name.starts_with(CHECKSUM), HeaderName::try_from(name), HeaderValue::try_from(value))
            {
                verified.push((name, value));
            }
        }
        Ok(verified)
    }
}

impl Digest {
    /// Returns the digest as text.
    fn verify(self, trailer: &Trailer) -> Result<String> {
        let Self { name, hasher, stated } = self;
        let arrived = || {
            let (_, value) = trailer.iter().find(|(found, _)| *found == name)?;
            decode(&name, value)
        };
        let Some(stated) = stated.or_else(arrived) else {
            let message = format!("the trailer {name} was announced and did not come, or is not base64");
            return Err(refused("MalformedTrailerError", ErrorKind::InvalidInput, message));
        };
        let computed = hasher.finish();
        let (stated_as, computed_as) = (encode(&name, &stated), encode(&name, &computed));
        if stated == computed {
            return Ok(computed_as);
        }
        let code = if name == CONTENT_SHA256 { "XAmzContentSHA256Mismatch" } else { "BadDigest" };
        let message = format!("the body has {name} {computed_as}; the request says {stated_as}");
        Err(refused(code, ErrorKind::ChecksumMismatch, message))
    }
}

fn decode(name: &str, text: &str) -> Option<Vec<u8>> {
    if name == CONTENT_SHA256 { from_hex(text) } else { BASE64_STANDARD.decode(text).ok() }
}

fn encode(name: &str, digest: &[u8]) -> String {
    if name == CONTENT_SHA256 { to_hex(digest) } else { BASE64_STANDARD.encode(digest) }
}

enum Hasher {
    Md5(Md5Hasher),
    Sha(Context),
    Crc64(CrcHasher),
    Crc32(CrcHasher),
}

/// The hasher for a header, if it is one that states a digest.
fn hasher_of(name: &str) -> S3Result<Option<Hasher>> {
    Ok(Some(match name {
        "content-md5" => Hasher::Md5(Md5Hasher::new()),
        CONTENT_SHA256 | "x-amz-checksum-sha256" => Hasher::Sha(Context::new(&SHA256)),
        "x-amz-checksum-sha1" => Hasher::Sha(Context::new(&SHA1_FOR_LEGACY_USE_ONLY)),
        "x-amz-checksum-crc64nvme" => Hasher::Crc64(CrcHasher::new(Crc::Crc64Nvme)),
        "x-amz-checksum-crc32c" => Hasher::Crc32(CrcHasher::new(Crc::Crc32c)),
        "x-amz-checksum-crc32" => Hasher::Crc32(CrcHasher::new(Crc::Crc32)),
        _ if name.starts_with(CHECKSUM) && !NOT_DIGESTS.contains(&name) => {
            return Err(s3_error!(InvalidRequest, "the checksum header {name} is not known"));
        }
        _ => return Ok(None),
    }))
}

impl Hasher {
    /// The number of bytes of the digest.
    fn len(&self) -> usize {
        match self {
            Self::Md5(_) => 16,
            Self::Sha(context) => context.algorithm().output_len(),
            Self::Crc64(_) => 8,
            Self::Crc32(_) => 4,
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Md5(hasher) => hasher.update(bytes),
            Self::Sha(context) => context.update(bytes),
            Self::Crc64(hasher) | Self::Crc32(hasher) => hasher.update(bytes),
        }
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Self::Md5(hasher) => hasher.finish().to_vec(),
            Self::Sha(context) => context.finish().as_ref().to_vec(),
            Self::Crc64(hasher) => hasher.finish().to_be_bytes().to_vec(),
            Self::Crc32(hasher) => hasher.finish().to_be_bytes()[4..].to_vec(),
        }
    }
}
