//! Objects and their attributes as headers.

use std::time::SystemTime;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, ETAG, EXPIRES, HeaderName,
    IF_MATCH, IF_NONE_MATCH, LAST_MODIFIED,
};
use http::{HeaderMap, HeaderValue};
use lepton_core::{
    Attributes, ChecksumAlgorithm, ChecksumScope, ETag, Error, ObjectKey, ObjectMeta, Precondition, Result,
    StoredChecksum, VersionId,
};

use crate::wire::encode::encode_query;
use crate::wire::refusal::Condition;
use crate::wire::rfc2047;

const META: &str = "x-amz-meta-";
const X_AMZ_TAGGING: HeaderName = HeaderName::from_static("x-amz-tagging");

/// The checksums that S3 stores, by the suffix of their header's name.
pub(super) const CHECKSUMS: [(&str, ChecksumAlgorithm); 5] = [
    ("crc64nvme", ChecksumAlgorithm::Crc64Nvme),
    ("crc32c", ChecksumAlgorithm::Crc32c),
    ("crc32", ChecksumAlgorithm::Crc32),
    ("sha256", ChecksumAlgorithm::Sha256),
    ("sha1", ChecksumAlgorithm::Sha1),
];

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
        (EXPIRES, &attributes.expires),
    ] {
        if let Some(value) = value {
            insert(headers, name, value)?;
        }
    }
    for (name, value) in &attributes.user_metadata {
        let header = HeaderName::from_bytes([META, name].concat().as_bytes()).ok();
        let header = header.filter(|header| header.as_str().strip_prefix(META) == Some(name) && !name.is_empty());
        let Some(header) = header else {
            let message =
                format!("the metadata name {name:?} cannot be a header: lower-case ASCII without spaces only");
            return Err(Error::invalid_input(message));
        };
        insert(headers, header, &rfc2047::encode(value))?;
    }
    if !attributes.tags.is_empty() {
        let encode = |text: &str| encode_query(text.as_bytes());
        let pairs = attributes.tags.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value)));
        insert(headers, X_AMZ_TAGGING, &pairs.collect::<Vec<_>>().join("&"))?;
    }
    Ok(())
}

/// Adds the condition of a write.
pub(super) fn insert_precondition(headers: &mut HeaderMap, condition: &Precondition) -> Result<Condition> {
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

/// The metadata of an object, from the headers of a response.
pub(super) fn object_meta(key: &ObjectKey, size: u64, headers: &HeaderMap) -> ObjectMeta {
    let mut meta = ObjectMeta::new(key.clone(), size);
    meta.last_modified = text(headers, LAST_MODIFIED.as_str()).and_then(|date| httpdate::parse_http_date(&date).ok());
    meta.etag = etag(headers);
    meta.version = version(headers);
    meta.checksums = checksums(headers);
    meta.storage_class = text(headers, "x-amz-storage-class").filter(|class| class != "STANDARD");
    meta
}

pub(super) fn etag(headers: &HeaderMap) -> Option<ETag> {
    text(headers, ETAG.as_str()).map(ETag::new)
}

/// `null` is S3's name for the version of objects without versions.
pub(super) fn version(headers: &HeaderMap) -> Option<VersionId> {
    text(headers, "x-amz-version-id").filter(|id| id != "null").map(VersionId::new)
}

pub(super) fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = String::from_utf8_lossy(headers.get(name)?.as_bytes()).into_owned();
    Some(value).filter(|value| !value.is_empty())
}

pub(super) fn attributes(headers: &HeaderMap) -> Attributes {
    let mut attributes = Attributes::default();
    attributes.content_type = text(headers, CONTENT_TYPE.as_str());
    attributes.content_encoding = text(headers, CONTENT_ENCODING.as_str()).and_then(without_framing);
    attributes.content_disposition = text(headers, CONTENT_DISPOSITION.as_str());
    attributes.content_language = text(headers, CONTENT_LANGUAGE.as_str());
    attributes.cache_control = text(headers, CACHE_CONTROL.as_str());
    attributes.expires = text(headers, EXPIRES.as_str());
    for (name, value) in headers {
        if let Some(name) = name.as_str().strip_prefix(META) {
            let value = rfc2047::decode(&String::from_utf8_lossy(value.as_bytes()));
            attributes.user_metadata.insert(name.to_owned(), value);
        }
    }
    attributes
}

