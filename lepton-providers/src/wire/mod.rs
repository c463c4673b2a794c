//! The forms in which stores with an HTTP API write things.
//!
//! - `address`: where a store is
//! - `cache`: credentials until they expire
//! - `command`: commands that print credentials
//! - `encode`: percent-encoding, queries
//! - `file`: files that hold a secret
//! - `xml`: documents, byte for byte
//! - `time`: dates
//! - `token`: asking for a bearer token
//! - `issuer`: services that hand out credentials
//! - `listed`: attributes that come with a listing
//! - `mtime`: the time of a file in user metadata
//! - `payload`: bodies that are held until they are sent
//! - `range`: ranges of an object
//! - `refusal`: what the refusal of a request means
//! - `rfc2047`: text in headers
//! - `secrets`: the secrets of a request, which no error may show; `pattern` finds one
//! - `values`: settings that come as text or typed
//! - `words`: what other programs say, without secrets

pub(crate) mod address;
pub(crate) mod cache;
pub(crate) mod command;
pub(crate) mod encode;
pub(crate) mod file;
pub(crate) mod issuer;
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
#[cfg(any(feature = "azure", feature = "gcs"))]
pub(crate) mod token;
pub(crate) mod values;
mod words;
pub(crate) mod xml;
