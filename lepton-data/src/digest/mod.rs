//! Reads bytes and computes their checksums.

pub(crate) mod checksum;
pub(crate) mod reader;