/// Some stores keep the `aws-chunked` of the upload as if it came from the user.
fn without_framing(encoding: String) -> Option<String> {
    if !encoding.contains("aws-chunked") {
        return Some(encoding);
    }
    let kept: Vec<&str> = encoding.split(',').map(str::trim).filter(|word| *word != "aws-chunked").collect();
    (!kept.is_empty()).then(|| kept.join(","))
}

/// The checksums in the headers of a response.
pub(super) fn checksums(headers: &HeaderMap) -> Vec<StoredChecksum> {
    let kind = text(headers, "x-amz-checksum-type");
    let found = CHECKSUMS.iter().filter_map(|(name, algorithm)| {
        let value = text(headers, &["x-amz-checksum-", name].concat())?;
        checksum(*algorithm, &value, kind.as_deref())
    });
    found.collect()
}

/// Parses a checksum as S3 writes it: Base64, with the suffix `-N` if it covers N parts.
pub(super) fn checksum(algorithm: ChecksumAlgorithm, text: &str, kind: Option<&str>) -> Option<StoredChecksum> {
    let (value, parts) = match text.split_once('-') {
        Some((value, parts)) => (value, Some(parts.parse().ok()?)),
        None => (text, None),
    };
    let value = BASE64_STANDARD.decode(value).ok()?;
    let scope = match (parts, kind) {
        (Some(parts), _) => ChecksumScope::Composite { parts },
        (None, Some("COMPOSITE")) => ChecksumScope::Composite { parts: 0 },
        (None, _) => ChecksumScope::Full,
    };
    Some(StoredChecksum { algorithm, scope, value })
}

/// The last-modified time of an XML element.
pub(super) fn time(text: Option<&str>) -> Option<SystemTime> {
    crate::wire::time::parse_iso8601(text?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_survive_both_ways() {
        let mut before = Attributes::default();
        before.content_type = Some("text/plain".into());
        before.content_encoding = Some("gzip".into());
        before.content_disposition = Some("attachment; filename=\"ü\"".into());
        before.user_metadata.insert("name".into(), "ä  b".into());
        before.user_metadata.insert("empty".into(), String::new());
        let mut headers = HeaderMap::new();
        insert_attributes(&mut headers, &before).unwrap();
        assert_eq!(attributes(&headers), before);
        before.tags.insert("a b".into(), "c&d".into());
        insert_attributes(&mut headers, &before).unwrap();
        assert_eq!(headers["x-amz-tagging"], "a%20b=c%26d");
    }

    #[test]
    fn what_cannot_be_a_header_is_named() {
        for (name, value) in [("Upper", "x"), ("sp ace", "x"), ("", "x")] {
            let mut attributes = Attributes::default();
            attributes.user_metadata.insert(name.into(), value.into());
            let error = insert_attributes(&mut HeaderMap::new(), &attributes).unwrap_err();
            assert!(error.to_string().contains(&format!("{name:?}")), "{error}");
        }
        let mut attributes = Attributes::default();
        attributes.cache_control = Some("a\nb".into());
        assert!(insert_attributes(&mut HeaderMap::new(), &attributes).is_err());
    }

    #[test]
    fn framing_is_not_the_users() {
        assert_eq!(without_framing("aws-chunked".into()), None);
        assert_eq!(without_framing("aws-chunked,gzip".into()).as_deref(), Some("gzip"));
        assert_eq!(without_framing("gzip, br".into()).as_deref(), Some("gzip, br"));
    }

    #[test]
    fn checksums_of_wholes_and_of_parts() {
        let whole = checksum(ChecksumAlgorithm::Crc32c, "AAAAAQ==", None).unwrap();
        assert_eq!(whole, StoredChecksum::full(ChecksumAlgorithm::Crc32c, vec![0, 0, 0, 1]));
        let parts = checksum(ChecksumAlgorithm::Sha256, "AAAAAQ==-3", Some("COMPOSITE")).unwrap();
        assert_eq!(parts.scope, ChecksumScope::Composite { parts: 3 });
        assert_eq!(checksum(ChecksumAlgorithm::Sha256, "?", None), None);
    }
}
