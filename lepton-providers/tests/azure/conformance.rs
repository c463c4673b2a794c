//! The conformance suite, with what the preset declares.

use std::sync::Arc;

use lepton_core::conformance::{Options, run};
use lepton_core::{SharedStorage, SystemEnv};
use lepton_providers::layers::{RetryOptions, retry};

use super::server;

#[tokio::test]
async fn the_emulator_does_what_its_preset_declares() {
    let Some(store) = server::fresh().await else { return };
    // Azurite closes a connection that was idle for 5 s, also as it is used again.
    let store = retry(Arc::new(store), RetryOptions::default(), SystemEnv::shared()).unwrap();
    let reading: SharedStorage = Arc::new(server::reading().await.unwrap());
    let report = run(&store, Options::new().read_only(reading)).await;
    println!("azurite: {report}");
    let failed: Vec<_> = report.failures().collect();
    assert!(failed.is_empty() && report.passed() > 50, "{failed:#?}");
}
