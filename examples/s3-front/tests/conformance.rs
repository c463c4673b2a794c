//! The conformance suite through the S3 backend and this front: they deliver what the in-memory
//! storage behind them promises.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

mod common;

use std::sync::Arc;

use common::{ACCESS, SECRET, front};
use lepton_core::{Capabilities, MemoryStorage, MultipartLimits, SharedStorage, Support, conformance};
use lepton_providers::s3::{AddressingStyle, Preset, S3Config, S3Storage};
use lepton_s3_front::Server;

async fn serve(storage: SharedStorage) -> Server {
    front().bucket("bucket", storage).domain("s3.localhost").build().unwrap().serve("127.0.0.1:0").await.unwrap()
}

fn config(server: &Server) -> S3Config {
    S3Config::new("bucket")
        .endpoint(server.endpoint())
        .region("us-east-1")
        .preset(Preset::Aws)
        .addressing_style(AddressingStyle::Path)
        .access_key_id(ACCESS)
        .secret_access_key(SECRET)
        .proxy("none")
}

/// The capabilities of Amazon S3 that the backend relies on.
async fn conforms(versioned: bool) {
    let mut capabilities = Capabilities::everything("memory");
    capabilities.multipart = Some(MultipartLimits::new(5 << 20, 5 << 30, 10_000));
    if !versioned {
        capabilities.versions = Support::Unsupported;
    }
    let storage = MemoryStorage::builder().versioned(versioned).capabilities(capabilities).build();
    let server = serve(Arc::new(storage)).await;
    let client: SharedStorage = Arc::new(S3Storage::new(config(&server)).unwrap());
    let report = conformance::run(&client, conformance::Options::new()).await;
    println!("{report}");
    report.check().unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_plain_bucket_conforms() {
    conforms(false).await;
}

#[tokio::test]
async fn a_versioned_bucket_conforms() {
    conforms(true).await;
}
