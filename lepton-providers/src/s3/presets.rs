//! The known properties of stores, as data.

use lepton_core::{
    Attribute, Capabilities, ChecksumAlgorithm, KeyHandling, KeyRules, ListOrder, MetadataNames, MultipartLimits,
    Support, TagCharacters,
};

use super::config::Preset;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

/// The capabilities of a store, before the user's overrides.
pub(super) fn capabilities(preset: Preset) -> Capabilities {
    match preset {
        Preset::Aws => aws(),
        Preset::Minio => minio(),
        Preset::Versitygw => versitygw(),
        Preset::Moto => moto(),
        Preset::Auto | Preset::Generic => generic(),
    }
}

/// The capabilities of a server that is known by its name. Its first write proves most of them
/// ([`Client::prove`](super::client::Client)); nothing proves that it honours a condition on a
/// delete, except by deleting.
pub(super) fn found_by_name(preset: Preset) -> Capabilities {
    let mut capabilities = capabilities(preset);
    if capabilities.conditional_delete.is_available() {
        capabilities.conditional_delete = Support::Unknown;
    }
    capabilities
}

/// Whether copies support preconditions on the object that they write.
pub(super) fn copies_conditionally(capabilities: &Capabilities) -> bool {
    capabilities.preset == "aws"
}

/// Whether an upload that announces a checksum cannot include parts that the store
/// copies: MinIO computes no checksum of such a part, but requires it.
pub(super) fn checksums_refuse_copied_parts(capabilities: &Capabilities) -> bool {
    capabilities.preset == "minio"
}

/// Whether copies lose `Expires` unless the request sets it.
pub(super) fn copies_lose_expires(capabilities: &Capabilities) -> bool {
    capabilities.preset == "minio"
}

/// The keys that can be read: all except those for which the store returns another
/// object.
pub(super) fn reading(rules: &KeyRules) -> KeyRules {
    relaxed(rules, &[KeyHandling::Refused, KeyHandling::Unknown])
}

/// The keys that can be deleted: as for reading, except where it is unknown whether
/// another object would be deleted.
pub(super) fn deleting(rules: &KeyRules) -> KeyRules {
    relaxed(rules, &[KeyHandling::Refused])
}

fn relaxed(rules: &KeyRules, harmless: &[KeyHandling]) -> KeyRules {
    let mut rules = rules.clone();
    for handling in [
        &mut rules.control_characters,
        &mut rules.empty_segments,
        &mut rules.dot_segments,
        &mut rules.leading_slash,
        &mut rules.trailing_slash,
    ] {
        if harmless.contains(handling) {
            *handling = KeyHandling::Kept;
        }
    }
    rules
}

/// Amazon S3: "Amazon S3 objects overview", "multipart upload limits" and
/// "conditional requests" in its user guide.
fn aws() -> Capabilities {
    let mut capabilities = Capabilities::everything("aws");
    capabilities.max_single_put = 5 * GIB;
    capabilities.max_object = 10_000 * 5 * GIB;
    capabilities.multipart = Some(MultipartLimits::new(5 * MIB, 5 * GIB, 10_000));
    capabilities.verified_checksums =
        vec![ChecksumAlgorithm::Sha256, ChecksumAlgorithm::Crc64Nvme, ChecksumAlgorithm::Crc32c];
    capabilities.signed_chunks = Support::Native;
    capabilities.trailers = Support::Native;
    capabilities.etag_is_md5 = true;
    capabilities.metadata_names = MetadataNames::Headers;
    capabilities.tag_characters = TagCharacters::Words;
    capabilities.keys = KeyRules::any(1024);
    capabilities.keys.utf8_only = true;
    capabilities
}

/// MinIO, as its last published source behaves (2026-02-12). It accepts `a/b` next to
/// `a`, but lists only `a`.
fn minio() -> Capabilities {
    let mut capabilities = aws();
    capabilities.preset = "minio".into();
    capabilities.tag_characters = TagCharacters::Any;
    capabilities.max_single_put = 5 * TIB;
    capabilities.max_object = 5 * TIB;
    capabilities.storage_class = Support::Unsupported;
    capabilities.conditional_delete = Support::Unsupported;
    capabilities.keys.max_segment_bytes = 255;
    capabilities.keys.forbidden_bytes = vec![0];
    capabilities.keys.empty_segments = KeyHandling::Refused;
    capabilities.keys.dot_segments = KeyHandling::Refused;
    capabilities.keys.leading_slash = KeyHandling::Changed;
    capabilities.keys.file_beside_folder = KeyHandling::Changed;
    capabilities
}

