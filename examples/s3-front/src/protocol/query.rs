//! The query of a request.

use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::error::{S3Result, s3_error};

/// What the canonical form of a query escapes. Escapes stay as they are.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'%');
/// What the canonical form of a path escapes.
pub(crate) const PATH: &AsciiSet = &QUERY.remove(b'/');

/// The text after the question mark.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Query<'a>(pub(crate) &'a str);

impl<'a> Query<'a> {
    fn pairs(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let pairs = self.0.split('&').filter(|pair| !pair.is_empty());
        pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
    }

    fn raw(self, name: &str) -> Option<&'a str> {
        self.pairs().find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    pub(crate) fn has(self, name: &str) -> bool {
        self.raw(name).is_some()
    }

    /// The value of the parameter with this name, decoded.
    pub(crate) fn text(self, name: &str) -> S3Result<Option<String>> {
        let Some(value) = self.raw(name) else { return Ok(None) };
        let value = value.replace('+', " ");
        match percent_decode_str(&value).decode_utf8() {
            Ok(text) => Ok(Some(text.into_owned())),
            Err(_) => Err(s3_error!(InvalidURI, "{name} is not UTF-8")),
        }
    }

    /// The value of the parameter with this name, parsed.
    pub(crate) fn parsed<T: FromStr>(self, name: &str) -> S3Result<Option<T>> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        text.parse().map(Some).map_err(|_| s3_error!(InvalidArgument, "{name} cannot be {text:?}"))
    }

    /// The canonical form that a signature covers: sorted, without the signature itself.
    pub(crate) fn canonical(self) -> String {
        let encode = |text: &str| utf8_percent_encode(&text.replace('+', "%20"), QUERY).to_string();
        let pairs = self.pairs().filter(|(name, _)| *name != "X-Amz-Signature");
        let mut pairs: Vec<_> = pairs.map(|(name, value)| (encode(name), encode(value))).collect();
        pairs.sort();
        let pairs: Vec<_> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("&")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_and_the_canonical_form_is_sorted() {
        let query = Query("prefix=a%2Fb+c/d&uploads&max-keys=7&x=%FF&X-Amz-Signature=1");
        assert_eq!(query.text("prefix").unwrap().as_deref(), Some("a/b c/d"));
        assert_eq!(query.parsed::<u32>("max-keys").unwrap(), Some(7));
        assert_eq!(query.text("none").unwrap(), None);
        assert!(query.has("uploads") && query.text("x").is_err() && query.parsed::<u32>("prefix").is_err());
        assert_eq!(query.canonical(), "max-keys=7&prefix=a%2Fb%20c%2Fd&uploads=&x=%FF");
    }
}
