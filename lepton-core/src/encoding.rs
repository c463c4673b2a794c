//! Encodes keys that a store cannot hold as keys that it can.

use percent_encoding::percent_decode;

use crate::key::{KeyPrefix, ObjectKey};
use crate::key_rules::{KeyHandling, KeyRules};

impl KeyRules {
    /// Encodes the key so that this store can hold it. Each byte that the store cannot hold
    /// at all, or not in that position, becomes a `%` and two hexadecimal digits; so does `%`
    /// itself. Percent-decoding (RFC 3986, section 2.1) restores the key and needs no
    /// knowledge of the rules: see [`decode`](Self::decode).
    ///
    /// Two different keys never have the same encoding. Encoding cannot help a key that is too
    /// long, or becomes so, or that exists next to a folder of its name; [`check`](Self::check)
    /// refuses such keys. If the store does not preserve case, upper-case letters are escaped
    /// too, and so are all non-ASCII characters, because such stores often treat two spellings
    /// of one character as the same.
    ///
    /// ```
    /// use lepton_core::{KeyHandling, KeyRules, ObjectKey};
    /// let mut rules = KeyRules::any(1024);
    /// rules.empty_segments = KeyHandling::Refused;
    /// rules.dot_segments = KeyHandling::Refused;
    /// let key = ObjectKey::new("a//../100%")?;
    /// let written = rules.encode(&key);
    /// assert_eq!(written.as_bytes(), b"a/%2F%2E%2E/100%25");
    /// assert_eq!(KeyRules::decode(&written), key);
    /// # Ok::<(), lepton_core::Error>(())
    /// ```
    pub fn encode(&self, key: &ObjectKey) -> ObjectKey {
        self.encode_below(&KeyPrefix::default(), key)
    }

    /// Encodes the name of a key below `folder` as [`encode`](Self::encode) does. The folder
    /// itself is not changed but counts as context: `/x` below `a/` has an empty segment.
    pub fn encode_below(&self, folder: &KeyPrefix, name: &ObjectKey) -> ObjectKey {
        let bytes = name.as_bytes();
        let forbidden = self.is_forbidden(folder.as_bytes(), bytes);
        let above = folder.as_bytes().last().copied();
        let mut written: Vec<u8> = Vec::with_capacity(bytes.len() + 8);
        let raw = self.utf8_only || self.case != KeyHandling::Kept;
        let mut at = 0;
        for chunk in bytes.utf8_chunks() {
            for (offset, byte) in chunk.valid().bytes().enumerate() {
                let first = forbidden && at + offset == 0;
                let escaped = first || self.escapes(bytes, at + offset, written.last().copied().or(above));
                self.push(&mut written, byte, escaped);
            }
            at += chunk.valid().len();
            chunk.invalid().iter().for_each(|byte| self.push(&mut written, *byte, raw));
            at += chunk.invalid().len();
        }
        // The encoding is at least as long as the name, so it is not empty.
        ObjectKey::new(written).unwrap_or_else(|_| name.clone())
    }

    /// Whether the name makes the key begin with a forbidden prefix.
    fn is_forbidden(&self, folder: &[u8], name: &[u8]) -> bool {
        let below_folder = |prefix: &String| prefix.as_bytes().strip_prefix(folder).map(<[u8]>::to_vec);
        self.forbidden_prefixes.iter().filter_map(below_folder).any(|rest| name.starts_with(&rest))
    }

    /// The key that [`encode`](Self::encode) encoded as `written`.
    pub fn decode(written: &ObjectKey) -> ObjectKey {
        let bytes: Vec<u8> = percent_decode(written.as_bytes()).collect();
        ObjectKey::new(bytes).unwrap_or_else(|_| written.clone())
    }

