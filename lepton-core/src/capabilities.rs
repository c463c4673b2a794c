//! What a backend can do, as data.
//!
//! Each provider ships presets; an S3-compatible store can override single
//! fields by name (see [`Capabilities::overridden`]).

use serde::{Deserialize, Serialize};

use crate::attribute_rules::{AttributeRules, MetadataNames, TagCharacters};
use crate::checksum::ChecksumAlgorithm;
use crate::error::{Error, Result};
use crate::key_rules::KeyRules;
use crate::object::{Attribute, Attributes};

/// How well a backend does something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Support {
    /// The store itself does it.
    Native,
    /// Lepton does it with other operations; not atomic, or at a cost.
    Emulated,
    /// It cannot be had.
    Unsupported,
    /// Nobody has found out. Treated as unsupported where safety hangs on it.
    Unknown,
}

impl Support {
    /// Whether it can be relied on.
    pub fn is_available(self) -> bool {
        matches!(self, Support::Native | Support::Emulated)
    }
}

/// The order in which listings come.
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
    /// The smallest part but for the last, in bytes.
    pub min_part: u64,
    /// The largest part in bytes.
    pub max_part: u64,
    /// The most parts.
    pub max_parts: u32,
}

impl MultipartLimits {
    /// Limits of these numbers.
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
    /// Whether a listing can begin behind a key. Where that is emulated, it begins at the
    /// beginning of the prefix and leaves out what is before.
    #[serde(default = "native")]
    pub start_after: Support,
    /// Whether a listing that is asked for them tells attributes and checksums of the
    /// objects, as a head does. It may leave out those of an object that has tags, or very
    /// much attached to it.
    #[serde(default)]
    pub list_attributes: bool,
    /// Whether objects can be read from the middle.
    pub range_get: Support,
    /// Whether a read can be bound to an ETag.
    pub conditional_get: Support,
    /// Whether a put can demand that no object is there.
    pub put_if_absent: Support,
    /// Whether a put can demand a certain ETag.
    pub put_if_match: Support,
    /// Whether completing a multipart upload takes preconditions.
    pub conditional_complete: Support,
    /// Whether a delete can demand a certain ETag.
    pub conditional_delete: Support,
    /// The largest object that one put may carry, in bytes.
    pub max_single_put: u64,
    /// The largest object in bytes.
    pub max_object: u64,
    /// Limits of multipart uploads; `None` where there is no such facet.
    pub multipart: Option<MultipartLimits>,
    /// Whether a part is written at its place in the object, so that
    /// [`PartSpec::range`](crate::PartSpec::range) must be that place (local
    /// disks); elsewhere only its length counts.
    pub parts_by_place: bool,
    /// Whether the parts of an upload can be listed.
    pub list_parts: Support,
    /// Whether the uploads of a key can be listed.
    pub list_uploads: Support,
    /// Whether the store keeps account of uploads: refuses one that was never begun, and
    /// frees the parts of one that is aborted. Where not, aborting does nothing, and parts
    /// that nobody completes go away by themselves after a time.
    #[serde(default = "native")]
    pub upload_records: Support,
    /// Whether objects can be copied without passing through the caller.
    pub server_copy: Support,
    /// Whether such copies are made on this machine (local disks), where reading the
    /// source costs no network: the engine then reads it once, for its digest.
    #[serde(default)]
    pub copies_here: bool,
    /// Whether versions are kept and can be listed.
    pub versions: Support,
    /// Most keys in one delete request.
    pub delete_batch: usize,
    /// Whether the ETag of an object that was put in one go is the MD5 of its
    /// bytes, and that of one put in parts the MD5 of their MD5s with their number
    /// behind a `-`. Not so where the store encrypts with keys of its own (SSE-KMS,
    /// SSE-C): say so there, or unchanged objects are taken for changed ones.
    #[serde(default)]
    pub etag_is_md5: bool,
    /// Whether the time of last modification is one that the writer sets (local
    /// disks), so that a copy has the time of its source.
    #[serde(default)]
    pub keeps_mtime: bool,
    /// The attributes that the backend keeps.
    pub attributes: Vec<Attribute>,
    /// Which names user metadata may have.
    #[serde(default)]
    pub metadata_names: MetadataNames,
    /// Which characters names and values of tags may hold.
    #[serde(default)]
    pub tag_characters: TagCharacters,
    /// Whether storage classes can be chosen.
    pub storage_class: Support,
    /// Checksums that the server verifies while it takes an upload.
    pub verified_checksums: Vec<ChecksumAlgorithm>,
    /// Whether uploads may be signed chunk by chunk
    /// (`STREAMING-AWS4-HMAC-SHA256-PAYLOAD`).
    pub signed_chunks: Support,
    /// Whether uploads may carry their checksum in a trailer.
    pub trailers: Support,
    /// Whether TLS protects the bytes on their way.
    pub tls: bool,
    /// Whether the whole body of an upload is held in memory before it is sent,
    /// because it must be hashed first. Who counts memory counts the body then.
    #[serde(default)]
    pub holds_uploads: bool,
    /// Whether a layer below tries again by itself. Who retries on its own, as
    /// the engine does, refuses such a store: there is one owner of retries.
    #[serde(default)]
    pub retries: bool,
    /// Which keys are held exactly.
    pub keys: KeyRules,
}

impl Capabilities {
    /// A backend that does everything with no limits: the start for an
    /// in-memory backend. Fields are public: set what differs.
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
            parts_by_place: false,
            list_parts: Support::Native,
            list_uploads: Support::Native,
            upload_records: Support::Native,
            server_copy: Support::Native,
            copies_here: false,
            versions: Support::Native,
            delete_batch: 1000,
            etag_is_md5: false,
            keeps_mtime: false,
            attributes: Attribute::ALL.to_vec(),
            metadata_names: MetadataNames::Any,
            tag_characters: TagCharacters::Any,
            storage_class: Support::Native,
            verified_checksums: Vec::new(),
            signed_chunks: Support::Unsupported,
            trailers: Support::Unsupported,
            tls: false,
            holds_uploads: false,
            retries: false,
            keys: KeyRules::any(1024),
        }
    }

    /// Whether the backend keeps this attribute.
    pub fn keeps(&self, attribute: Attribute) -> bool {
        self.attributes.contains(&attribute)
    }

    /// Takes away what the backend does not keep of these attributes, and tells which that
    /// concerned.
    pub fn keep(&self, attributes: &mut Attributes) -> Vec<Attribute> {
        self.attribute_rules().keep(attributes)
    }

    /// Refuses attributes that the backend does not keep.
    ///
    /// # Errors
    /// `unsupported` for what is never kept; `invalid_input` for a name of metadata or a
    /// tag that is not allowed.
    pub fn check_attributes(&self, attributes: &Attributes) -> Result<()> {
        self.attribute_rules().check(attributes, &self.preset)
    }

    fn attribute_rules(&self) -> AttributeRules<'_> {
        AttributeRules { kept: &self.attributes, names: self.metadata_names, tags: self.tag_characters }
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
    /// `invalid_input` for an unknown field, listing the known ones,
    /// or a value of the wrong form.
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
