//! Cyclic redundancy checks. They combine: the CRC of the whole follows from the CRCs
//! and lengths of its pieces.

use crc_fast::{CrcAlgorithm, Digest, checksum, checksum_combine};

/// The cyclic redundancy checks that Lepton computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Crc {
    /// CRC-64/NVME, the default of Amazon S3.
    Crc64Nvme,
    /// CRC-32C (Castagnoli).
    Crc32c,
    /// CRC-32/ISO-HDLC.
    Crc32,
}

impl Crc {
    fn algorithm(self) -> CrcAlgorithm {
        match self {
            Crc::Crc64Nvme => CrcAlgorithm::Crc64Nvme,
            Crc::Crc32c => CrcAlgorithm::Crc32Iscsi,
            Crc::Crc32 => CrcAlgorithm::Crc32IsoHdlc,
        }
    }
}

/// The CRC of these bytes; a 32-bit CRC is in the low half.
pub fn crc(kind: Crc, bytes: &[u8]) -> u64 {
    checksum(kind.algorithm(), bytes)
}

/// Computes the CRC of bytes that arrive in pieces.
///
/// Use this for pieces in order: one [`combine_crc`] costs about 0.1 ms, as much as
/// the CRC of several MiB.
#[derive(Debug, Clone)]
pub struct CrcHasher(Digest);

impl CrcHasher {
    /// A hasher over no bytes yet.
    pub fn new(kind: Crc) -> Self {
        Self(Digest::new(kind.algorithm()))
    }

    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The CRC of all bytes so far; a 32-bit CRC is in the low half.
    pub fn finish(&self) -> u64 {
        self.0.finalize()
    }
}

/// The CRC of two consecutive pieces, from the CRC of each and the length of the second
/// in bytes.
pub fn combine_crc(kind: Crc, first: u64, second: u64, second_len: u64) -> u64 {
    checksum_combine(kind.algorithm(), first, second, second_len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn check_values_of_the_catalogue() {
        let bytes = b"123456789";
        assert_eq!(crc(Crc::Crc64Nvme, bytes), 0xae8b_1486_0a79_9888);
        assert_eq!(crc(Crc::Crc32c, bytes), 0xe306_9283);
        assert_eq!(crc(Crc::Crc32, bytes), 0xcbf4_3926);
    }

    proptest! {
        #[test]
        fn combination_equals_the_whole(first: Vec<u8>, second: Vec<u8>) {
            let whole = [first.clone(), second.clone()].concat();
            for kind in [Crc::Crc64Nvme, Crc::Crc32c, Crc::Crc32] {
                let combined = combine_crc(kind, crc(kind, &first), crc(kind, &second), second.len() as u64);
                prop_assert_eq!(combined, crc(kind, &whole));
                let mut hasher = CrcHasher::new(kind);
                hasher.update(&first);
                hasher.update(&second);
                prop_assert_eq!(hasher.finish(), combined);
            }
        }
    }
}
