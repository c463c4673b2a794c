//! Servers that say the secrets that they were sent: no form of one gets into an error.

#![cfg(all(feature = "s3", feature = "azure", feature = "gcs", feature = "http"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

mod server;
mod stores;
mod tokens;

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE, Engine as _};
use lepton_core::{Error, ObjectKey, to_hex};

pub(crate) fn key() -> ObjectKey {
    ObjectKey::try_from("k").unwrap()
}

/// The forms in which a server may say a secret, each of which fits into a header.
pub(crate) fn forms(secret: &str) -> Vec<String> {
    let percent = |byte: u8| match byte.is_ascii_alphanumeric() {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    let each = |write: fn(char) -> String| secret.chars().map(write).collect::<String>();
    vec![
        secret.to_owned(),
        secret.bytes().map(percent).collect(),
        secret.bytes().map(|byte| percent(byte).replace('%', "%25")).collect(),
        each(
            |letter| if letter.is_ascii_alphanumeric() { letter.into() } else { format!("%{:02x}", u32::from(letter)) },
        ),
        each(|letter| format!("\\u{:04x}", u32::from(letter))),
        secret.replace('/', "\\/"),
        each(|letter| format!("&#{};", u32::from(letter))),
        to_hex(secret.as_bytes()),
        BASE64_STANDARD.encode(secret),
        BASE64_URL_SAFE.encode(format!("user:{secret}:")),
    ]
}

pub(crate) fn xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

/// Fails if anything that an error says has this form of a secret, or its middle, which
/// Base64 would show where other bytes are around it.
pub(crate) fn assert_hidden(error: &Error, form: &str, what: &str) {
    let said = format!("{error} {error:?} {}", error.full_message());
    let middle = &form[form.len() / 4..form.len() * 3 / 4];
    assert!(!said.contains(form) && !said.contains(middle), "{what}: {said}");
    assert!(said.contains('…'), "{what}: nothing was said: {said}");
}
