//! Finds secrets in what was printed or left, whatever form they have there. The test
//! driver uses this file too, so it needs nothing but the standard library.

use std::collections::BTreeSet;

/// Secrets in all their forms.
pub struct Search {
    /// Each form with the name of its secret.
    forms: Vec<(Vec<u8>, &'static str)>,
    /// Which pairs of bytes a form begins with, so that a text is looked at once.
    begins: Vec<bool>,
}

impl Search {
    /// For secrets, each with its name. A short one would be found where it is not.
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

    /// The names of the secrets that a text has, with where the first of each begins.
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

/// The forms in which a secret would be one still: as it is; in a URL, where some encode
/// more than they must; in hexadecimal digits; in Base64, whatever is in front of it.
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

/// What stands in Base64 for these bytes alone, where so many others are in front of them;
/// `last`: the last two of the 64 characters.
fn base64(bytes: &[u8], before: usize, last: &[u8; 2]) -> Vec<u8> {
    let letters = (b'A'..=b'Z').chain(b'a'..=b'z').chain(b'0'..=b'9').chain(last.iter().copied());
    let letters: Vec<u8> = letters.collect();
    let all = [vec![0; before], bytes.to_vec()].concat();
    let bit = |at: usize| all.get(at / 8).is_some_and(|byte| byte >> (7 - at % 8) & 1 == 1);
    let letter = |at: usize| letters[(0..6).fold(0, |value, offset| value << 1 | usize::from(bit(at * 6 + offset)))];
    // Characters that have a bit of other bytes are left out.
    ((before * 8).div_ceil(6)..all.len() * 8 / 6).map(letter).collect()
}
