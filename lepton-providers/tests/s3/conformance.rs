//! The conformance suite over buckets that keep versions, with what each preset declares. Those
//! that keep none are in the table of `docs/conformance.md`, which `tests/conformance.rs` checks.

use std::sync::Arc;

use lepton_core::SystemRuntime;
use lepton_core::conformance::{Options, run};
use lepton_providers::layers::{RetryConfig, retry};
use lepton_providers::s3::S3Storage;

use super::servers;

/// What the mock does otherwise than a real store: it fails with 500 where an
/// upload is not there, and checks neither the order of parts nor the tag of the
/// source of a copy; it lists delete markers behind all versions; it goes on with a request
/// that was dropped while the next one comes.
const MOTO_FAILS: [&str; 8] = [
    "uploads/an_aborted_upload_is_gone",
    "uploads/an_unknown_upload_is_named",
    "uploads/wrong_parts_make_no_object",
    "interruptions/an_upload_that_is_dropped_leaves_nothing_unlisted",
    "copies/conditions_on_the_source_hold",
    "copies/ranges_become_parts",
    "versions/a_delete_hides_and_can_be_undone",
    "versions/versions_are_listed_newest_first",
];

/// versitygw fails with 500 where a name that is a folder is deleted from a
/// bucket with versions.
const VERSITYGW_FAILS_WITH_VERSIONS: [&str; 3] = [
    "objects/what_is_not_there_is_not_found",
    "deletes/deleting_what_is_absent_succeeds",
    "keys/a_file_beside_a_folder_is_held_or_refused",
];

#[tokio::test]
async fn every_server_keeps_versions_as_its_preset_declares() {
    for server in servers::all() {
        let store = server.fresh().await;
        store.enable_versioning().await.unwrap();
        let known: &[&str] = match server.name {
            "moto" => &MOTO_FAILS,
            "versitygw" => &VERSITYGW_FAILS_WITH_VERSIONS,
            _ => &[],
        };
        conforms(server.name, store, known).await;
    }
}

async fn conforms(server: &str, store: S3Storage, known: &[&str]) {
    // A server that has much to do closes connections and asks for patience.
    let store = retry(Arc::new(store), RetryConfig::default(), SystemRuntime::shared()).unwrap();
    let report = run(&store, Options::new().many(20)).await;
    println!("{server}: {report}");
    let failed: Vec<_> = report.failures().filter(|(name, _)| !known.contains(name)).collect();
    assert!(failed.is_empty() && report.passed() > 50, "{server}: {failed:#?}");
}