/// versitygw 1.8 over a folder: keys are paths of files, and a key that ends in `/` is
/// the folder itself. Control characters are kept, but its listings show U+FFFD instead.
fn versitygw() -> Capabilities {
    let mut capabilities = aws();
    capabilities.preset = "versitygw".into();
    capabilities.storage_class = Support::Unsupported;
    capabilities.keys.max_segment_bytes = 255;
    capabilities.keys.forbidden_bytes = vec![0];
    capabilities.keys.control_characters = KeyHandling::Changed;
    capabilities.keys.trailing_slash = KeyHandling::Refused;
    capabilities.keys.empty_segments = KeyHandling::Changed;
    capabilities.keys.dot_segments = KeyHandling::Changed;
    capabilities.keys.leading_slash = KeyHandling::Changed;
    capabilities.keys.file_beside_folder = KeyHandling::Refused;
    capabilities
}

/// moto 5.2, a mock: it keeps every key except those with a line feed, which it confuses
/// with others, and verifies neither signatures nor checksums.
fn moto() -> Capabilities {
    let mut capabilities = aws();
    capabilities.preset = "moto".into();
    capabilities.keys.forbidden_bytes = vec![b'\n'];
    // It takes trailers, and then states wrong checksums of objects in parts.
    capabilities.trailers = Support::Unsupported;
    // It compares nothing with the ETag of an object that exists.
    capabilities.conditional_complete = Support::Unsupported;
    capabilities.verified_checksums = Vec::new();
    capabilities
}

/// Any other store: the common subset of S3, without assumptions that could lose data if
/// they were wrong.
fn generic() -> Capabilities {
    let mut capabilities = aws();
    capabilities.preset = "generic".into();
    capabilities.list_order = ListOrder::Bytes;
    capabilities.put_if_absent = Support::Unknown;
    capabilities.put_if_match = Support::Unknown;
    capabilities.conditional_complete = Support::Unknown;
    capabilities.conditional_delete = Support::Unknown;
    capabilities.versions = Support::Unknown;
    capabilities.storage_class = Support::Unknown;
    capabilities.max_object = 5 * TIB;
    capabilities.verified_checksums = Vec::new();
    capabilities.signed_chunks = Support::Unknown;
    capabilities.trailers = Support::Unknown;
    capabilities.attributes = Attribute::ALL.to_vec();
    for handling in [
        &mut capabilities.keys.control_characters,
        &mut capabilities.keys.empty_segments,
        &mut capabilities.keys.dot_segments,
        &mut capabilities.keys.leading_slash,
        &mut capabilities.keys.file_beside_folder,
    ] {
        *handling = KeyHandling::Unknown;
    }
    capabilities
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_no_headers_are_lost_and_do_not_fail_the_object() {
        for preset in [Preset::Aws, Preset::Minio, Preset::Generic] {
            let mut attributes = lepton_core::Attributes::default();
            // Samba writes the first of these to files.
            attributes.user_metadata = ["DOSATTRIB", "two words", "kept"].map(|name| (name.into(), "x".into())).into();
            assert_eq!(capabilities(preset).retain_kept(&mut attributes), [Attribute::UserMetadata]);
            assert_eq!(attributes.user_metadata.into_keys().collect::<Vec<_>>(), ["kept"]);
        }
    }

    #[test]
    fn unknown_capabilities_are_refused_by_name() {
        let rules = capabilities(Preset::Generic).keys;
        for key in ["/lead", "a//b", "./a", "a/..", "a\u{1}"] {
            let error = rules.check(&key.try_into().unwrap()).unwrap_err();
            assert!(error.to_string().contains("not known"), "{error}");
        }
        rules.check(&"plain/key with space/".try_into().unwrap()).unwrap();
    }
}
