//! Signature version 4: the sender of a request, and whether the request is the one that was signed.
//!
//! - `claim`: what a request states about its signature, in its headers or in its query
//! - `canonical`: the form of a request that the signature covers
//! - `key`: the key of a signature, and the signatures of chunks, each of which covers the one
//!   before it

mod canonical;
mod claim;
mod key;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use http::request::Parts;

use crate::protocol::{S3Result, s3_error};
use claim::{Claim, SignatureLocation};
use key::Key;

pub(crate) use key::ChunkSigner;

/// How far the clock of a client may be from that of the server.
const SKEW: Duration = Duration::from_secs(15 * 60);

/// Who may send requests. Session tokens are accepted with any value, as a signed header.
#[derive(Default)]
pub(crate) struct Authenticator {
    /// Secret keys by access key.
    pub(crate) keys: BTreeMap<String, String>,
    /// Whether requests without a signature are accepted.
    pub(crate) anonymous: bool,
}

impl Authenticator {
    /// Checks the signature of a request. Returns the signer of its chunks if the signature is
    /// in the headers; a presigned request has no signed chunks.
    pub(crate) fn check(&self, parts: &Parts, now: SystemTime) -> S3Result<Option<ChunkSigner>> {
        let Some(claim) = Claim::of(parts)? else {
            return match self.anonymous {
                true => Ok(None),
                false => Err(s3_error!(AccessDenied, "the request has no signature")),
            };
        };
        check_time(&claim, now)?;
        let Some(secret) = self.keys.get(&claim.access_key) else {
            return Err(s3_error!(InvalidAccessKeyId, "this access key is not known"));
        };
        let key = Key::derive(secret, &claim.scope, &claim.date);
        if !key.signed_request(canonical::hash(parts, &claim)?, &claim.signature) {
            return Err(s3_error!(SignatureDoesNotMatch, "the request is not what its signature covers"));
        }
        Ok((claim.location == SignatureLocation::Headers).then(|| ChunkSigner::new(key, &claim.signature)))
    }
}

fn check_time(claim: &Claim, now: SystemTime) -> S3Result<()> {
    let ahead = claim.time.duration_since(now).unwrap_or_default();
    let age = now.duration_since(claim.time).unwrap_or_default();
    match claim.location {
        _ if ahead > SKEW => Err(s3_error!(RequestTimeTooSkewed, "the request is signed for a later time")),
        SignatureLocation::Headers if age > SKEW => {
            Err(s3_error!(RequestTimeTooSkewed, "the request was signed too long ago"))
        }
        SignatureLocation::Query { expires } if age > expires => {
            Err(s3_error!(AccessDenied, "the presigned request has expired"))
        }
        _ => Ok(()),
    }
}
