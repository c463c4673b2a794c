//! Headers, and the attributes of objects in them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, HeaderName, IF_MATCH,
    IF_NONE_MATCH, IntoHeaderName, LAST_MODIFIED,
};
use http::{HeaderMap, HeaderValue};
use lepton_core::{Attributes, Error, Precondition, Result};

use super::encode::encode_query;
use super::refusal::Condition;
use super::rfc2047;

/// The most attributes that a listing holds for one object, in bytes of memory: a page
/// holds a thousand objects.
const MOST_LISTED: usize = 1 << 10;

/// A header that holds no user input.
pub(crate) fn header(name: &'static str, value: &'static str) -> (HeaderName, HeaderValue) {
    (HeaderName::from_static(name), HeaderValue::from_static(value))
}

/// Adds a header whose value comes from the user.
pub(crate) fn insert(headers: &mut HeaderMap, name: impl IntoHeaderName + AsRef<str>, value: &str) -> Result<()> {
    let header = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| {
        let name = name.as_ref();
        Error::invalid_input(format!("{name}: {value:?} holds control characters"))
    })?;
    headers.insert(name, header);
    Ok(())
}

/// Adds the standard headers of a new object.
pub(crate) fn insert_standard(headers: &mut HeaderMap, attributes: &Attributes) -> Result<()> {
    for (name, value) in [
        (CONTENT_TYPE, &attributes.content_type),
        (CONTENT_ENCODING, &attributes.content_encoding),
        (CONTENT_DISPOSITION, &attributes.content_disposition),
        (CONTENT_LANGUAGE, &attributes.content_language),
        (CACHE_CONTROL, &attributes.cache_control),
    ] {
        if let Some(value) = value {
            insert(headers, name, value)?;
        }
    }
    Ok(())
}

/// The header of user metadata, after the store's prefix.
///
/// # Errors
/// `invalid_input` if the name would not be returned unchanged.
pub(crate) fn metadata_header(prefix: &str, name: &str) -> Result<HeaderName> {
    let header = HeaderName::from_bytes([prefix, name].concat().as_bytes()).ok();
    let header = header.filter(|header| header.as_str().strip_prefix(prefix) == Some(name) && !name.is_empty());
    header.ok_or_else(|| {
        let message = format!("the metadata name {name:?} cannot be a header: lower-case ASCII without spaces only");
        Error::invalid_input(message)
    })
}

/// Tags as the value of a header.
pub(crate) fn tag_pairs(tags: &BTreeMap<String, String>) -> String {
    let encode = |text: &str| encode_query(text.as_bytes());
    let pairs = tags.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// Adds the condition of a write.
pub(crate) fn insert_precondition(headers: &mut HeaderMap, condition: &Precondition) -> Result<Condition> {
    match condition {
        Precondition::None => Ok(Condition::None),
        Precondition::IfAbsent => {
            headers.insert(IF_NONE_MATCH, HeaderValue::from_static("*"));
            Ok(Condition::IfAbsent)
        }
        Precondition::IfMatch(etag) => insert(headers, IF_MATCH, etag.as_str()).map(|()| Condition::IfMatch),
        other => Err(Error::unsupported(format!("the condition {other:?} is not known here"))),
    }
}

/// The value of a header, unless it is empty.
pub(crate) fn text(headers: &HeaderMap, name: impl AsRef<str>) -> Option<String> {
    let value = String::from_utf8_lossy(headers.get(name.as_ref())?.as_bytes()).into_owned();
    Some(value).filter(|value| !value.is_empty())
}

pub(crate) fn last_modified(headers: &HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(&text(headers, LAST_MODIFIED)?).ok()
}

/// The attributes in the standard headers of a response.
pub(crate) fn standard(headers: &HeaderMap) -> Attributes {
    let mut attributes = Attributes::default();
    attributes.content_type = text(headers, CONTENT_TYPE);
    attributes.content_encoding = text(headers, CONTENT_ENCODING);
    attributes.content_disposition = text(headers, CONTENT_DISPOSITION);
    attributes.content_language = text(headers, CONTENT_LANGUAGE);
    attributes.cache_control = text(headers, CACHE_CONTROL);
    attributes
}

/// The names and values of user metadata, which is in headers with this prefix.
pub(crate) fn metadata(headers: &HeaderMap, prefix: &str) -> impl Iterator<Item = (String, String)> {
    headers.iter().filter_map(move |(name, value)| {
        let name = name.as_str().strip_prefix(prefix)?;
        Some((name.to_owned(), rfc2047::decode(&String::from_utf8_lossy(value.as_bytes()))))
    })
}

/// The attributes of a listed object, unless they are large.
pub(crate) fn unless_large(attributes: Attributes) -> Option<Arc<Attributes>> {
    (attributes.weight() <= MOST_LISTED).then(|| Arc::new(attributes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_cannot_be_headers_are_named() {
        for name in ["Upper", "sp ace", ""] {
            let error = metadata_header("x-meta-", name).unwrap_err().to_string();
            assert!(error.contains(&format!("{name:?}")), "{error}");
        }
        assert_eq!(metadata_header("x-meta-", "two-words").unwrap(), "x-meta-two-words");
    }

    #[test]
    fn large_headers_are_left_out() {
        let with = |pairs: usize, len: usize| {
            let mut attributes = Attributes::default();
            attributes.user_metadata = (0..pairs).map(|pair| (format!("n{pair}"), "v".repeat(len))).collect();
            unless_large(attributes)
        };
        assert!(with(0, 0).is_some() && with(5, 50).is_some());
        assert!(with(1, 1000).is_none() && with(20, 1).is_none());
    }
}
