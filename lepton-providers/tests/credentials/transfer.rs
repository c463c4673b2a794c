//! Credentials that change in the middle of a transfer to a real MinIO. The service beside
//! the container is a fake ([`super::service`]), and so is the clock, which runs fast: real
//! credentials live longer than a test may.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use lepton_core::{ErrorKind, MemoryStorage, ObjectKey, Result, SharedStorage, StorageExt as _};
use lepton_data::{Report, Status, Transfer};
use lepton_providers::s3::{Preset, S3Config};

use super::home::{Clock, Home};
use super::servers::{self, KEY, SECRET, Server};
use super::service::{Service, ok, refuse};

const OBJECTS: usize = 150;

/// What a container's service says of MinIO's own key, for a minute; it refuses after so
/// many questions.
async fn issuer(clock: &Arc<Clock>, most: u32) -> Service {
    let (clock, count) = (Arc::clone(clock), AtomicU32::new(0));
    Service::start(move |_| {
        if count.fetch_add(1, Ordering::Relaxed) >= most {
            return refuse(403);
        }
        let end = clock.after(60);
        ok(format!(r#"{{"AccessKeyId": "{KEY}", "SecretAccessKey": "{SECRET}", "Expiration": "{end}"}}"#))
    })
    .await
}

async fn source() -> SharedStorage {
    let store = MemoryStorage::new();
    for i in 0..OBJECTS {
        let key = ObjectKey::try_from(format!("objects/{i:03}").as_str()).unwrap();
        store.write(&key, format!("the content of {i}").into()).await.unwrap();
    }
    Arc::new(store)
}

fn destination(server: &Server, bucket: &str, clock: &Arc<Clock>, issuer: &Service) -> SharedStorage {
    let home = Home::of(clock.clone()).var("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{}/x", issuer.endpoint));
    let config = S3Config::new(bucket).endpoint(server.endpoint.clone()).region("us-east-1").preset(Preset::Minio);
    Arc::new(home.open(config).unwrap())
}

async fn move_all(from: &SharedStorage, to: SharedStorage, journal: &Path) -> Result<Report> {
    // Few at a time, so that there is a middle.
    let transfer = Transfer::builder().from(from.clone()).to(to).journal(journal);
    transfer.concurrency(4.try_into().unwrap()).build().unwrap().run().await
}

/// Asserts that everything is there.
async fn arrived(from: &SharedStorage, server: &Server, bucket: &str) {
    let store = lepton_providers::s3::S3Storage::new(server.config(bucket)).unwrap();
    for i in 0..OBJECTS {
        let key = ObjectKey::try_from(format!("objects/{i:03}").as_str()).unwrap();
        assert_eq!(store.read(&key, 99).await.unwrap(), from.read(&key, 99).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_expire_in_the_middle_are_renewed_and_nobody_notices() {
    let Some(server) = servers::all().into_iter().find(|server| server.name == "minio") else { return };
    let (bucket, from, clock) = (server.new_bucket().await, source().await, Clock::hasty());
    let (issuer, journal) = (issuer(&clock, u32::MAX).await, tempfile::tempdir().unwrap());
    let report = move_all(&from, destination(&server, &bucket, &clock, &issuer), journal.path()).await.unwrap();
    assert_eq!((report.status, report.objects), (Status::Complete, OBJECTS as u64), "{:?}", report.failures);
    arrived(&from, &server, &bucket).await;
    assert!(issuer.count() >= 2, "asked {} times", issuer.count());
    assert!(issuer.count() <= 60, "asked {} times in ten minutes", issuer.count());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_in_the_middle_ends_the_run_and_the_journal_goes_on() {
    let Some(server) = servers::all().into_iter().find(|server| server.name == "minio") else { return };
    let (bucket, from, journal) = (server.new_bucket().await, source().await, tempfile::tempdir().unwrap());
    let clock = Clock::hasty();
    let once = issuer(&clock, 1).await;
    let error = move_all(&from, destination(&server, &bucket, &clock, &once), journal.path()).await.unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Unauthenticated, Some(403)), "{error:?}");
    assert!(error.to_string().contains("service of the container"), "{error}");
    let clock = Clock::hasty();
    let always = issuer(&clock, u32::MAX).await;
    let report = move_all(&from, destination(&server, &bucket, &clock, &always), journal.path()).await.unwrap();
    assert_eq!(report.status, Status::Complete, "{:?}", report.failures);
    assert!(report.resumed_objects > 0, "it was in the middle: {report:?}");
    arrived(&from, &server, &bucket).await;
}
