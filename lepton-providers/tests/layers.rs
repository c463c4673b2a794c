//! A store with a layer around it is still a store: the conformance suite runs
//! over each layer, and over all of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

use std::num::NonZeroUsize;
use std::sync::Arc;

use lepton_core::conformance::{Options, Outcome, run};
use lepton_core::{Capabilities, MemoryStorage, SharedStorage, Support, SystemRuntime};
use lepton_providers::layers::{RetryConfig, limit, retry, trace};

type Layer = fn(SharedStorage) -> SharedStorage;

/// The suite has at most 16 requests in flight; fewer places make them wait.
fn limited(store: SharedStorage) -> SharedStorage {
    limit(store, NonZeroUsize::new(3).unwrap())
}

fn retried(store: SharedStorage) -> SharedStorage {
    retry(store, RetryConfig::default(), SystemRuntime::shared()).unwrap()
}

const LAYERS: [Layer; 4] = [limited, trace, retried, |store| retried(limited(trace(store)))];

async fn outcomes(store: &SharedStorage) -> Vec<(&'static str, Outcome)> {
    let report = run(store, Options::new()).await;
    report.check().unwrap();
    report.cases.into_iter().map(|case| (case.name, case.outcome)).collect()
}

/// Each layer passes, and the same cases apply as without it.
async fn is_transparent(memory: impl Fn() -> MemoryStorage) {
    let bare = outcomes(&(Arc::new(memory()) as SharedStorage)).await;
    for layer in LAYERS {
        assert_eq!(outcomes(&layer(Arc::new(memory()))).await, bare);
    }
}

#[tokio::test]
async fn layers_have_every_facet_of_what_they_wrap() {
    is_transparent(|| MemoryStorage::builder().versioned(true).build()).await;
}

#[tokio::test]
async fn layers_have_no_facet_of_their_own() {
    let mut weak = Capabilities::everything("weak");
    weak.multipart = None;
    weak.server_copy = Support::Unsupported;
    is_transparent(|| MemoryStorage::builder().capabilities(weak.clone()).build()).await;
}
