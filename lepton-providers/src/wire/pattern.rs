//! Finds a secret in a text, in any encoding.

use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use lepton_core::to_hex;
use secrecy::zeroize::Zeroizing;

/// How many leading characters of a secret count as the secret where the text breaks off.
const BEGINNING: usize = 8;
/// The longest encoding of a character, in bytes.
const LONGEST: usize = 10;

/// One form of a secret. Its characters may be escaped in the text.
pub(super) struct Pattern {
    text: Zeroizing<String>,
}

/// The forms of a secret.
pub(super) fn patterns(secret: &[u8]) -> Vec<Pattern> {
    let hex = to_hex(secret);
    let mut texts = vec![hex.to_ascii_uppercase(), hex];
    texts.extend(std::str::from_utf8(secret).map(str::to_owned));
    for before in 0..3 {
        let bytes = Zeroizing::new([&[0; 3][..before], secret].concat());
        // Characters that share bits with neighbouring bytes are left out.
        let (first, end) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
        for encoded in [BASE64_STANDARD_NO_PAD.encode(&*bytes), BASE64_URL_SAFE_NO_PAD.encode(&*bytes)] {
            texts.push(encoded.get(first..end).unwrap_or_default().to_owned());
        }
    }
    texts.sort_unstable();
    texts.dedup();
    texts.into_iter().map(|text| Pattern { text: text.into() }).collect()
}

impl Pattern {
    pub(super) fn len(&self) -> usize {
        self.text.chars().count()
    }

    /// Where the secret ends in a text if it starts at `at`. A text that breaks off
    /// within the secret holds a prefix of it.
    pub(super) fn end_in(&self, text: &[u8], at: usize) -> Option<usize> {
        // The text can be ambiguous: `%25` may be an encoded `%`, or literal.
        let mut ends = vec![at];
        for (matched, character) in self.text.chars().enumerate() {
            if matched >= BEGINNING && ends.iter().any(|end| breaks_off(&text[*end..])) {
                return Some(text.len());
            }
            let mut next = Vec::new();
            for end in ends {
                for width in widths(character, &text[end..]).into_iter().flatten() {
                    if !next.contains(&(end + width)) {
                        next.push(end + width);
                    }
                }
            }
            if next.is_empty() {
                return None;
            }
            ends = next;
        }
        ends.into_iter().max()
    }
}

/// Whether a text ends here, or in the middle of an escape.
fn breaks_off(rest: &[u8]) -> bool {
    rest.is_empty() || (rest.len() < LONGEST && b"%\\&".contains(&rest[0]) && !rest.contains(&b' '))
}

/// How many bytes this character takes at the start of a text, for each encoding.
fn widths(character: char, text: &[u8]) -> [Option<usize>; 4] {
    let mut buffer = [0; 4];
    let bytes = character.encode_utf8(&mut buffer).as_bytes();
    let plain = text.starts_with(bytes) || (character == ' ' && text.first() == Some(&b'+'));
    [
        plain.then_some(bytes.len()),
        percent(bytes, text, b"%"),
        percent(bytes, text, b"%25"),
        match text.first() {
            Some(b'\\') => backslash(character, text),
            Some(b'&') => entity(character, text),
            _ => None,
        },
    ]
}

/// `%2F`, and the form it has if it is encoded again.
fn percent(bytes: &[u8], text: &[u8], sign: &[u8]) -> Option<usize> {
    let mut rest = text;
    for byte in bytes {
        rest = rest.strip_prefix(sign)?;
        if number(rest.get(..2)?, 16)? != u32::from(*byte) {
            return None;
        }
        rest = &rest[2..];
    }
    Some(text.len() - rest.len())
}

/// `\"`, `\/`, `\u002f`, `\x2f`.
fn backslash(character: char, text: &[u8]) -> Option<usize> {
    let digits = match text.get(1)? {
        b'u' => 4,
        b'x' => 2,
        escaped => return (char::from(*escaped) == character && character.is_ascii_punctuation()).then_some(2),
    };
    (number(text.get(2..2 + digits)?, 16)? == u32::from(character)).then_some(2 + digits)
}

/// `&amp;`, `&#47;`, `&#x2F;`.
fn entity(character: char, text: &[u8]) -> Option<usize> {
    let end = text.iter().take(LONGEST).position(|byte| *byte == b';')?;
    let is_it = match text.get(1..end)? {
        b"amp" => character == '&',
        b"lt" => character == '<',
        b"gt" => character == '>',
        b"quot" => character == '"',
        b"apos" => character == '\'',
        [b'#', b'x' | b'X', digits @ ..] => number(digits, 16)? == u32::from(character),
        [b'#', digits @ ..] => number(digits, 10)? == u32::from(character),
        _ => false,
    };
    is_it.then_some(end + 1)
}

fn number(digits: &[u8], radix: u32) -> Option<u32> {
    let text = std::str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'))?;
    u32::from_str_radix(text, radix).ok()
}
