//! Rules for the keys that a backend can store exactly.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::key::ObjectKey;

/// What a store does with keys of a certain form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum KeyHandling {
    /// The store keeps such keys byte for byte.
    Kept,
    /// The store refuses such keys.
    Refused,
    /// The store silently stores such keys under another name.
    Changed,
    /// It is unknown what the store does; such keys are refused to be safe.
    Unknown,
}

/// The keys that a backend can store exactly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct KeyRules {
    /// The length of the longest key, in bytes.
    pub max_bytes: usize,
    /// The length of the longest segment between slashes, in bytes.
    pub max_segment_bytes: usize,
    /// Whether keys must be UTF-8.
    pub utf8_only: bool,
    /// The most UTF-16 code units that a key may have, if the store limits these.
    #[serde(default)]
    pub max_chars: Option<usize>,
    /// Bytes that no key may contain.
    pub forbidden_bytes: Vec<u8>,
    /// Prefixes that no key may begin with.
    #[serde(default)]
    pub forbidden_prefixes: Vec<String>,
    /// Keys with control characters (below U+0020, and U+007F).
    pub control_characters: KeyHandling,
    /// Keys with an empty segment inside (`a//b`).
    pub empty_segments: KeyHandling,
    /// Keys with a `.` or `..` segment.
    pub dot_segments: KeyHandling,
    /// Keys with a segment that ends with a `.` and is not `.` or `..`.
    #[serde(default = "kept")]
    pub trailing_dots: KeyHandling,
    /// Keys that begin with `/`.
    pub leading_slash: KeyHandling,
    /// Keys that end with `/`.
    pub trailing_slash: KeyHandling,
    /// A key `a` together with a key `a/b`.
    pub file_beside_folder: KeyHandling,
    /// A key `A` together with a key `a`. A store that does not distinguish them can still
    /// hold either one alone, so [`check`](Self::check) refuses neither; a caller that writes
    /// both compares them by [`folded`](Self::folded).
    #[serde(default = "kept")]
    pub case: KeyHandling,
}

impl KeyRules {
    /// The rules of a store that keeps any key of up to `max_bytes`.
    pub fn any(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            max_segment_bytes: max_bytes,
            utf8_only: false,
            max_chars: None,
            forbidden_bytes: Vec::new(),
            forbidden_prefixes: Vec::new(),
            control_characters: KeyHandling::Kept,
            empty_segments: KeyHandling::Kept,
            dot_segments: KeyHandling::Kept,
            trailing_dots: KeyHandling::Kept,
            leading_slash: KeyHandling::Kept,
            trailing_slash: KeyHandling::Kept,
            file_beside_folder: KeyHandling::Kept,
            case: KeyHandling::Kept,
        }
    }

    /// A form of the key that is equal for two keys that this store does not distinguish: the
    /// key itself, or its case-folded text if the store does not preserve case.
    ///
    /// Two spellings of one accented letter (NFC and NFD) stay different.
    pub fn folded(&self, key: &ObjectKey) -> Bytes {
        if self.case == KeyHandling::Kept {
            return key.to_bytes();
        }
        let mut folded = Vec::with_capacity(key.as_bytes().len());
        for chunk in key.as_bytes().utf8_chunks() {
            // To lower, upper and lower case: this equates `ẞ`, `ß` and `SS`, and `K`, `k` and the
            // Kelvin sign.
            let text = chunk.valid().chars().flat_map(char::to_lowercase);
            let text: String = text.flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect();
            folded.extend_from_slice(text.as_bytes());
            folded.extend_from_slice(chunk.invalid());
        }
        folded.into()
    }

    /// Refuses a key that the backend would not store exactly as it is.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidKey`], naming the key and the rule.
    pub fn check(&self, key: &ObjectKey) -> Result<()> {
        let refuse = |why: String| Err(Error::new(ErrorKind::InvalidKey, why).with_context("key", key));
        let bytes = key.as_bytes();
        if bytes.len() > self.max_bytes {
            return refuse(format!("the key has {} bytes; this store allows {}", bytes.len(), self.max_bytes));
        }
        let chars = || String::from_utf8_lossy(bytes).encode_utf16().count();
        if let Some((most, found)) = self.max_chars.map(|most| (most, chars())).filter(|(most, found)| found > most) {
            return refuse(format!("the key has {found} characters; this store allows {most}"));
        }
        if let Some(prefix) = self.forbidden_prefixes.iter().find(|prefix| bytes.starts_with(prefix.as_bytes())) {
            return refuse(format!("the key begins with {prefix:?}, which this store forbids"));
        }
        if self.utf8_only && key.as_str().is_none() {
            return refuse("the key is not UTF-8, which this store requires".into());
        }
        if let Some(byte) = bytes.iter().find(|byte| self.forbidden_bytes.contains(byte)) {
            return refuse(format!("the key holds the byte 0x{byte:02x}, which this store forbids"));
        }
        if let Some(long) = bytes.split(|b| *b == b'/').map(<[u8]>::len).find(|n| *n > self.max_segment_bytes) {
            return refuse(format!("a name in the key has {long} bytes; this store allows {}", self.max_segment_bytes));
        }
        self.forms(bytes).into_iter().find(|(found, handling, _)| *found && *handling != KeyHandling::Kept).map_or(
            Ok(()),
            |(_, handling, form)| {
                let fate = match handling {
                    KeyHandling::Refused => "this store refuses such keys",
                    KeyHandling::Changed => "this store would silently store it under another name",
                    _ => "it is not known whether this store keeps such keys; name its server with `preset`, or set its `capabilities`",
                };
                refuse(format!("the key {form}; {fate}"))
            },
        )
    }

    fn forms(&self, bytes: &[u8]) -> [(bool, KeyHandling, &'static str); 6] {
        let control = bytes.iter().any(u8::is_ascii_control);
        let inner = bytes.strip_prefix(b"/").unwrap_or(bytes);
        let inner = inner.strip_suffix(b"/").unwrap_or(inner);
        let empty = bytes == b"/" || bytes == b"//" || bytes.windows(2).any(|pair| pair == b"//");
        let is_dots = |segment: &[u8]| segment == b"." || segment == b"..";
        let dots = inner.split(|b| *b == b'/').any(is_dots);
        let dotted = bytes.split(|b| *b == b'/').any(|segment| segment.ends_with(b".") && !is_dots(segment));
        [
            (control, self.control_characters, "holds a control character"),
            (bytes.starts_with(b"/"), self.leading_slash, "begins with `/`"),
            (bytes.ends_with(b"/"), self.trailing_slash, "ends with `/`"),
            (empty, self.empty_segments, "has an empty segment (`//`)"),
            (dots, self.dot_segments, "has a `.` or `..` segment"),
            (dotted, self.trailing_dots, "has a segment that ends with `.`"),
        ]
    }
}

