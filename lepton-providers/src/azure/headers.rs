//! Objects and their attributes as headers.

use std::collections::BTreeMap;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::header::{ETAG, HeaderName};
use http::{HeaderMap, HeaderValue};
use lepton_core::{
    Attributes, ChecksumAlgorithm, ETag, Error, ObjectKey, ObjectMeta, Precondition, Result, StoredChecksum, VersionId,
};

use crate::wire::attributes::{self, insert, last_modified, metadata, metadata_header, standard, tag_pairs, text};
use crate::wire::mtime;
use crate::wire::refusal::Condition;
use crate::wire::rfc2047;

const META: &str = "x-ms-meta-";

/// "The total size of the metadata": names and values, in bytes.
const LONGEST_METADATA: usize = 8 << 10;
/// The maximum number of tags on a blob.
const MOST_TAGS: usize = 10;

/// Adds a header whose value is a secret: it is never printed, even if it is invalid.
pub(super) fn insert_secret(headers: &mut HeaderMap, name: &'static str, value: &str) -> Result<()> {
    let mut value = HeaderValue::from_bytes(value.as_bytes())
        .map_err(|_| Error::invalid_input(format!("the value of {name} holds control characters")))?;
    value.set_sensitive(true);
    headers.insert(HeaderName::from_static(name), value);
    Ok(())
}

/// Adds the attributes of a new blob.
pub(super) fn insert_attributes(headers: &mut HeaderMap, attributes: &Attributes) -> Result<()> {
    for (name, value) in [
        ("x-ms-blob-content-type", &attributes.content_type),
        ("x-ms-blob-content-encoding", &attributes.content_encoding),
        ("x-ms-blob-content-disposition", &attributes.content_disposition),
        ("x-ms-blob-content-language", &attributes.content_language),
        ("x-ms-blob-cache-control", &attributes.cache_control),
    ] {
        let Some(value) = value else { continue };
        if !value.is_ascii() {
            let named = name.trim_start_matches("x-ms-blob-");
            return Err(Error::unsupported(format!("{named}: the service takes ASCII only, and it is {value:?}")));
        }
        insert(headers, name, value)?;
    }
    let mut total = 0;
    for (name, value) in &attributes.user_metadata {
        let value = rfc2047::encode(&mtime::outward(name, value)).into_owned();
        total += name.len() + value.len();
        insert(headers, metadata_header(META, name)?, &value)?;
    }
    if total > LONGEST_METADATA {
        let message = format!("the metadata has {total} bytes, and the service keeps {LONGEST_METADATA} at most");
        return Err(Error::invalid_input(message));
    }
    insert_tags(headers, &attributes.tags)
}

/// Adds the tags of a new blob.
pub(super) fn insert_tags(headers: &mut HeaderMap, tags: &BTreeMap<String, String>) -> Result<()> {
    if tags.is_empty() {
        return Ok(());
    }
    let fits =
        |(name, value): (&String, &String)| (1..=128).contains(&name.chars().count()) && value.chars().count() <= 256;
    if tags.len() > MOST_TAGS || !tags.iter().all(fits) {
        let message = "the service keeps up to 10 tags, with names of 1 to 128 characters and values of up to 256";
        return Err(Error::invalid_input(message));
    }
    insert(headers, "x-ms-tags", &tag_pairs(tags))
}

/// Adds the condition of a write. A blob that does not exist has no lease, so none is
/// sent.
pub(super) fn insert_precondition(headers: &mut HeaderMap, condition: &Precondition) -> Result<Condition> {
    if *condition == Precondition::IfAbsent {
        headers.remove("x-ms-lease-id");
    }
    attributes::insert_precondition(headers, condition)
}

