//! Checksums as stores keep them.

use serde::{Deserialize, Serialize};

use super::crc::{Crc, crc};
use super::hex::{from_hex, to_hex};
use super::md5::md5;
use super::sha256::Sha256;
use super::tree::TreeHasher;

/// How a checksum is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ChecksumAlgorithm {
    /// SHA-256 of the bytes in order.
    Sha256,
    /// SHA-256 tree hash with 1 MiB leaves (see [`TreeHasher`]).
    Sha256Tree,
    /// SHA-1; passed on if a store has one, never computed.
    Sha1,
    /// CRC-64/NVME; the CRCs of pieces combine to the CRC of the whole.
    Crc64Nvme,
    /// CRC-32C (Castagnoli); combines.
    Crc32c,
    /// CRC-32 (ISO-HDLC, as in zip); combines.
    Crc32,
    /// MD5; only if a store requires it.
    Md5,
}

/// The bytes that a stored checksum covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ChecksumScope {
    /// All the bytes of the object, in order.
    Full,
    /// The checksums of the object's parts; comparable only for the same part size.
    Composite {
        /// The number of parts.
        parts: u32,
    },
}

/// A checksum that a store keeps for an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StoredChecksum {
    /// How it is computed.
    pub algorithm: ChecksumAlgorithm,
    /// What it covers.
    pub scope: ChecksumScope,
    /// Its bytes, big-endian if it is a number. In JSON they are hexadecimal.
    #[serde(with = "hex_bytes")]
    pub value: Vec<u8>,
}

impl StoredChecksum {
    /// A checksum over all bytes of the object.
    pub fn full(algorithm: ChecksumAlgorithm, value: impl Into<Vec<u8>>) -> Self {
        Self { algorithm, scope: ChecksumScope::Full, value: value.into() }
    }

    /// Computes a full checksum of bytes in memory; `None` if Lepton does not compute
    /// this algorithm.
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
