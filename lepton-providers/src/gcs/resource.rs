//! An object as JSON: "Objects" in the JSON API reference.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use lepton_core::{
    Attributes, ChecksumAlgorithm, ETag, Error, ObjectKey, ObjectMeta, Result, StoredChecksum, VersionId,
};
use serde::{Deserialize, Serialize};

use crate::wire::mtime;
use crate::wire::rfc2047;
use crate::wire::time::parse_iso8601;

/// The name in user metadata of an object's custom time, which lifecycle rules of a
/// bucket refer to.
pub(super) const CUSTOM_TIME: &str = "goog-custom-time";

/// The service's description of an object. Numbers are sent as text.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Resource {
    pub(super) name: String,
    #[serde(default)]
    pub(super) size: String,
    #[serde(default)]
    pub(super) generation: String,
    updated: Option<String>,
    time_created: Option<String>,
    time_deleted: Option<String>,
    custom_time: Option<String>,
    storage_class: Option<String>,
    md5_hash: Option<String>,
    crc32c: Option<String>,
    content_type: Option<String>,
    content_encoding: Option<String>,
    content_disposition: Option<String>,
    content_language: Option<String>,
    cache_control: Option<String>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

/// The fields that every listing asks for.
pub(super) const FIELDS: &str = "name,size,generation,updated,timeCreated,timeDeleted,storageClass,md5Hash,crc32c";

/// The additional fields that hold attributes.
pub(super) const ATTACHED: &str =
    ",contentType,contentEncoding,contentDisposition,contentLanguage,cacheControl,customTime,metadata";

impl Resource {
    /// The metadata of the object, or the name of what is missing.
    pub(super) fn meta(&self) -> Result<ObjectMeta, &'static str> {
        let key = ObjectKey::new(self.name.clone().into_bytes()).map_err(|_| "an object without a name")?;
        let size = self.size.parse().map_err(|_| "an object without a size")?;
        let mut meta = ObjectMeta::new(key, size);
        if self.generation.is_empty() {
            return Err("an object without a generation");
        }
        meta.etag = Some(etag(&self.generation));
        meta.version = Some(VersionId::new(&*self.generation));
        meta.last_modified = self.updated.as_deref().and_then(parse_iso8601);
        meta.storage_class = self.storage_class.clone().filter(|class| class != "STANDARD");
        let stored = [(ChecksumAlgorithm::Crc32c, &self.crc32c, 4), (ChecksumAlgorithm::Md5, &self.md5_hash, 16)];
        meta.checksums =
            stored.into_iter().filter_map(|(kind, text, len)| checksum(kind, text.as_deref()?, len)).collect();
        Ok(meta)
    }

    pub(super) fn attributes(&self) -> Attributes {
        let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let mut attributes = Attributes::default();
        attributes.content_type = text(&self.content_type);
        attributes.content_encoding = text(&self.content_encoding);
        attributes.content_disposition = text(&self.content_disposition);
        attributes.content_language = text(&self.content_language);
        attributes.cache_control = text(&self.cache_control);
        // In a multipart upload, the names were sent as headers.
        let inward =
            |(name, value): (&String, &String)| mtime::inward((name.to_ascii_lowercase(), rfc2047::decode(value)));
        attributes.user_metadata = self.metadata.iter().map(inward).collect();
        attributes.user_metadata.extend(text(&self.custom_time).map(|time| (CUSTOM_TIME.to_owned(), time)));
        attributes
    }

    /// The CRC-32C of the whole object, in Base64.
    pub(super) fn crc32c(&self) -> Option<&str> {
        self.crc32c.as_deref()
    }

    /// When it was created, and when it was replaced or deleted; the latter is `None` for
    /// the current object.
    pub(super) fn life(&self) -> (Option<SystemTime>, Option<SystemTime>) {
        let time = |text: &Option<String>| text.as_deref().and_then(parse_iso8601);
        (time(&self.time_created), self.time_deleted.as_deref().map(|text| parse_iso8601(text).unwrap_or(UNIX_EPOCH)))
    }
}

/// The description of a new object.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewObject<'a> {
    pub(super) name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) crc32c: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) storage_class: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_encoding: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_disposition: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_language: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom_time: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<BTreeMap<&'a str, Cow<'a, str>>>,
}

