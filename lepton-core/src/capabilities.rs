//! The capabilities of a backend, as data.
//!
//! Each provider ships presets. For an S3-compatible store, single fields can be
//! overridden by name (see [`Capabilities::overridden`]).

use serde::{Deserialize, Serialize};

use crate::attribute_rules::{AttributeRules, MetadataNames, TagCharacters};
use crate::checksum::ChecksumAlgorithm;
use crate::error::{Error, Result};
use crate::key_rules::KeyRules;
use crate::object::{Attribute, Attributes};

/// How a backend supports an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Support {
    /// The store itself does it.
    Native,
    /// Lepton does it with other operations: not atomically, or at an extra cost.
    Emulated,
    /// It is not available.
    Unsupported,
    /// It is not known. Treated as unsupported where safety depends on it.
    Unknown,
}

impl Support {
    /// Whether it can be relied on.
    pub fn is_available(self) -> bool {
        matches!(self, Support::Native | Support::Emulated)
    }
}

/// The order of the keys in a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ListOrder {
    /// Ascending unsigned bytes of the key.
    Bytes,
    /// Any order.
    Unordered,
}

fn native() -> Support {
    Support::Native
}

/// Limits of multipart uploads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct MultipartLimits {
    /// The size of the smallest part other than the last, in bytes.
    pub min_part: u64,
    /// The size of the largest part, in bytes.
    pub max_part: u64,
    /// The largest number of parts.
    pub max_parts: u32,
}

impl MultipartLimits {
    /// Limits with these values.
    pub fn new(min_part: u64, max_part: u64, max_parts: u32) -> Self {
        Self { min_part, max_part, max_parts }
    }
}

/// What a backend can do and within which limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Capabilities {
    /// The name of the preset, for messages (`aws`, `minio`, `local`).
    pub preset: String,
    /// The order of listings.
    pub list_order: ListOrder,
    /// Whether a listing can begin after a key. If this is emulated, the listing begins at
    /// the start of the prefix and skips the earlier keys.
    #[serde(default = "native")]
    pub start_after: Support,
    /// Whether a listing can report the attributes and checksums of the objects on request,
    /// as a head does. It may leave them out for an object that has tags or very large
    /// attributes.
    #[serde(default)]
    pub list_attributes: bool,
    /// Whether a range of an object can be read.
    pub range_get: Support,
    /// Whether a read can be conditional on an ETag.
    pub conditional_get: Support,
    /// Whether a put can be conditional on the absence of the object.
    pub put_if_absent: Support,
    /// Whether a put can be conditional on an ETag.
    pub put_if_match: Support,
    /// Whether completing a multipart upload accepts preconditions.
    pub conditional_complete: Support,
    /// Whether a delete can be conditional on an ETag.
    pub conditional_delete: Support,
    /// The size of the largest object that one put may carry, in bytes.
    pub max_single_put: u64,
    /// The size of the largest object, in bytes.
    pub max_object: u64,
    /// Limits of multipart uploads; `None` if the store has no multipart facet.
    pub multipart: Option<MultipartLimits>,
    /// Whether a part is written at its offset in the object (local disks), so that
    /// [`PartSpec::range`](crate::PartSpec::range) must state that offset. In other
    /// stores only its length counts.
    pub positional_parts: bool,
    /// Whether the parts of an upload can be listed.
    pub list_parts: Support,
    /// Whether the uploads of a key can be listed.
    pub list_uploads: Support,
    /// Whether the store records uploads: it then refuses an upload that was never started,
    /// and frees the parts of an aborted one. Otherwise aborting does nothing, and parts
    /// that are never completed expire after some time.
    #[serde(default = "native")]
    pub upload_records: Support,
    /// Whether objects can be copied without passing through the caller.
    pub server_copy: Support,
    /// Whether such copies are made on this machine (local disks). Reading the source then
    /// costs no network, so the engine reads it once, for its digest.
    #[serde(default)]
    pub copies_locally: bool,
    /// Whether versions are kept and can be listed.
    pub versions: Support,
    /// The largest number of keys in one delete request.
    pub delete_batch: usize,
    /// Whether the ETag of an object from a single put is the MD5 of its bytes, and that
    /// of a multipart object the MD5 of the parts' MD5s followed by `-` and the number of
    /// parts. Set this to false if the store encrypts with SSE-KMS or SSE-C; otherwise
    /// unchanged objects are treated as changed.
    #[serde(default)]
    pub etag_is_md5: bool,
    /// Whether the writer can set the modification time (local disks), so that a copy has
    /// the time of its source.
    #[serde(default)]
    pub keeps_mtime: bool,
    /// The attributes that the backend keeps.
    pub attributes: Vec<Attribute>,
    /// The names that user metadata may have.
    #[serde(default)]
    pub metadata_names: MetadataNames,
    /// Names that user metadata may not have, because the store uses them itself.
    #[serde(default)]
    pub reserved_metadata_names: Vec<String>,
    /// The characters that names and values of tags may contain.
    #[serde(default)]
    pub tag_characters: TagCharacters,
    /// Whether storage classes can be chosen.
    pub storage_class: Support,
    /// Checksums that the server verifies while it receives an upload.
    pub verified_checksums: Vec<ChecksumAlgorithm>,
    /// Whether uploads may be signed chunk by chunk
    /// (`STREAMING-AWS4-HMAC-SHA256-PAYLOAD`).
    pub signed_chunks: Support,
    /// Whether uploads may carry their checksum in a trailer.
    pub trailers: Support,
    /// Whether TLS protects the bytes in transit.
    pub tls: bool,
    /// Whether the whole body of an upload is held in memory before it is sent, because
    /// it must be hashed first. A caller that budgets memory must then count the body.
    #[serde(default)]
    pub buffers_uploads: bool,
    /// Whether a layer below retries by itself. A caller that does its own retries, as the
    /// engine does, refuses such a store: only one layer may retry.
    #[serde(default)]
    pub retries: bool,
    /// The keys that the store can hold exactly.
    pub keys: KeyRules,
}

