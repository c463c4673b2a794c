//! The secrets of a request, which no server message may bring into an error or a log.
//!
//! A client names the secrets that it sent. The server's messages are searched for them
//! in every encoding that still reveals them: as they are, percent-encoded, escaped as in
//! JSON and XML, in hexadecimal digits, and in Base64 at any offset. `pattern` finds one
//! secret; this module decides which secrets are searched for, and in which texts.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::{HeaderMap, HeaderValue};
use lepton_core::Error;
use percent_encoding::percent_decode_str;
use secrecy::zeroize::Zeroizing;

use super::pattern::{Pattern, patterns};

/// The shortest secret that is searched for, in characters: a shorter one would match
/// unrelated words.
const SHORTEST: usize = 4;
/// The shortest value in the query of a web server's URL that is treated as a secret,
/// because the meaning of its parameters is unknown.
const SHORTEST_VALUE: usize = 8;
/// Replaces a secret.
const HIDDEN: char = '…';

/// The longest server message that is passed on, in characters.
const LONGEST_MESSAGE: usize = 300;
/// The most of a message that is searched, in bytes.
const MOST_SEARCHED: usize = 16 << 10;

/// The secrets that a request was sent with.
#[derive(Clone, Default)]
pub(crate) struct Secrets {
    parts: Vec<Part>,
}

#[derive(Clone)]
enum Part {
    Text(Zeroizing<String>),
    Header(HeaderValue),
}

impl Secrets {
    /// Adds this text, unchanged and percent-decoded.
    pub(crate) fn text(mut self, secret: &str) -> Self {
        self.parts.push(Part::Text(secret.trim().to_owned().into()));
        self
    }

    /// Adds the secrets in the value of a header: a token, the password or signature in
    /// an `Authorization`, the signature in an address.
    pub(crate) fn header(mut self, value: Option<&HeaderValue>) -> Self {
        self.parts.extend(value.cloned().map(Part::Header));
        self
    }

    /// Adds the headers that are marked as sensitive.
    pub(crate) fn headers(mut self, headers: &HeaderMap) -> Self {
        self.parts.extend(headers.values().filter(|value| value.is_sensitive()).cloned().map(Part::Header));
        self
    }

    /// Adds the signatures and tokens in a query.
    pub(crate) fn query(mut self, query: &str) -> Self {
        self.parts.extend(pairs(query).filter(|(name, _)| is_secret(name)).map(|(_, value)| part(value)));
        self
    }

    /// Adds the values of a query that may grant access, where it is unknown which of
    /// them are secret.
    pub(crate) fn any_query(mut self, query: &str) -> Self {
        let long = pairs(query).filter(|(_, value)| value.len() >= SHORTEST_VALUE).map(|(_, value)| value);
        self.parts.extend(long.chain((query.len() >= SHORTEST_VALUE).then_some(query)).map(part));
        self.query(query)
    }

    /// Whether a text contains one of them.
    pub(crate) fn are_in(&self, text: &str) -> bool {
        replaced(&self.patterns(), text).is_some()
    }

    /// A text without them.
    pub(crate) fn hide(&self, text: &str) -> String {
        replaced(&self.patterns(), text).unwrap_or_else(|| text.to_owned())
    }

    /// A server message in displayable form: one short line without secrets.
    pub(crate) fn printable(&self, text: &str) -> String {
        let text: String = text.chars().filter(|character| !character.is_control()).collect();
        // A secret that is cut off here is found by its first characters.
        let searched = &text[..text.floor_char_boundary(MOST_SEARCHED)];
        let shown = replaced(&self.patterns(), searched).unwrap_or_else(|| searched.to_owned());
        shown.chars().take(LONGEST_MESSAGE).collect()
    }

    /// An error without secrets in any of its texts.
    pub(crate) fn hidden(&self, error: Error) -> Error {
        let patterns = self.patterns();
        error.with_texts(&|text| replaced(&patterns, text))
    }

    fn patterns(&self) -> Vec<Pattern> {
        let mut secrets: Vec<Zeroizing<Vec<u8>>> = Vec::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => add(&mut secrets, text),
                Part::Header(value) => in_header(value.as_bytes(), &mut secrets),
            }
        }
        secrets.retain(|secret| secret.len() >= SHORTEST);
        secrets.sort_unstable_by(|a, b| a.as_slice().cmp(b.as_slice()));
        secrets.dedup();
        secrets.iter().flat_map(|secret| patterns(secret)).filter(|pattern| pattern.len() >= SHORTEST).collect()
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets")
    }
}

fn part(text: &str) -> Part {
    Part::Text(text.to_owned().into())
}

fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter_map(|pair| pair.split_once('='))
}

/// Whether a parameter's name marks it as a secret: `sig` of Azure, `X-Amz-Signature` and
/// `X-Amz-Security-Token` of Amazon, `X-Goog-Signature` of Google, `access_token`.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == "sig" || ["signature", "token", "secret", "passw"].iter().any(|word| name.contains(word))
}

fn add(secrets: &mut Vec<Zeroizing<Vec<u8>>>, text: &str) {
    secrets.push(text.as_bytes().to_vec().into());
    if text.contains('%') {
        secrets.push(percent_decode_str(text).collect::<Vec<u8>>().into());
    }
    // The bytes of a key in Base64 are a secret, too.
    if let Ok(bytes) = BASE64_STANDARD.decode(text)
        && bytes.len() >= 2 * SHORTEST_VALUE
    {
        secrets.push(bytes.into());
    }
}

/// The secrets in the value of a header.
fn in_header(value: &[u8], secrets: &mut Vec<Zeroizing<Vec<u8>>>) {
    let Ok(text) = std::str::from_utf8(value) else { return secrets.push(value.to_vec().into()) };
    if let Some((_, query)) = text.split_once('?').filter(|_| text.contains("://")) {
        return pairs(query).filter(|(name, _)| is_secret(name)).for_each(|(_, value)| add(secrets, value));
    }
    if let Some((_, signature)) = text.split_once("Signature=") {
        return add(secrets, signature);
    }
    match text.split_once(' ') {
        None => add(secrets, text),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("basic") => {
            add(secrets, rest);
            let decoded = BASE64_STANDARD.decode(rest).map(Zeroizing::new).unwrap_or_default();
            let password = decoded.splitn(2, |byte| *byte == b':').nth(1).unwrap_or_default();
            secrets.push(password.to_vec().into());
        }
        Some((scheme, rest)) if scheme.starts_with("SharedKey") => {
            add(secrets, rest.rsplit(':').next().unwrap_or_default());
        }
        Some((_, rest)) => add(secrets, rest),
    }
}

/// A text with all matches replaced; `None` if there are none.
fn replaced(patterns: &[Pattern], text: &str) -> Option<String> {
    let (mut shown, mut at, mut found) = (String::new(), 0, false);
    while let Some(character) = text[at..].chars().next() {
        let end = patterns.iter().filter_map(|pattern| pattern.end_in(text.as_bytes(), at)).max();
        match end {
            Some(end) => {
                if !shown.ends_with(HIDDEN) {
                    shown.push(HIDDEN);
                }
                (at, found) = (end, true);
            }
            None => {
                shown.push(character);
                at += character.len_utf8();
            }
        }
    }
    found.then_some(shown)
}

#[cfg(test)]
#[path = "secrets_tests.rs"]
mod tests;
