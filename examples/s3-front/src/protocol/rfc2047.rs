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
    if plain && value.trim() == value && !contains_word(value) {
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

/// Whether a reader could take a part of the value for an encoded word, `=?charset?B|Q?text?=`.
/// Some readers decode words of any length within other text.
fn contains_word(value: &str) -> bool {
    value.match_indices("=?").any(|(at, start)| {
        let mut fields = value[at + start.len()..].splitn(3, '?');
        let (charset, encoding, rest) = (fields.next(), fields.next(), fields.next());
        charset.is_some_and(|charset| !charset.is_empty() && !charset.contains(char::is_whitespace))
            && matches!(encoding, Some("B" | "b" | "Q" | "q"))
            && rest.is_some_and(|rest| rest.contains("?="))
    })
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
        for plain in
            ["=?", "a=?b", "=?UTF-8", "=?UTF-8?B?", "=?UTF-8?B?=", "=?UTF-8?X?w6Q=?=", "=?a b?Q?c?=", "=??Q?c?="]
        {
            assert_eq!((&*encode_words(plain), &*decode_words(plain)), (plain, plain));
        }
        for word in ["=?UTF-8?B?w6Q=?=", "=?utf-8?q?a?=", "a =?UTF-8?Q?=C3=A4?= b", "=?x=?UTF-8?B?w6Q=?="] {
            assert_ne!(encode_words(word), word);
            assert_eq!(decode_words(&encode_words(word)), word);
        }
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
