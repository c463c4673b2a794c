//! The conformance suite, with what the preset declares.

use std::sync::Arc;

use lepton_core::SharedStorage;
use lepton_core::conformance::{Options, run};

use super::server;

#[tokio::test]
async fn the_emulator_does_what_its_preset_declares() {
    let Some(store) = server::fresh().await else { return };
    let store: SharedStorage = Arc::new(store);
    let reading: SharedStorage = Arc::new(server::reading().await.unwrap());
    let report = run(&store, Options::new().read_only(reading)).await;
    println!("azurite: {report}");
    let failed: Vec<_> = report.failures().collect();
    assert!(failed.is_empty() && report.passed() > 50, "{failed:#?}");
}