    fn push(&self, written: &mut Vec<u8>, byte: u8, escaped: bool) {
        if escaped || self.forbidden_bytes.contains(&byte) {
            const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
            written.extend([b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        } else {
            written.push(byte);
        }
    }

    /// Whether the byte at `at` must be escaped after `before`, the last byte written.
    fn escapes(&self, key: &[u8], at: usize, before: Option<u8>) -> bool {
        let lost = |handling: KeyHandling| handling != KeyHandling::Kept;
        match key[at] {
            b'%' => true,
            b'/' => {
                (at == 0 && lost(self.leading_slash))
                    || (at + 1 == key.len() && lost(self.trailing_slash))
                    || (lost(self.empty_segments) && (before == Some(b'/') || key == b"/"))
            }
            b'.' => {
                let (segment, offset) = segment(key, at);
                (lost(self.dot_segments) && (segment == b"." || segment == b".."))
                    || (lost(self.trailing_dots) && offset + 1 == segment.len())
            }
            byte if byte.is_ascii_uppercase() || !byte.is_ascii() => lost(self.case),
            byte => byte.is_ascii_control() && lost(self.control_characters),
        }
    }
}

/// The segment of a key that contains the byte at `at`, and the byte's offset in it.
fn segment(key: &[u8], at: usize) -> (&[u8], usize) {
    let begin = key[..at].iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    let end = key[at..].iter().position(|byte| *byte == b'/').map_or(key.len(), |slash| at + slash);
    (&key[begin..end], at - begin)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn strict() -> KeyRules {
        let mut rules = KeyRules::any(4096);
        rules.utf8_only = true;
        rules.forbidden_bytes = b"\\:".to_vec();
        rules.control_characters = KeyHandling::Unknown;
        rules.empty_segments = KeyHandling::Refused;
        rules.dot_segments = KeyHandling::Refused;
        rules.trailing_dots = KeyHandling::Changed;
        rules.leading_slash = KeyHandling::Changed;
        rules.trailing_slash = KeyHandling::Refused;
        rules
    }

    #[test]
    fn what_stands_in_the_documents() {
        for (key, written) in [
            ("a/b.txt", "a/b.txt"),
            ("100%", "100%25"),
            ("a//b", "a/%2Fb"),
            ("/a", "%2Fa"),
            ("a/", "a%2F"),
            ("/", "%2F"),
            ("//", "%2F%2F"),
            ("a///b", "a/%2F/b"),
            ("./a/..", "%2E/a/%2E%2E"),
            ("a./b..", "a%2E/b.%2E"),
            ("a\n", "a%0A"),
            ("c:\\d", "c%3A%5Cd"),
            ("größe", "größe"),
        ] {
            let encoded = strict().encode(&ObjectKey::try_from(key).unwrap());
            assert_eq!(encoded.as_str(), Some(written), "{key}");
            strict().check(&encoded).unwrap();
        }
        let odd = ObjectKey::new(b"a\xff".to_vec()).unwrap();
        assert_eq!(strict().encode(&odd).as_bytes(), b"a%FF");
    }

    #[test]
    fn a_name_is_written_for_where_it_stands() {
        let mut rules = KeyRules::any(4096);
        rules.empty_segments = KeyHandling::Refused;
        rules.forbidden_prefixes = vec![".well-known/acme/".into()];
        for (folder, name, written) in [
            ("", "/x", "/x"),
            ("out/", "/x", "%2Fx"),
            ("out/", "/", "%2F"),
            ("out/", "a//", "a/%2F"),
            ("", ".well-known/acme/x", "%2Ewell-known/acme/x"),
            ("", ".well-known/other", ".well-known/other"),
            ("out/", ".well-known/acme/x", ".well-known/acme/x"),
            (".well-known/", "acme/x", "%61cme/x"),
        ] {
            let key = ObjectKey::try_from(name).unwrap();
            let encoded = rules.encode_below(&folder.into(), &key);
            assert_eq!(encoded.as_str(), Some(written), "{name} behind {folder}");
            rules.check(&encoded.prefixed(&folder.into())).unwrap();
            assert_eq!(KeyRules::decode(&encoded), key);
        }
        rules.case = KeyHandling::Changed;
        let encoded = rules.encode(&ObjectKey::try_from("Ab/Ü%c3").unwrap());
        assert_eq!(encoded.as_str(), Some("%41b/%C3%9C%25c3"));
    }

    proptest! {
        #[test]
        fn any_key_is_held_and_read_back(
            bytes in proptest::collection::vec(prop_oneof![Just(b'/'), Just(b'.'), Just(b'%'), any::<u8>()], 1..40),
            strict in proptest::collection::vec(any::<bool>(), 9),
            folder in prop_oneof![Just(""), Just("out/"), Just("./")],
        ) {
            let key = ObjectKey::new(bytes).unwrap();
            let mut rules = KeyRules::any(4096);
            let handling = |strict: bool| if strict { KeyHandling::Refused } else { KeyHandling::Kept };
            rules.utf8_only = strict[0];
            rules.control_characters = handling(strict[1]);
            rules.empty_segments = handling(strict[2]);
            rules.dot_segments = handling(strict[3]);
            rules.trailing_dots = handling(strict[4]);
            rules.leading_slash = handling(strict[5]);
            rules.trailing_slash = handling(strict[6]);
            rules.case = handling(strict[7]);
            rules.forbidden_prefixes.extend(strict[8].then(|| "./".to_owned()));
            let folder = if folder == "./" && (strict[3] || strict[8]) { "" } else { folder };
            let written = rules.encode_below(&folder.into(), &key);
            prop_assert!(rules.check(&written.prefixed(&folder.into())).is_ok(), "{} as {}", key, written);
            prop_assert_eq!(KeyRules::decode(&written), key);
        }

        #[test]
        fn no_two_keys_are_written_alike_where_case_is_not_kept(
            [a, b] in proptest::array::uniform2(proptest::collection::vec(
                prop_oneof![Just('a'), Just('A'), Just('%'), Just('4'), Just('1'), Just('ß'), Just('\u{212a}'), any::<char>()],
                1..8,
            )),
        ) {
            let mut rules = KeyRules::any(4096);
            rules.case = KeyHandling::Changed;
            let [a, b] = [a, b].map(|key| ObjectKey::new(String::from_iter(key)).unwrap());
            let same = rules.folded(&rules.encode(&a)) == rules.folded(&rules.encode(&b));
            prop_assert_eq!(same, a == b, "{} and {}", a, b);
        }
    }
}