/// The metadata of a blob, from the headers of a response.
pub(super) fn object_meta(key: &ObjectKey, size: u64, headers: &HeaderMap) -> ObjectMeta {
    let mut meta = ObjectMeta::new(key.clone(), size);
    meta.last_modified = last_modified(headers);
    meta.etag = etag(headers);
    meta.version = version(headers);
    // In the response to a range request, `content-md5` covers only the range.
    let md5 = text(headers, "x-ms-blob-content-md5").or_else(|| text(headers, "content-md5"));
    meta.checksums.extend(md5.and_then(|md5| stored_md5(&md5)));
    let inferred = text(headers, "x-ms-access-tier-inferred").is_some_and(|inferred| inferred == "true");
    meta.storage_class = text(headers, "x-ms-access-tier").filter(|_| !inferred);
    meta
}

/// The MD5 of a whole blob, in Base64.
pub(super) fn stored_md5(text: &str) -> Option<StoredChecksum> {
    let md5 = BASE64_STANDARD.decode(text).ok().filter(|md5| md5.len() == 16)?;
    Some(StoredChecksum::full(ChecksumAlgorithm::Md5, md5))
}

pub(super) fn etag(headers: &HeaderMap) -> Option<ETag> {
    text(headers, ETAG).map(|tag| quoted(&tag))
}

/// Adds the quotes that listings omit and other responses include.
pub(super) fn quoted(tag: &str) -> ETag {
    if tag.starts_with('"') || tag.starts_with("W/") { ETag::new(tag) } else { ETag::new(format!("\"{tag}\"")) }
}

pub(super) fn version(headers: &HeaderMap) -> Option<VersionId> {
    text(headers, "x-ms-version-id").map(VersionId::new)
}

pub(super) fn attributes(headers: &HeaderMap) -> Attributes {
    let mut attributes = standard(headers);
    attributes.user_metadata = metadata(headers, META).map(mtime::inward).collect();
    attributes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lower-casing a name would store the object under another name than requested, and could
    /// overwrite a second one. Names that an object has at its source are dropped before this, and
    /// recorded as lost.
    #[test]
    fn a_name_that_would_come_back_changed_is_refused() {
        for name in ["sp ace", "Upper"] {
            let mut attributes = Attributes::default();
            attributes.user_metadata.insert(name.into(), "x".into());
            let error = insert_attributes(&mut HeaderMap::new(), &attributes).unwrap_err();
            assert!(error.to_string().contains(&format!("{name:?}")), "{error}");
        }
    }

    #[test]
    fn attributes_beyond_the_limits_are_refused_before_sending() {
        let refused = |change: &dyn Fn(&mut Attributes)| {
            let mut attributes = Attributes::default();
            change(&mut attributes);
            insert_attributes(&mut HeaderMap::new(), &attributes).err().map(|error| error.to_string())
        };
        let tags = |count: usize, name: usize, value: usize| {
            refused(&|attributes| {
                attributes.tags =
                    (0..count).map(|at| (format!("{at}{}", "n".repeat(name - 1)), "v".repeat(value))).collect();
            })
        };
        assert_eq!((tags(10, 128, 256), tags(1, 1, 0)), (None, None));
        for (count, name, value) in [(11, 1, 1), (1, 129, 1), (1, 1, 257)] {
            assert!(tags(count, name, value).unwrap().contains("10 tags"));
        }
        let metadata = |len| {
            refused(&|attributes| {
                attributes.user_metadata.insert("m".into(), "x".repeat(len));
            })
        };
        assert_eq!(metadata((8 << 10) - 1), None);
        assert!(metadata(8 << 10).unwrap().contains("8193 bytes"));
        let disposition = refused(&|attributes| attributes.content_disposition = Some("ü".into()));
        assert!(disposition.unwrap().contains("content-disposition"));
    }

    #[test]
    fn a_secret_is_never_shown() {
        let mut headers = HeaderMap::new();
        let error = insert_secret(&mut headers, "x-ms-copy-source", "s3cr3t\n").unwrap_err();
        assert!(!format!("{error:?}").contains("s3cr3t"));
        insert_secret(&mut headers, "x-ms-copy-source", "s3cr3t").unwrap();
        assert!(!format!("{headers:?}").contains("s3cr3t"));
    }

    #[test]
    fn tags_of_listings_and_of_answers_are_the_same() {
        assert_eq!(quoted("0x8D"), quoted("\"0x8D\""));
    }
}
