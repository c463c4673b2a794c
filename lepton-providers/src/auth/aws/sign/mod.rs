//! Signature Version 4.
//!
//! - `request`: signs requests, in their headers or in a URL
//! - `key`: the signing key of a day, and the canonical form of a request
//!
//! Sources: "Authenticating Requests: Using the Authorization Header (AWS
//! Signature Version 4)" and "… Using Query Parameters" in the Amazon S3 API
//! reference. The examples there are the tests here.

pub(crate) mod key;
pub(crate) mod request;
#[cfg(test)]
mod tests;
