//! Metadata that is not ASCII: S3 decodes it by RFC 2047, and encodes it in its replies.

use std::borrow::Cow;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::percent_decode_str;

/// The most bytes of text in one encoded word, which keeps the word within 75 characters.
const WORD: usize = 45;

/// The value as a header can carry it.
pub(crate) fn encode_words(value: &str) -> Cow<'_, str> {
    let plain = value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if plain && value.trim() == value && !value.starts_with("=?") {
        return Cow::Borrowed(value);
    }
    let mut words = Vec::new();
    let mut rest = value;
    while !rest.is_empty() {
        let (word, more) = rest.split_at(rest.floor_char_boundary(WORD));
        words.push(format!("=?UTF-8?B?{}?=", BASE64_STANDARD.encode(word)));
        rest = more;
    }
    Cow::Owned(words.join(" "))
}

/// The value of a header. A value that does not consist of encoded words is returned unchanged.
pub(crate) fn decode_words(text: &str) -> String {
    let bytes: Option<Vec<_>> = text.split_ascii_whitespace().map(word).collect();
    let decoded = bytes.and_then(|bytes| String::from_utf8(bytes.concat()).ok());
    decoded.unwrap_or_else(|| text.to_owned())
}

fn word(text: &str) -> Option<Vec<u8>> {
    let (charset, rest) = text.strip_prefix("=?")?.strip_suffix("?=")?.split_once('?')?;
    let (encoding, content) = rest.split_once('?').filter(|_| charset.eq_ignore_ascii_case("utf-8"))?;
    match encoding {
        "B" | "b" => BASE64_STANDARD.decode(content).ok(),
        "Q" | "q" => {
            let escaped = content.replace('%', "%25").replace('_', " ").replace('=', "%");
            Some(percent_decode_str(&escaped).collect())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_words() {
        assert_eq!(encode_words("plain value"), "plain value");
        assert_eq!(encode_words("ä"), "=?UTF-8?B?w6Q=?=");
        for (text, value) in [
            ("=?utf-8?q?=C3=A4_100%?=", "ä 100%"),
            ("=?UTF-8?B?w6Q=?= =?UTF-8?b?w6Q=?=", "ää"),
            ("=?latin1?B?w6Q=?=", "=?latin1?B?w6Q=?="),
            ("=?UTF-8?B?=", "=?UTF-8?B?="),
            ("plain  value", "plain  value"),
            ("", ""),
        ] {
            assert_eq!(decode_words(text), value);
        }
    }

    proptest! {
        #[test]
        fn every_value_survives_in_ascii(value: String) {
            let text = encode_words(&value).into_owned();
            prop_assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            prop_assert_eq!(decode_words(&text), value);
        }
    }
}
