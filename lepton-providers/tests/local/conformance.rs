//! The suite that every backend passes, for every policy that changes what a key
//! or a listing is.

use std::sync::Arc;

use lepton_core::SharedStorage;
use lepton_core::conformance::{Options, run};
use lepton_providers::local::{EmptyDirectories, Symlinks};

use super::builder;

#[tokio::test]
async fn the_suite_passes() {
    for links in [Symlinks::Skip, Symlinks::Follow] {
        let dir = tempfile::tempdir().unwrap();
        let store: SharedStorage = Arc::new(builder(dir.path()).symlinks(links).paranoid(true).open().await.unwrap());
        let report = run(&store, Options::new()).await;
        println!("{links:?}\n{report}");
        report.check().unwrap();
    }
}

#[tokio::test]
async fn the_suite_passes_with_markers() {
    let dir = tempfile::tempdir().unwrap();
    let builder = builder(dir.path()).empty_directories(EmptyDirectories::Marker);
    let store: SharedStorage = Arc::new(builder.open().await.unwrap());
    let report = run(&store, Options::new()).await;
    println!("{report}");
    report.check().unwrap();
}
