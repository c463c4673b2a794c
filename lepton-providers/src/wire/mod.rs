//! The wire formats that stores with an HTTP API share.
//!
//! - `address`: the location of a store
//! - `attributes`: headers, and the attributes of objects in them
//! - `encode`: percent-encoding, queries
//! - `xml`: XML documents, byte for byte
//! - `time`: dates
//! - `mtime`: the modification time of a file in user metadata
//! - `pages`: listings that come in pages
//! - `payload`: bodies that are buffered until they are sent
//! - `range`: ranges of an object
//! - `refusal`: what the refusal of a request means
//! - `request`: requests before they are authorised, and replies
//! - `rfc2047`: text in headers
//! - `secrets`: the secrets of a request, which no error may show; `pattern` finds one of
//!   them
//! - `storage`: the storage type of a remote store
//! - `values`: settings given as text or as typed values

pub(crate) mod address;
pub(crate) mod attributes;
pub(crate) mod encode;
pub(crate) mod mtime;
pub(crate) mod pages;
mod pattern;
pub(crate) mod payload;
pub(crate) mod range;
pub(crate) mod refusal;
#[cfg(feature = "_auth")]
pub(crate) mod request;
pub(crate) mod rfc2047;
pub(crate) mod secrets;
#[cfg(feature = "_auth")]
pub(crate) mod storage;
pub(crate) mod time;
pub(crate) mod values;
pub(crate) mod xml;
