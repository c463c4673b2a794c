//! Checksums: the tree digest that proves an object, and those that stores keep.

mod crc;
mod tree;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

pub use crc::{Crc, CrcHasher, combine_crc, crc};
pub use tree::{LEAF_SIZE, TreeDigest, TreeHasher, part_root, root_of_parts};

/// The 32 bytes of a SHA-256.
///
/// Text and JSON have it as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sha256(pub [u8; 32]);

impl Sha256 {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_hex(&self.0))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Sha256 {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let bytes = from_hex(text).and_then(|bytes| bytes.try_into().ok());
        bytes
            .map(Self)
            .ok_or_else(|| Error::invalid_input(format!("not the 64 hexadecimal digits of a SHA-256: {text:?}")))
    }
}

impl Serialize for Sha256 {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sha256 {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// How a checksum is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ChecksumAlgorithm {
    /// SHA-256 of the bytes in order.
    Sha256,
    /// SHA-256 tree hash with 1 MiB leaves (see [`TreeHasher`]).
    Sha256Tree,
    /// SHA-1; carried where a store has one, never computed.
    Sha1,
    /// CRC-64/NVME; the CRCs of pieces combine to that of the whole.
    Crc64Nvme,
    /// CRC-32C (Castagnoli); combines.
    Crc32c,
    /// CRC-32 (ISO-HDLC, as in zip); combines.
    Crc32,
    /// MD5, only where a store insists.
    Md5,
}

/// What a stored checksum covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ChecksumScope {
    /// All the bytes of the object, in order.
    Full,
    /// The checksums of its parts: comparable only for the same part size.
    Composite {
        /// How many parts there are.
        parts: u32,
    },
}

/// A checksum that a store keeps beside an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StoredChecksum {
    /// How it is computed.
    pub algorithm: ChecksumAlgorithm,
    /// What it covers.
    pub scope: ChecksumScope,
    /// Its bytes, big-endian where it is a number. JSON has them in hexadecimal.
    #[serde(with = "hex_bytes")]
    pub value: Vec<u8>,
}

impl StoredChecksum {
    /// A checksum of all the object's bytes.
    pub fn full(algorithm: ChecksumAlgorithm, value: impl Into<Vec<u8>>) -> Self {
        Self { algorithm, scope: ChecksumScope::Full, value: value.into() }
    }

    /// Computes a full checksum of bytes in memory, where the algorithm is one
    /// that Lepton computes.
    pub fn of(algorithm: ChecksumAlgorithm, bytes: &[u8]) -> Option<Self> {
        let value = match algorithm {
            ChecksumAlgorithm::Sha256 => Sha256::of(bytes).0.to_vec(),
            ChecksumAlgorithm::Sha256Tree => TreeHasher::of(bytes).root.0.to_vec(),
            ChecksumAlgorithm::Crc64Nvme => crc(Crc::Crc64Nvme, bytes).to_be_bytes().to_vec(),
            ChecksumAlgorithm::Crc32c => crc(Crc::Crc32c, bytes).to_be_bytes()[4..].to_vec(),
            ChecksumAlgorithm::Crc32 => crc(Crc::Crc32, bytes).to_be_bytes()[4..].to_vec(),
            ChecksumAlgorithm::Md5 => md5(bytes).to_vec(),
            ChecksumAlgorithm::Sha1 => return None,
        };
        Some(Self::full(algorithm, value))
    }
}

/// The MD5 of these bytes. For stores that insist, never for proof.
pub fn md5(bytes: &[u8]) -> [u8; 16] {
    let mut hasher = Md5Hasher::new();
    hasher.update(bytes);
    hasher.finish()
}

/// Computes an [`md5()`] of bytes that come in pieces.
#[derive(Debug, Clone, Default)]
pub struct Md5Hasher(md5::Md5);

impl Md5Hasher {
    /// Begins.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        md5::Digest::update(&mut self.0, bytes);
    }

    /// The MD5 of all bytes so far.
    pub fn finish(self) -> [u8; 16] {
        md5::Digest::finalize(self.0).into()
    }
}

/// Lower-case hexadecimal digits of these bytes.
pub fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The bytes that these hexadecimal digits stand for, or `None` if they are not
/// hexadecimal or odd in number.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let nibble = |digit: u8| u8::try_from(char::from(digit).to_digit(16)?).ok();
    digits.chunks(2).map(|pair| Some(nibble(pair[0])? << 4 | nibble(pair[1])?)).collect()
}

mod hex_bytes {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::to_hex(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        super::from_hex(&text).ok_or_else(|| serde::de::Error::custom(format!("not hexadecimal: {text:?}")))
    }
}
