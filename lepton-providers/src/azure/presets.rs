//! The known properties of the service and its emulator, as data.

use lepton_core::{
    Attribute, Capabilities, ChecksumAlgorithm, KeyHandling, KeyRules, ListOrder, MetadataNames, MultipartLimits,
    Support, TagCharacters,
};

use super::config::Preset;

const MIB: u64 = 1 << 20;

/// The capabilities of a service, before the user's overrides.
pub(super) fn capabilities(preset: Preset) -> Capabilities {
    match preset {
        Preset::Azurite => azurite(),
        Preset::Hierarchical => hierarchical(),
        Preset::Auto | Preset::Azure => azure(),
    }
}

/// Azure Blob Storage: "Scalability targets", "Naming and referencing containers, blobs,
/// and metadata" and the pages of the operations in its REST reference.
fn azure() -> Capabilities {
    let mut capabilities = Capabilities::everything("azure");
    capabilities.list_order = ListOrder::Bytes;
    // "List Blobs" resumes only from a marker of its own.
    capabilities.start_after = Support::Emulated;
    capabilities.list_attributes = true;
    capabilities.max_single_put = 5000 * MIB;
    capabilities.max_object = 50_000 * 4000 * MIB;
    capabilities.multipart = Some(MultipartLimits::new(1, 4000 * MIB, 50_000));
    // Uncommitted blocks are discarded after a week.
    capabilities.list_uploads = Support::Unsupported;
    capabilities.upload_records = Support::Unsupported;
    // Whether an account keeps versions cannot be queried here.
    capabilities.versions = Support::Unknown;
    capabilities.delete_batch = 1;
    capabilities.attributes = Attribute::ALL.iter().copied().filter(|one| *one != Attribute::Expires).collect();
    capabilities.metadata_names = MetadataNames::Identifiers;
    capabilities.tag_characters = TagCharacters::AsciiWords;
    capabilities.verified_checksums = vec![ChecksumAlgorithm::Crc64Nvme, ChecksumAlgorithm::Md5];
    capabilities.buffers_uploads = true;
    capabilities.keys = KeyRules::any(4096);
    capabilities.keys.max_chars = Some(1024);
    capabilities.keys.utf8_only = true;
    // It is converted to a slash.
    capabilities.keys.forbidden_bytes = vec![b'\\'];
    // "Avoid blob names that end with a dot (.), a forward slash (/), a backslash (\\),
    // or a sequence or combination of the three", and path segments that end with a dot:
    // whether these are kept depends on what is in front of the service.
    capabilities.keys.dot_segments = KeyHandling::Unknown;
    capabilities.keys.trailing_dots = KeyHandling::Unknown;
    capabilities.keys.control_characters = KeyHandling::Unknown;
    capabilities
}

/// With a hierarchical namespace: names are paths of files, and a folder is an object.
fn hierarchical() -> Capabilities {
    let mut capabilities = azure();
    capabilities.preset = "hierarchical".into();
    // A folder sorts before the files next to it, whatever the bytes of their names.
    capabilities.list_order = ListOrder::Unordered;
    capabilities.versions = Support::Unsupported;
    capabilities.attributes.retain(|one| *one != Attribute::Tags);
    capabilities.keys.empty_segments = KeyHandling::Changed;
    capabilities.keys.leading_slash = KeyHandling::Changed;
    capabilities.keys.trailing_slash = KeyHandling::Refused;
    capabilities.keys.dot_segments = KeyHandling::Refused;
    capabilities.keys.file_beside_folder = KeyHandling::Refused;
    capabilities
}

/// Azurite 3, in memory.
fn azurite() -> Capabilities {
    let mut capabilities = azure();
    capabilities.preset = "azurite".into();
    capabilities.versions = Support::Unsupported;
    capabilities.verified_checksums = vec![ChecksumAlgorithm::Md5];
    capabilities
}