impl<'a> NewObject<'a> {
    pub(super) fn new(name: &'a str, attributes: &'a Attributes) -> Self {
        let (mut metadata, mut custom_time) = (BTreeMap::new(), None);
        for (name, value) in &attributes.user_metadata {
            match name.as_str() {
                CUSTOM_TIME => custom_time = Some(value.as_str()),
                name => {
                    let value = match mtime::outward(name, value) {
                        Cow::Borrowed(value) => written(value),
                        time => time,
                    };
                    metadata.insert(name, value);
                }
            }
        }
        Self {
            name,
            crc32c: None,
            storage_class: None,
            content_type: attributes.content_type.as_deref(),
            content_encoding: attributes.content_encoding.as_deref(),
            content_disposition: attributes.content_disposition.as_deref(),
            content_language: attributes.content_language.as_deref(),
            cache_control: attributes.cache_control.as_deref(),
            custom_time,
            metadata: Some(metadata).filter(|metadata| !metadata.is_empty()),
        }
    }

    /// A copy that inherits nothing from its source: attributes that are not named would
    /// be inherited.
    pub(super) fn copy(name: &'a str, attributes: &'a Attributes) -> Self {
        let mut object = Self::new(name, attributes);
        object.content_type.get_or_insert("application/octet-stream");
        object.metadata.get_or_insert_default();
        object
    }

    /// # Errors
    /// `invalid_input` for what cannot be written as JSON.
    pub(super) fn json(&self) -> Result<String> {
        serde_json::to_string(self)
            .map_err(|source| Error::invalid_input("the attributes cannot be written").with_source(source))
    }
}

/// A value of metadata. JSON can hold any text, but a value is encoded if a reader would
/// take it for encoded text, or if it cannot be returned as a header.
fn written(value: &str) -> Cow<'_, str> {
    match value.contains("=?") || value.trim() != value || value.chars().any(char::is_control) {
        true => rfc2047::encode(value),
        false => Cow::Borrowed(value),
    }
}

/// The tag of an object is its generation, which preconditions refer to.
pub(super) fn etag(generation: &str) -> ETag {
    ETag::new(format!("\"{generation}\""))
}

/// A checksum of the whole object, in Base64.
pub(super) fn checksum(kind: ChecksumAlgorithm, text: &str, len: usize) -> Option<StoredChecksum> {
    let value = BASE64_STANDARD.decode(text).ok().filter(|value| value.len() == len)?;
    Some(StoredChecksum::full(kind, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_read() {
        let json = r#"{"kind": "storage#object", "name": "a/ü", "size": "5", "generation": "17", "updated":
            "2020-01-01T00:00:00.5Z", "storageClass": "NEARLINE", "crc32c": "AAAAAQ==", "md5Hash": "x",
            "contentType": "text/plain", "metadata": {"Two-Words": "x"}}"#;
        let resource: Resource = serde_json::from_str(json).unwrap();
        let meta = resource.meta().unwrap();
        assert_eq!((meta.size, meta.etag.unwrap().as_str(), meta.version.unwrap().as_str()), (5, "\"17\"", "17"));
        assert_eq!((meta.checksums.len(), meta.storage_class.as_deref()), (1, Some("NEARLINE")));
        assert_eq!(resource.attributes().user_metadata["two-words"], "x");
        for wrong in
            [r#"{"name": "a"}"#, r#"{"name": "", "size": "1", "generation": "1"}"#, r#"{"name": "a", "size": "1"}"#]
        {
            assert!(serde_json::from_str::<Resource>(wrong).unwrap().meta().is_err(), "{wrong}");
        }
    }

    #[test]
    fn metadata_that_reads_as_something_else_is_encoded() {
        let mut attributes = Attributes::default();
        let values = ["plain ü", "=?UTF-8?B?w6Q=?=", " edge", "line\nbreak"];
        attributes.user_metadata = values.iter().map(|value| (format!("n{}", value.len()), (*value).into())).collect();
        attributes.user_metadata.insert(CUSTOM_TIME.into(), "2020-01-01T00:00:00Z".into());
        let mut object: serde_json::Value = serde_json::to_value(NewObject::new("a", &attributes)).unwrap();
        assert_eq!(
            (object["customTime"].as_str(), object["metadata"]["n8"].as_str()),
            (Some("2020-01-01T00:00:00Z"), Some("plain ü"))
        );
        assert!(!object.to_string().contains("edge"));
        for field in ["size", "generation"] {
            object[field] = "1".into();
        }
        let read: Resource = serde_json::from_value(object).unwrap();
        assert_eq!(read.attributes(), attributes);
    }

    #[test]
    fn a_copy_takes_nothing_over() {
        let text = NewObject::copy("a", &Attributes::default()).json().unwrap();
        assert_eq!(text, r#"{"name":"a","contentType":"application/octet-stream","metadata":{}}"#);
    }

    #[test]
    fn a_new_object_has_only_the_given_attributes() {
        let mut attributes = Attributes::default();
        attributes.cache_control = Some("no-store".into());
        let text = serde_json::to_string(&NewObject::new("a\"b", &attributes)).unwrap();
        assert_eq!(text, r#"{"name":"a\"b","cacheControl":"no-store"}"#);
    }
}
