//! Objects and their attributes as headers, for the XML protocol.

use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, HeaderName, LAST_MODIFIED,
};
use http::{HeaderMap, HeaderValue};
use lepton_core::{Attributes, ChecksumAlgorithm, Error, ObjectKey, ObjectMeta, Result, VersionId};

use super::resource::{CUSTOM_TIME, checksum, etag};
use crate::wire::mtime;
use crate::wire::rfc2047;

const META: &str = "x-goog-meta-";
const HEADER_OF_CUSTOM_TIME: HeaderName = HeaderName::from_static("x-goog-custom-time");

/// The values that the service returns for an object without a `Cache-Control` of its
/// own.
const NOBODYS: [&str; 2] = ["public, max-age=3600", "private, max-age=0"];

/// Adds a header whose value comes from the user.
pub(super) fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) -> Result<()> {
    let value = HeaderValue::from_bytes(value.as_bytes())
        .map_err(|_| Error::invalid_input(format!("{name}: {value:?} holds control characters")))?;
    headers.insert(name, value);
    Ok(())
}

/// Adds the attributes of a new object.
pub(super) fn insert_attributes(headers: &mut HeaderMap, attributes: &Attributes) -> Result<()> {
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
    for (name, value) in &attributes.user_metadata {
        if name == CUSTOM_TIME {
            insert(headers, HEADER_OF_CUSTOM_TIME, value)?;
            continue;
        }
        check_name(name)?;
        let header = HeaderName::from_bytes([META, name].concat().as_bytes());
        let header = header.map_err(|_| Error::invalid_input(format!("the metadata name {name:?} is no header")))?;
        insert(headers, header, &rfc2047::encode(&mtime::outward(name, value)))?;
    }
    Ok(())
}

/// Refuses a name that could not be returned as a header.
pub(super) fn check_name(name: &str) -> Result<()> {
    let header = HeaderName::from_bytes([META, name].concat().as_bytes()).ok();
    if !name.is_empty() && header.is_some_and(|header| header.as_str().strip_prefix(META) == Some(name)) {
        return Ok(());
    }
    let message = format!("the metadata name {name:?} cannot be a header: lower-case ASCII without spaces only");
    Err(Error::invalid_input(message))
}

/// The metadata of an object, from the headers of a response.
pub(super) fn object_meta(key: &ObjectKey, size: u64, headers: &HeaderMap) -> ObjectMeta {
    let mut meta = ObjectMeta::new(key.clone(), size);
    meta.last_modified = text(headers, LAST_MODIFIED.as_str()).and_then(|date| httpdate::parse_http_date(&date).ok());
    if let Some(generation) = text(headers, "x-goog-generation") {
        meta.etag = Some(etag(&generation));
        meta.version = Some(VersionId::new(generation));
    }
    // There is one header for each hash, or one for both.
    let hashes = headers.get_all("x-goog-hash").iter().filter_map(|value| value.to_str().ok());
    for hash in hashes.flat_map(|value| value.split(',')).map(str::trim) {
        meta.checksums.extend(match hash.split_once('=') {
            Some(("crc32c", value)) => checksum(ChecksumAlgorithm::Crc32c, value, 4),
            Some(("md5", value)) => checksum(ChecksumAlgorithm::Md5, value, 16),
            _ => None,
        });
    }
    meta.storage_class = text(headers, "x-goog-storage-class").filter(|class| class != "STANDARD");
    meta
}

/// The attributes that headers hold: a `Cache-Control` may be the service's own, and
/// names that cannot be headers are missing.
pub(super) fn attributes(headers: &HeaderMap) -> Attributes {
    let mut attributes = Attributes::default();
    attributes.content_type = text(headers, CONTENT_TYPE.as_str());
    attributes.content_encoding = text(headers, CONTENT_ENCODING.as_str());
    attributes.content_disposition = text(headers, CONTENT_DISPOSITION.as_str());
    attributes.content_language = text(headers, CONTENT_LANGUAGE.as_str());
    attributes.cache_control = text(headers, CACHE_CONTROL.as_str()).filter(|text| !NOBODYS.contains(&text.as_str()));
    for (name, value) in headers {
        if let Some(name) = name.as_str().strip_prefix(META) {
            let value = rfc2047::decode(&String::from_utf8_lossy(value.as_bytes()));
            attributes.user_metadata.insert(name.to_owned(), mtime::inward(name, value));
        }
    }
    let custom_time = text(headers, HEADER_OF_CUSTOM_TIME.as_str());
    attributes.user_metadata.extend(custom_time.map(|time| (CUSTOM_TIME.to_owned(), time)));
    attributes
}

pub(super) fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = String::from_utf8_lossy(headers.get(name)?.as_bytes()).into_owned();
    Some(value).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_come_in_one_header_or_in_two() {
        let key = ObjectKey::try_from("a").unwrap();
        let mut headers = HeaderMap::new();
        headers.append("x-goog-hash", HeaderValue::from_static("crc32c=AAAAAQ==, md5=1B2M2Y8AsgTpgAmY7PhCfg=="));
        assert_eq!(object_meta(&key, 0, &headers).checksums.len(), 2);
        let mut headers = HeaderMap::new();
        headers.append("x-goog-hash", HeaderValue::from_static("crc32c=AAAAAQ=="));
        headers.append("x-goog-hash", HeaderValue::from_static("md5=1B2M2Y8AsgTpgAmY7PhCfg=="));
        headers.append("x-goog-generation", HeaderValue::from_static("17"));
        let meta = object_meta(&key, 0, &headers);
        assert_eq!((meta.checksums.len(), meta.etag.unwrap().as_str()), (2, "\"17\""));
    }

    #[test]
    fn names_that_cannot_be_headers_are_named() {
        for name in ["Upper", "sp ace", ""] {
            assert!(check_name(name).unwrap_err().to_string().contains(&format!("{name:?}")));
        }
        check_name("two-words").unwrap();
    }

    #[test]
    fn what_the_service_says_by_itself_is_left_out() {
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, max-age=0"));
        headers.insert(HEADER_OF_CUSTOM_TIME, HeaderValue::from_static("2020-01-01T00:00:00Z"));
        let read = attributes(&headers);
        assert_eq!((read.cache_control.as_deref(), read.user_metadata.len()), (None, 1));
        let mut written = HeaderMap::new();
        insert_attributes(&mut written, &read).unwrap();
        assert_eq!(written.get(HEADER_OF_CUSTOM_TIME), headers.get(HEADER_OF_CUSTOM_TIME));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        assert_eq!(attributes(&headers).cache_control.as_deref(), Some("no-store"));
    }
}
