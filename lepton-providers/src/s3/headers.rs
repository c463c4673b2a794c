//! Objects and their attributes as headers.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::HeaderMap;
use http::header::{ETAG, EXPIRES};
use lepton_core::{
    Attributes, ChecksumAlgorithm, ChecksumScope, ETag, ObjectKey, ObjectMeta, Result, StoredChecksum, VersionId,
};

use crate::wire::attributes::{
    insert, insert_standard, last_modified, metadata, metadata_header, standard, tag_pairs, text,
};
use crate::wire::rfc2047;

const META: &str = "x-amz-meta-";

/// The checksums that S3 stores, by the suffix of their header's name.
pub(super) const CHECKSUMS: [(&str, ChecksumAlgorithm); 5] = [
    ("crc64nvme", ChecksumAlgorithm::Crc64Nvme),
    ("crc32c", ChecksumAlgorithm::Crc32c),
    ("crc32", ChecksumAlgorithm::Crc32),
    ("sha256", ChecksumAlgorithm::Sha256),
    ("sha1", ChecksumAlgorithm::Sha1),
];

/// Adds the attributes of a new object.
pub(super) fn insert_attributes(headers: &mut HeaderMap, attributes: &Attributes) -> Result<()> {
    insert_standard(headers, attributes)?;
    if let Some(expires) = &attributes.expires {
        insert(headers, EXPIRES, expires)?;
    }
    for (name, value) in &attributes.user_metadata {
        insert(headers, metadata_header(META, name)?, &rfc2047::encode(value))?;
    }
    if !attributes.tags.is_empty() {
        insert(headers, "x-amz-tagging", &tag_pairs(&attributes.tags))?;
    }
    Ok(())
}

/// The metadata of an object, from the headers of a response.
pub(super) fn object_meta(key: &ObjectKey, size: u64, headers: &HeaderMap) -> ObjectMeta {
    let mut meta = ObjectMeta::new(key.clone(), size);
    meta.last_modified = last_modified(headers);
    meta.etag = etag(headers);
    meta.version = version(headers);
    meta.checksums = checksums(headers);
    meta.storage_class = text(headers, "x-amz-storage-class").filter(|class| class != "STANDARD");
    meta
}

pub(super) fn etag(headers: &HeaderMap) -> Option<ETag> {
    text(headers, ETAG).map(ETag::new)
}

/// `null` is S3's name for the version of objects without versions.
pub(super) fn version(headers: &HeaderMap) -> Option<VersionId> {
    text(headers, "x-amz-version-id").filter(|id| id != "null").map(VersionId::new)
}

pub(super) fn attributes(headers: &HeaderMap) -> Attributes {
    let mut attributes = standard(headers);
    attributes.content_encoding = attributes.content_encoding.and_then(without_framing);
    attributes.expires = text(headers, EXPIRES);
    attributes.user_metadata = metadata(headers, META).collect();
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
        let value = text(headers, ["x-amz-checksum-", name].concat())?;
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
    fn errors_name_attributes_that_cannot_be_headers() {
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
