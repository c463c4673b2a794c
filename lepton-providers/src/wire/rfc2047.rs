//! Metadata that is not ASCII.
//!
//! Amazon S3 decodes such values by RFC 2047, and encodes them in its responses ("Working
//! with object metadata" in its user guide). Other stores keep the encoded text, which
//! decodes to the same value.

use std::borrow::Cow;

use base64::prelude::{BASE64_STANDARD, Engine as _};

/// The most bytes of text in one encoded word, which keeps the word within 75 characters.
const WORD: usize = 45;

/// A value as written in a header.
pub(crate) fn encode(value: &str) -> Cow<'_, str> {
    let plain = value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if plain && value.trim() == value && !value.contains("=?") {
        return Cow::Borrowed(value);
    }
    let mut text = String::new();
    let mut rest = value;
    while !rest.is_empty() {
        let (word, more) = rest.split_at(rest.floor_char_boundary(WORD));
        text.push_str(if text.is_empty() { "=?UTF-8?B?" } else { " =?UTF-8?B?" });
        BASE64_STANDARD.encode_string(word, &mut text);
        text.push_str("?=");
        rest = more;
    }
    Cow::Owned(text)
}

/// The value of a header. Text that is not an encoded word stays unchanged.
pub(crate) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    let mut after_word = false;
    while let Some(at) = rest.find("=?") {
        let (before, candidate) = rest.split_at(at);
        let Some((word, more)) = decode_word(candidate) else {
            bytes.extend_from_slice(before.as_bytes());
            bytes.extend_from_slice(b"=?");
            rest = candidate.get(2..).unwrap_or_default();
            after_word = false;
            continue;
        };
        // Spaces between two words only separate them.
        if !(after_word && before.trim().is_empty()) {
            bytes.extend_from_slice(before.as_bytes());
        }
        bytes.extend(word);
        rest = more;
        after_word = true;
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// The bytes of the encoded word at the start of `text`, and what follows it.
fn decode_word(text: &str) -> Option<(Vec<u8>, &str)> {
    let (charset, rest) = text.strip_prefix("=?")?.split_once('?')?;
    let (encoding, rest) = rest.split_once('?')?;
    let (content, rest) = rest.split_once("?=")?;
    if !charset.eq_ignore_ascii_case("utf-8") {
        return None;
    }
    let bytes = match encoding {
        "B" | "b" => BASE64_STANDARD.decode(content).ok()?,
        "Q" | "q" => {
            let escaped = content.replace('%', "%25").replace('_', " ").replace('=', "%");
            percent_encoding::percent_decode_str(&escaped).collect()
        }
        _ => return None,
    };
    Some((bytes, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_words() {
        assert_eq!(encode("plain value"), "plain value");
        assert_eq!(encode("ä"), "=?UTF-8?B?w6Q=?=");
        for (text, value) in [
            ("=?UTF-8?Q?=C3=A4_100%?=", "ä 100%"),
            ("=?utf-8?b?w6Q=?= =?UTF-8?B?w6Q=?=", "ää"),
            ("a =?UTF-8?B?w6Q=?= b", "a ä b"),
            ("=?latin1?B?w6Q=?=", "=?latin1?B?w6Q=?="),
            ("=?UTF-8?B", "=?UTF-8?B"),
        ] {
            assert_eq!(decode(text), value);
        }
    }

    proptest! {
        #[test]
        fn every_value_survives_in_ascii_words_of_the_right_length(value in any::<String>()) {
            let text = encode(&value).into_owned();
            prop_assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            prop_assert!(text == value || text.split(' ').all(|word| word.len() <= 75));
            prop_assert_eq!(decode(&text), value);
        }

        #[test]
        fn no_text_panics(text in "[=?UTF8bBqQ_ a-c-]*") {
            decode(&text);
        }
    }
}
