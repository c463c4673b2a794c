//! Objects and their attributes as headers, for the XML protocol.

use http::HeaderMap;
use http::header::HeaderName;
use lepton_core::{Attributes, ChecksumAlgorithm, ObjectKey, ObjectMeta, Result, VersionId};

use super::resource::{CUSTOM_TIME, checksum, etag};
use crate::wire::attributes::{insert, insert_standard, last_modified, metadata, metadata_header, standard, text};
use crate::wire::mtime;
use crate::wire::rfc2047;

const META: &str = "x-goog-meta-";
const HEADER_OF_CUSTOM_TIME: HeaderName = HeaderName::from_static("x-goog-custom-time");

/// The values that the service returns for an object without a `Cache-Control` of its
/// own.
const NOBODYS: [&str; 2] = ["public, max-age=3600", "private, max-age=0"];

/// Adds the attributes of a new object.
pub(super) fn insert_attributes(headers: &mut HeaderMap, attributes: &Attributes) -> Result<()> {
    insert_standard(headers, attributes)?;
    for (name, value) in &attributes.user_metadata {
        if name == CUSTOM_TIME {
            insert(headers, HEADER_OF_CUSTOM_TIME, value)?;
            continue;
        }
        insert(headers, metadata_header(META, name)?, &rfc2047::encode(&mtime::outward(name, value)))?;
    }
    Ok(())
}

/// Refuses a name that could not be returned as a header.
pub(super) fn check_name(name: &str) -> Result<()> {
    metadata_header(META, name).map(drop)
}

/// The metadata of an object, from the headers of a response.
pub(super) fn object_meta(key: &ObjectKey, size: u64, headers: &HeaderMap) -> ObjectMeta {
    let mut meta = ObjectMeta::new(key.clone(), size);
    meta.last_modified = last_modified(headers);
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
    let mut attributes = standard(headers);
    attributes.cache_control = attributes.cache_control.filter(|text| !NOBODYS.contains(&text.as_str()));
    attributes.user_metadata = metadata(headers, META).map(mtime::inward).collect();
    let custom_time = text(headers, HEADER_OF_CUSTOM_TIME);
    attributes.user_metadata.extend(custom_time.map(|time| (CUSTOM_TIME.to_owned(), time)));
    attributes
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::CACHE_CONTROL;

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
    fn headers_that_the_service_adds_are_left_out() {
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
