//! The canonical form of a request.

use http::HeaderName;
use http::request::Parts;
use lepton_core::Sha256;
use percent_encoding::utf8_percent_encode;

use super::claim::{CONTENT_SHA256, Claim};
use crate::protocol::{PATH, Query, S3Result, s3_error};

/// The digest of the canonical form. Path and query are taken as they were sent; only what is
/// not escaped there and should be is escaped.
pub(super) fn hash(parts: &Parts, claim: &Claim) -> S3Result<Sha256> {
    let path = utf8_percent_encode(parts.uri.path(), PATH);
    let query = Query(parts.uri.query().unwrap_or_default()).canonical();
    let mut text = format!("{}\n{path}\n{query}\n", parts.method).into_bytes();
    let names: Vec<&str> = claim.signed_headers.split(';').collect();
    if !names.contains(&"host") {
        return Err(s3_error!(AccessDenied, "the signature does not cover the host"));
    }
    // The signature covers x-amz-content-sha256 in place of the body.
    let uncovered = |name: &&str| name.starts_with("x-amz-") && *name != CONTENT_SHA256 && !names.contains(name);
    if let Some(name) = parts.headers.keys().map(HeaderName::as_str).find(uncovered) {
        return Err(s3_error!(AccessDenied, "the signature does not cover the header {name}"));
    }
    for name in names {
        let mut values = parts.headers.get_all(name).iter();
        let Some(first) = values.next() else {
            return Err(s3_error!(AccessDenied, "the signature covers the header {name:?}, which was not sent"));
        };
        text.extend_from_slice(name.as_bytes());
        text.push(b':');
        push_words(&mut text, first.as_bytes());
        for value in values {
            text.push(b',');
            push_words(&mut text, value.as_bytes());
        }
        text.push(b'\n');
    }
    text.extend_from_slice(format!("\n{}\n{}", claim.signed_headers, claim.payload).as_bytes());
    Ok(Sha256::of(&text))
}

/// Appends a value without space around it, and with single spaces inside.
fn push_words(text: &mut Vec<u8>, value: &[u8]) {
    let words = value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    for (number, word) in words.enumerate() {
        if number > 0 {
            text.push(b' ');
        }
        text.extend_from_slice(word);
    }
}
