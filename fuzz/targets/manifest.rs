//! A manifest is read whole, with sound entries, or refused.

#![no_main]

use lepton_data::ManifestReader;
use sha2::Digest as _;

const HEADER: &str = "{\"lepton_manifest\":1,\"source\":\"a\",\"destination\":\"b\"}\n";

fn read(bytes: &[u8]) {
    let Ok(reader) = ManifestReader::new(bytes) else { return };
    let mut refused = false;
    for entry in reader {
        assert!(!refused, "something follows an error");
        match entry {
            Ok(entry) => assert!(entry.is_consistent(), "{entry:?}"),
            Err(_) => refused = true,
        }
    }
}

/// The bytes as the entries of a manifest whose last line is right, as no mutation
/// would find its digest.
fn closed(entries: &[u8]) -> Vec<u8> {
    let mut manifest = [HEADER.as_bytes(), entries, b"\n"].concat();
    let lines = || entries.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
    let sizes = || lines().filter_map(|line: serde_json::Value| line["size"].as_u64());
    let bytes = sizes().fold(0u64, u64::wrapping_add);
    let digest: String = sha2::Sha256::digest(&manifest).iter().map(|byte| format!("{byte:02x}")).collect();
    let end = format!("{{\"end\":{{\"objects\":{},\"bytes\":{bytes},\"sha256\":\"{digest}\"}}}}\n", sizes().count());
    manifest.extend(end.into_bytes());
    manifest
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    read(bytes);
    read(&closed(bytes));
});
