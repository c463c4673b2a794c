//! Credentials and signatures, by cloud, for all services of that cloud.
//!
//! - `aws`, `azure`, `google`: where credentials come from, and how they sign
//! - `token`: bearer tokens; `oauth`: requests one
//! - `cache`: caches credentials until they expire
//! - `issuer`: a client for services that issue credentials
//! - `command`: commands that print credentials; `words`: their messages, without secrets
//! - `file`: files that hold a secret

#[cfg(feature = "_aws")]
#[cfg_attr(
    not(feature = "s3"),
    allow(dead_code, unreachable_pub, reason = "the federation with Google needs only a part")
)]
pub(crate) mod aws;
#[cfg(feature = "azure")]
pub(crate) mod azure;
pub(crate) mod cache;
pub(crate) mod command;
pub(crate) mod file;
#[cfg(feature = "gcs")]
pub(crate) mod google;
pub(crate) mod issuer;
#[cfg(any(feature = "azure", feature = "gcs"))]
pub(crate) mod oauth;
pub(crate) mod redact;
#[cfg(any(feature = "azure", feature = "gcs"))]
pub(crate) mod token;
