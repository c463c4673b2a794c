//! The conformance suite, with what each preset declares.

use std::sync::Arc;

use lepton_core::SharedStorage;
use lepton_core::conformance::{Options, run};
use lepton_providers::s3::S3Storage;

use super::servers;

/// What the mock does otherwise than a real store: it fails with 500 where an
/// upload is not there, and checks neither the order of parts nor the tag of the
/// source of a copy.
const MOTO_FAILS: [&str; 5] = [
    "uploads/an_aborted_upload_is_gone",
    "uploads/an_unknown_upload_is_named",
    "uploads/wrong_parts_make_no_object",
    "copies/conditions_on_the_source_hold",
    "copies/ranges_become_parts",
];

#[tokio::test]
async fn every_server_does_what_its_preset_declares() {
    for server in servers::all() {
        let store = server.fresh().await;
        conforms(server.name, store, Options::new()).await;
    }
}

#[tokio::test]
async fn every_server_keeps_versions_as_its_preset_declares() {
    for server in servers::all() {
        let store = server.fresh().await;
        store.enable_versioning().await.unwrap();
        conforms(server.name, store, Options::new().many(20)).await;
    }
}

async fn conforms(server: &str, store: S3Storage, options: Options) {
    let store: SharedStorage = Arc::new(store);
    let report = run(&store, options).await;
    println!("{server}: {report}");
    let known: &[&str] = if server == "moto" { &MOTO_FAILS } else { &[] };
    let failed: Vec<_> = report.failures().filter(|(name, _)| !known.contains(name)).collect();
    assert!(failed.is_empty() && report.passed() > 50, "{server}: {failed:#?}");
}