impl Capabilities {
    /// A backend that supports everything without limits: the starting point for an
    /// in-memory backend. Fields are public: set those that differ.
    pub fn everything(preset: &str) -> Self {
        Self {
            preset: preset.to_owned(),
            list_order: ListOrder::Bytes,
            start_after: Support::Native,
            list_attributes: false,
            range_get: Support::Native,
            conditional_get: Support::Native,
            put_if_absent: Support::Native,
            put_if_match: Support::Native,
            conditional_complete: Support::Native,
            conditional_delete: Support::Native,
            max_single_put: u64::MAX,
            max_object: u64::MAX,
            multipart: Some(MultipartLimits::new(1, u64::MAX, u32::MAX)),
            positional_parts: false,
            list_parts: Support::Native,
            list_uploads: Support::Native,
            upload_records: Support::Native,
            server_copy: Support::Native,
            copies_locally: false,
            versions: Support::Native,
            delete_batch: 1000,
            etag_is_md5: false,
            keeps_mtime: false,
            attributes: Attribute::ALL.to_vec(),
            metadata_names: MetadataNames::Any,
            reserved_metadata_names: Vec::new(),
            tag_characters: TagCharacters::Any,
            storage_class: Support::Native,
            verified_checksums: Vec::new(),
            signed_chunks: Support::Unsupported,
            trailers: Support::Unsupported,
            tls: false,
            buffers_uploads: false,
            retries: false,
            keys: KeyRules::any(1024),
        }
    }

    /// Whether the backend keeps this attribute.
    pub fn keeps(&self, attribute: Attribute) -> bool {
        self.attributes.contains(&attribute)
    }

    /// Removes what the backend does not keep from these attributes, and returns the
    /// attributes that this changed.
    pub fn retain_kept(&self, attributes: &mut Attributes) -> Vec<Attribute> {
        self.attribute_rules().keep(attributes)
    }

    /// Refuses attributes that the backend does not keep.
    ///
    /// # Errors
    /// `unsupported` for an attribute that is never kept; `invalid_input` for a metadata name
    /// or a tag that is not allowed.
    pub fn check_attributes(&self, attributes: &Attributes) -> Result<()> {
        self.attribute_rules().check(attributes, &self.preset)
    }

    fn attribute_rules(&self) -> AttributeRules<'_> {
        AttributeRules {
            kept: &self.attributes,
            names: self.metadata_names,
            reserved: &self.reserved_metadata_names,
            tags: self.tag_characters,
            file_facts: self.keeps_mtime,
        }
    }

    /// These capabilities with single fields replaced. `overrides` is a JSON
    /// object with the field names of this type; nested objects are merged.
    ///
    /// ```
    /// use lepton_core::{Capabilities, KeyHandling};
    /// let overrides = serde_json::json!({"keys": {"leading_slash": "changed"}});
    /// let minio = Capabilities::everything("minio").overridden(&overrides)?;
    /// assert_eq!(minio.keys.leading_slash, KeyHandling::Changed);
    /// # Ok::<(), lepton_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// `invalid_input` for an unknown field (the message lists the known ones) or a value
    /// of the wrong type.
    pub fn overridden(&self, overrides: &serde_json::Value) -> Result<Self> {
        let refuse = |source: serde_json::Error| {
            Error::invalid_input(format!("capabilities cannot be overridden: {source}")).with_source(source)
        };
        let mut value = serde_json::to_value(self).map_err(refuse)?;
        merge(&mut value, overrides);
        serde_json::from_value(value).map_err(refuse)
    }
}

fn merge(base: &mut serde_json::Value, overrides: &serde_json::Value) {
    match (base, overrides) {
        (serde_json::Value::Object(base), serde_json::Value::Object(overrides)) => {
            for (name, value) in overrides {
                merge(base.entry(name.clone()).or_insert(serde_json::Value::Null), value);
            }
        }
        (base, value) => *base = value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_override_lists_the_known() {
        let error = Capabilities::everything("x").overridden(&serde_json::json!({"lists": 1})).unwrap_err();
        assert!(error.to_string().contains("list_order"), "{error}");
    }
}
