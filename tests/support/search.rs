//! Finds secrets in output and in files, in any encoding. The test driver uses this file too,
//! so it needs only the standard library.

use std::collections::BTreeSet;

/// Secrets in all their encodings.
pub struct Search {
    /// Each encoded form with the name of its secret.
    forms: Vec<(Vec<u8>, &'static str)>,
    /// Whether a form begins with a given pair of bytes, so that a single pass over a text
    /// suffices.
    begins: Vec<bool>,
}

impl Search {
    /// Creates a search for secrets, each with its name. Short secrets are refused because they
    /// would match by chance.
    pub fn new<'a>(secrets: impl IntoIterator<Item = (&'static str, &'a str)>) -> Self {
        let mut search = Self { forms: Vec::new(), begins: vec![false; 1 << 16] };
        for (name, secret) in secrets {
            assert!(secret.len() >= 8, "{name} is too short to be looked for");
            for form in forms(secret.as_bytes()) {
                search.begins[pair(&form)] = true;
                search.forms.push((form, name));
            }
        }
        search
    }

    /// The names of the secrets in a text, each with the offset of its first occurrence.
    pub fn found(&self, text: &[u8]) -> Vec<(&'static str, usize)> {
        let (mut names, mut found) = (BTreeSet::new(), Vec::new());
        for at in 0..text.len().saturating_sub(1) {
            let rest = &text[at..];
            if self.begins[pair(rest)] {
                for (_, name) in self.forms.iter().filter(|(form, _)| rest.starts_with(form)) {
                    if names.insert(*name) {
                        found.push((*name, at));
                    }
                }
            }
        }
        found
    }
}

fn pair(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) << 8 | usize::from(bytes[1])
}

/// The forms in which a secret could still be read: plain; in a URL, where some programs encode
/// more than necessary; in hexadecimal digits; in Base64 after any other bytes.
fn forms(secret: &[u8]) -> BTreeSet<Vec<u8>> {
    let encoded = |kept: &[u8], digits: &[u8; 16]| -> Vec<u8> {
        let byte = |byte: &u8| match byte.is_ascii_alphanumeric() || kept.contains(byte) {
            true => vec![*byte],
            false => [vec![b'%'], hex(*byte, digits)].concat(),
        };
        secret.iter().flat_map(byte).collect()
    };
    let mut forms = BTreeSet::from([secret.to_vec()]);
    for digits in [LOWER, UPPER] {
        forms.insert(secret.iter().flat_map(|byte| hex(*byte, digits)).collect());
        for kept in [&b""[..], b"-._~", b"-._~/", b"-._~+/="] {
            forms.insert(encoded(kept, digits));
        }
    }
    for alphabet in [b"+/", b"-_"] {
        forms.extend((0..3).map(|before| base64(secret, before, alphabet)));
    }
    forms
}

const LOWER: &[u8; 16] = b"0123456789abcdef";
const UPPER: &[u8; 16] = b"0123456789ABCDEF";

fn hex(byte: u8, digits: &[u8; 16]) -> Vec<u8> {
    vec![digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]
}

/// The Base64 characters that depend only on these bytes, if they follow `before` other bytes;
/// `last`: the last two of the 64 characters.
fn base64(bytes: &[u8], before: usize, last: &[u8; 2]) -> Vec<u8> {
    let letters = (b'A'..=b'Z').chain(b'a'..=b'z').chain(b'0'..=b'9').chain(last.iter().copied());
    let letters: Vec<u8> = letters.collect();
    let all = [vec![0; before], bytes.to_vec()].concat();
    let bit = |at: usize| all.get(at / 8).is_some_and(|byte| byte >> (7 - at % 8) & 1 == 1);
    let letter = |at: usize| letters[(0..6).fold(0, |value, offset| value << 1 | usize::from(bit(at * 6 + offset)))];
    // Characters that also encode bits of other bytes are omitted.
    ((before * 8).div_ceil(6)..all.len() * 8 / 6).map(letter).collect()
}
