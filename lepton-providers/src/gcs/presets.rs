//! The known properties of the service and its emulator, as data.

use lepton_core::{
    Attribute, Capabilities, ChecksumAlgorithm, KeyHandling, KeyRules, ListOrder, MetadataNames, MultipartLimits,
    Support,
};

use super::config::Preset;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

/// The capabilities of a service, before the user's overrides.
pub(super) fn capabilities(preset: Preset) -> Capabilities {
    match preset {
        Preset::FakeGcs => fake_gcs(),
        Preset::Auto | Preset::Gcs => gcs(),
    }
}

/// Google Cloud Storage: "Quotas and limits", "About objects" and "XML API multipart
/// uploads" in its documentation.
fn gcs() -> Capabilities {
    let mut capabilities = Capabilities::everything("gcs");
    capabilities.list_order = ListOrder::Bytes;
    capabilities.list_attributes = true;
    capabilities.metadata_names = MetadataNames::Headers;
    capabilities.max_single_put = 5 * TIB;
    capabilities.max_object = 5 * TIB;
    capabilities.multipart = Some(MultipartLimits::new(5 * MIB, 5 * GIB, 10_000));
    // Multipart uploads do not support preconditions.
    capabilities.conditional_complete = Support::Unsupported;
    capabilities.delete_batch = 1;
    let kept = |one: &Attribute| !matches!(one, Attribute::Expires | Attribute::Tags);
    capabilities.attributes.retain(kept);
    capabilities.verified_checksums = vec![ChecksumAlgorithm::Crc32c];
    capabilities.buffers_uploads = true;
    capabilities.keys = KeyRules::any(1024);
    capabilities.keys.utf8_only = true;
    // "Object names cannot contain Carriage Return or Line Feed characters", nor be `.`
    // or `..`; other control characters are to be avoided.
    capabilities.keys.forbidden_bytes = vec![b'\r', b'\n'];
    capabilities.keys.dot_segments = KeyHandling::Unknown;
    capabilities.keys.forbidden_prefixes = vec![".well-known/acme-challenge/".into()];
    capabilities
}

/// fake-gcs-server, with its objects in memory. It does not support multipart uploads,
/// and ignores the conditions of deletes and of copies, so neither can be relied on.
fn fake_gcs() -> Capabilities {
    let mut capabilities = gcs();
    capabilities.preset = "fake-gcs".into();
    capabilities.multipart = None;
    capabilities.list_parts = Support::Unsupported;
    capabilities.list_uploads = Support::Unsupported;
    capabilities.conditional_delete = Support::Unsupported;
    capabilities.server_copy = Support::Unsupported;
    capabilities.keys.dot_segments = KeyHandling::Kept;
    capabilities
}
