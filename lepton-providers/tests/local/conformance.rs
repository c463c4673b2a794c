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

/// A key that ends in `/` is kept with markers, but only without bytes: nothing
/// in the capabilities can say that, so one case asks for too much.
#[tokio::test]
async fn the_suite_passes_with_markers_but_for_bytes_in_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let builder = builder(dir.path()).empty_directories(EmptyDirectories::Marker);
    let store: SharedStorage = Arc::new(builder.open().await.unwrap());
    let report = run(&store, Options::new()).await;
    println!("{report}");
    let failures: Vec<_> = report.failures().collect();
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert_eq!(failures[0].0, "keys/odd_keys_are_held_exactly_or_refused");
    assert!(failures[0].1.contains("a folder holds no bytes"), "{failures:?}");
    assert!(report.passed() > 50);
}
