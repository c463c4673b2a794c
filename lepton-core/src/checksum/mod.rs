//! Checksums: the tree digest that proves an object, and the checksums that stores keep.

mod crc;
mod hex;
mod hmac;
mod md5;
mod sha256;
mod stored;
mod tree;

pub use crc::{Crc, CrcHasher, combine_crc, crc};
pub use hex::{from_hex, to_hex};
pub use hmac::HmacSha256;
pub use md5::{Md5Hasher, md5};
pub use sha256::Sha256;
pub use stored::{ChecksumAlgorithm, ChecksumScope, StoredChecksum};
pub use tree::{LEAF_SIZE, TreeDigest, TreeHasher, part_root, root_of_parts};
