//! Signature Version 4.
//!
//! Sources: "Authenticating Requests: Using the Authorization Header (AWS
//! Signature Version 4)", "Signature Calculations … Transferring Payload in
//! Multiple Chunks" and "… Using Query Parameters" in the Amazon S3 API
//! reference. The examples there are the tests here.

mod chunks;
mod key;
mod request;
#[cfg(test)]
mod tests;

pub(super) use chunks::ChunkSigner;
pub(super) use key::{EMPTY_SHA256, SigningContext, UNSIGNED_PAYLOAD};
pub(super) use request::{RequestSigner, X_AMZ_CONTENT_SHA256};