fn kept() -> KeyHandling {
    KeyHandling::Kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> ObjectKey {
        ObjectKey::try_from(text).unwrap()
    }

    #[test]
    fn each_rule_refuses_its_form_and_names_it() {
        let mut rules = KeyRules::any(20);
        rules.max_segment_bytes = 10;
        rules.forbidden_bytes = vec![0];
        rules.control_characters = KeyHandling::Refused;
        rules.empty_segments = KeyHandling::Refused;
        rules.dot_segments = KeyHandling::Unknown;
        rules.leading_slash = KeyHandling::Changed;
        rules.trailing_slash = KeyHandling::Refused;
        rules.max_chars = Some(16);
        rules.forbidden_prefixes = vec!["secret/".into()];
        rules.case = KeyHandling::Changed;
        for (text, says) in [
            ("secret/", "begins with \"secret/\""),
            ("1234567890/123456", "17 characters; this store allows 16"),
            ("a/\u{1}b", "control"),
            ("a\0b", "0x00"),
            ("a//b", "//"),
            ("a/../b", ".."),
            ("./b", "not known"),
            ("/b", "another name"),
            ("b/", "ends with"),
            ("12345678901", "11 bytes"),
            ("1234567890/1234567890", "21 bytes"),
        ] {
            let error = rules.check(&key(text)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidKey);
            assert!(error.to_string().contains(says), "{text}: {error}");
        }
        for text in ["a", "a/b", "a.b/..c", "ü", "A", "1234567890/12345", "ääää/ääää", "a/secret/b", "secret"]
        {
            rules.check(&key(text)).unwrap();
        }
    }

    #[test]
    fn keys_that_differ_in_case_alone_fold_into_one() {
        let mut rules = KeyRules::any(1024);
        assert_eq!(rules.folded(&key("Ab")), "Ab");
        rules.case = KeyHandling::Changed;
        let all = ["Straße/K", "STRASSE/k", "STRAẞE/\u{212a}", "straſſe/K"];
        assert!(all.iter().all(|name| rules.folded(&key(name)) == "strasse/k"), "{all:?}");
        assert_eq!(rules.folded(&key("ΟΔΟΣ")), rules.folded(&key("οδος")));
        assert_eq!(rules.folded(&ObjectKey::new(b"A\xffB".to_vec()).unwrap()), &b"a\xffb"[..]);
        assert_ne!(rules.folded(&key("a")), rules.folded(&key("b")));
    }
}
