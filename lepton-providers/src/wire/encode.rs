//! Percent-encoding as request signing requires it.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

/// Everything but the unreserved characters of RFC 3986.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The same, except for the slash between the segments of a key.
const PATH: &AsciiSet = &QUERY.remove(b'/');

/// Appends a key to a path.
pub(crate) fn push_path(path: &mut String, key: &[u8]) {
    path.extend(percent_encode(key, PATH));
}

/// A key or value as written in a path, header or query.
pub(crate) fn encode_path(key: &[u8]) -> String {
    percent_encode(key, PATH).to_string()
}

/// A value as written in a query.
pub(crate) fn encode_query(value: &[u8]) -> String {
    percent_encode(value, QUERY).to_string()
}

/// The query of a request in canonical form: encoded, sorted by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    pairs: Vec<(&'static str, String)>,
    /// Appended after all pairs, unchanged.
    rest: String,
}

impl Query {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a parameter; the value is encoded here.
    pub(crate) fn with(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        self.push(name, value);
        self
    }

    pub(crate) fn push(&mut self, name: &'static str, value: impl AsRef<[u8]>) {
        self.pairs.push((name, encode_query(value.as_ref())));
    }

    /// Appends text that is encoded already, after the pairs.
    pub(crate) fn append_encoded(&mut self, rest: &str) {
        self.rest = rest.to_owned();
    }

    /// Names and values, sorted by name. A value that is text is returned as it was
    /// given.
    pub(crate) fn pairs(&self) -> Vec<(&'static str, String)> {
        let decoded = |value: &str| percent_decode_str(value).decode_utf8_lossy().into_owned();
        let mut pairs: Vec<_> = self.pairs.iter().map(|(name, value)| (*name, decoded(value))).collect();
        pairs.sort();
        pairs
    }

    /// The text after the question mark. Names need no encoding.
    pub(crate) fn canonical(mut self) -> String {
        self.pairs.sort();
        let mut text = String::new();
        for (name, value) in &self.pairs {
            let separator = if text.is_empty() { "" } else { "&" };
            // Writing to a String cannot fail.
            let _ = write!(text, "{separator}{name}={value}");
        }
        if !self.rest.is_empty() {
            let separator = if text.is_empty() { "" } else { "&" };
            let _ = write!(text, "{separator}{}", self.rest);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_slashes_dots_and_every_byte() {
        assert_eq!(encode_path(b"/a//../b c+%\x01\xff~"), "/a//../b%20c%2B%25%01%FF~");
    }

    #[test]
    fn queries_are_sorted_and_escape_slashes() {
        let query = Query::new().with("uploads", "").with("prefix", "a/b").with("list-type", "2");
        assert_eq!(query.canonical(), "list-type=2&prefix=a%2Fb&uploads=");
    }
}
