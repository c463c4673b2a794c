//! The checksum that is sent with the bytes of an upload.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use lepton_core::{Capabilities, ChecksumAlgorithm, Crc, CrcHasher};

/// A checksum that stores accept with a body. All of them are CRCs, because only for
/// these can a store compute the checksum of a whole object from those of its parts
/// (`FULL_OBJECT`, "Checking object integrity" in the Amazon S3 user guide).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) algorithm: ChecksumAlgorithm,
    crc: Crc,
    /// The length of the checksum in bytes.
    bytes: usize,
    /// Its name in the request that creates an upload.
    pub(super) name: &'static str,
    /// The header or trailer that carries it.
    pub(super) header: &'static str,
}

/// The checksums, the preferred one first.
static SUMS: [Sum; 3] = [
    Sum {
        algorithm: ChecksumAlgorithm::Crc64Nvme,
        crc: Crc::Crc64Nvme,
        bytes: 8,
        name: "CRC64NVME",
        header: "x-amz-checksum-crc64nvme",
    },
    Sum {
        algorithm: ChecksumAlgorithm::Crc32c,
        crc: Crc::Crc32c,
        bytes: 4,
        name: "CRC32C",
        header: "x-amz-checksum-crc32c",
    },
    Sum {
        algorithm: ChecksumAlgorithm::Crc32,
        crc: Crc::Crc32,
        bytes: 4,
        name: "CRC32",
        header: "x-amz-checksum-crc32",
    },
];

impl Sum {
    /// All of them, the preferred one first.
    pub(super) fn all() -> &'static [Self] {
        &SUMS
    }

    /// The checksum that a store accepts; `None` if it is not known to accept one.
    pub(super) fn of(capabilities: &Capabilities) -> Option<&'static Self> {
        let verified = |sum: &&Self| capabilities.verified_checksums.contains(&sum.algorithm);
        // A store that supports trailers accepts checksums, even if it is not known to
        // verify them.
        SUMS.iter().find(verified).or_else(|| SUMS.first().filter(|_| capabilities.trailers.is_available()))
    }

    pub(super) fn hasher(&self) -> CrcHasher {
        CrcHasher::new(self.crc)
    }

    /// The value of the header.
    pub(super) fn value(&self, hasher: &CrcHasher) -> String {
        BASE64_STANDARD.encode(&hasher.finish().to_be_bytes()[8 - self.bytes..])
    }

    /// The length of this value.
    pub(super) fn value_len(&self) -> usize {
        self.bytes.div_ceil(3) * 4
    }
}

#[cfg(test)]
mod tests {
    use lepton_core::Support;

    use super::*;

    #[test]
    fn a_store_gets_a_checksum_that_it_takes() {
        let mut store = Capabilities::everything("x");
        assert_eq!(Sum::of(&store), None);
        store.trailers = Support::Native;
        assert_eq!(Sum::of(&store).unwrap().name, "CRC64NVME");
        store.verified_checksums = vec![ChecksumAlgorithm::Sha256, ChecksumAlgorithm::Crc32c];
        assert_eq!(Sum::of(&store).unwrap().name, "CRC32C");
        store.verified_checksums = vec![ChecksumAlgorithm::Crc32c, ChecksumAlgorithm::Crc64Nvme];
        assert_eq!(Sum::of(&store).unwrap().name, "CRC64NVME");
    }

    #[test]
    fn values_are_big_endian_and_as_long_as_announced() {
        for (sum, expected) in SUMS.iter().zip(["rosUhgp5mIg=", "4waSgw==", "y/Q5Jg=="]) {
            let mut hasher = sum.hasher();
            hasher.update(b"1234");
            hasher.update(b"56789");
            assert_eq!((sum.value(&hasher).as_str(), sum.value_len()), (expected, expected.len()));
        }
        assert_eq!(SUMS[0].value(&SUMS[0].hasher()), "AAAAAAAAAAA=");
    }
}
