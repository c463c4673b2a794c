//! The wire formats that stores with an HTTP API share.
//!
//! - `address`: the location of a store
//! - `encode`: percent-encoding, queries
//! - `xml`: XML documents, byte for byte
//! - `time`: dates
//! - `listed`: attributes that come with a listing
//! - `mtime`: the modification time of a file in user metadata
//! - `payload`: bodies that are buffered until they are sent
//! - `range`: ranges of an object
//! - `refusal`: what the refusal of a request means
//! - `rfc2047`: text in headers
//! - `secrets`: the secrets of a request, which no error may show; `pattern` finds one of
//!   them
//! - `values`: settings given as text or as typed values

pub(crate) mod address;
pub(crate) mod encode;
#[cfg(any(feature = "azure", feature = "gcs"))]
pub(crate) mod listed;
pub(crate) mod mtime;
mod pattern;
pub(crate) mod payload;
pub(crate) mod range;
pub(crate) mod refusal;
pub(crate) mod rfc2047;
pub(crate) mod secrets;
pub(crate) mod time;
pub(crate) mod values;
pub(crate) mod xml;
