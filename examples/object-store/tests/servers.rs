//! The clients of the object_store crate against real servers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use lepton::core::{SystemRuntime, conformance};
use lepton::providers::azure::{AzureConfig, AzureStorage};
use lepton::providers::layers::{RetryConfig, retry};
use lepton::providers::s3::{Preset, S3Config, S3Storage};
use lepton::{Location, ObjectKey, SharedStorage, Status, StorageExt as _, Transfer, VerifyDepth, verify};
use lepton_object_store::{azure, bridged, no_retry, set_cryptography};
use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::azure::MicrosoftAzureBuilder;

const ACCESS_KEY: &str = "lepton-test-key";
const SECRET_KEY: &str = "lepton-test-secret";
/// The emulator's well-known account.
const ACCOUNT: &str = "devstoreaccount1";
const ACCOUNT_KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// The address of a server. If it is missing, this is reported, or fails where servers are
/// required.
fn given(variable: &str) -> Option<String> {
    let value = std::env::var(variable).ok();
    if value.is_none() {
        assert!(std::env::var("LEPTON_TEST_REQUIRED").as_deref() != Ok("1"), "{variable} is not set");
        println!("skipped: {variable} is not set");
    }
    value
}

fn fresh_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    format!("lepton-{}-{nanos}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Their client for a MinIO bucket.
fn of_minio(endpoint: &str, bucket: &str, secret: &str) -> SharedStorage {
    let theirs = AmazonS3Builder::new().with_endpoint(endpoint).with_bucket_name(bucket).with_region("us-east-1");
    let theirs = theirs.with_access_key_id(ACCESS_KEY).with_secret_access_key(secret).with_allow_http(true);
    let theirs = theirs.with_conditional_put(S3ConditionalPut::ETagMatch).with_retry(no_retry()).build().unwrap();
    Arc::new(bridged(theirs, &format!("s3://{bucket}")))
}

/// Their client for an Azurite container.
fn of_azurite(endpoint: &str, container: &str, key: &str) -> SharedStorage {
    let theirs = MicrosoftAzureBuilder::new().with_account(ACCOUNT).with_access_key(key);
    let theirs = theirs.with_endpoint(endpoint.to_owned()).with_container_name(container).with_allow_http(true);
    let theirs = theirs.with_retry(no_retry()).build().unwrap();
    Arc::new(azure(theirs, &format!("az://{container}")).unwrap())
}

/// A store through their client and through ours, and the suite's options: clients of a missing
/// bucket and with wrong credentials.
struct Stores {
    theirs: SharedStorage,
    ours: SharedStorage,
    options: conformance::Options,
}

fn options(missing: SharedStorage, wrong: SharedStorage) -> conformance::Options {
    conformance::Options::new().missing_bucket(missing).wrong_credentials(wrong)
}

/// A fresh MinIO bucket.
async fn minio() -> Option<Stores> {
    let (endpoint, bucket) = (given("LEPTON_TEST_MINIO")?, fresh_name());
    let config = S3Config::new(&bucket).endpoint(&endpoint).region("us-east-1").preset(Preset::Minio);
    let config = config.access_key_id(ACCESS_KEY).secret_access_key(SECRET_KEY).proxy("none");
    let ours = S3Storage::new(config).unwrap();
    ours.create_bucket().await.unwrap();
    let missing = of_minio(&endpoint, "there-is-none", SECRET_KEY);
    let options = options(missing, of_minio(&endpoint, &bucket, "wrong"));
    Some(Stores { theirs: of_minio(&endpoint, &bucket, SECRET_KEY), ours: Arc::new(ours), options })
}

/// A fresh Azurite container.
async fn azurite() -> Option<Stores> {
    let endpoint = format!("{}/{ACCOUNT}", given("LEPTON_TEST_AZURITE")?);
    let container = fresh_name();
    let config = AzureConfig::new(&container).account(ACCOUNT).account_key(ACCOUNT_KEY).endpoint(&endpoint);
    let ours = AzureStorage::new(config.proxy("none")).unwrap();
    ours.create_container().await.unwrap();
    let missing = of_azurite(&endpoint, "there-is-none", ACCOUNT_KEY);
    let options = options(missing, of_azurite(&endpoint, &container, "d3Jvbmc="));
    Some(Stores { theirs: of_azurite(&endpoint, &container, ACCOUNT_KEY), ours: Arc::new(ours), options })
}

#[tokio::test(flavor = "multi_thread")]
async fn their_clients_pass_the_suite() {
    set_cryptography();
    for stores in [minio().await, azurite().await].into_iter().flatten() {
        // Under load the emulator closes connections, even as they are being reused.
        let store = retry(stores.theirs, RetryConfig::default(), SystemRuntime::shared()).unwrap();
        let report = conformance::run(&store, stores.options).await;
        println!("{report}");
        let mut failed: Vec<_> = report.failures().collect();
        // A request for many deletes is one error for each of them, which no layer tries again.
        for attempt in 0..2 {
            let mut again = Vec::new();
            for (name, why) in failed {
                println!("attempt {attempt}: {name}: {why}");
                let closed = why.contains("Connection reset") || why.contains("connection closed");
                let once_more = conformance::run(&store, conformance::Options::new().only(name)).await;
                if !closed || once_more.failures().next().is_some() {
                    again.push((name, why));
                }
            }
            failed = again;
        }
        assert!(failed.is_empty() && report.passed() > 30, "{failed:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_they_move_is_proven_by_ours() {
    set_cryptography();
    let (Some(source), Some(target)) = (minio().await, azurite().await) else { return };
    let mut size = 0;
    for number in 0..40_usize {
        let key = ObjectKey::try_from(format!("photos/{number}.jpg").as_str()).unwrap();
        let bytes: Vec<u8> = (0..size).map(|at| (at * 31 + number).to_le_bytes()[0]).collect();
        source.ours.write(&key, bytes.into()).await.unwrap();
        size = if number == 38 { 20 << 20 } else { number * 1000 };
    }
    let folder = tempfile::tempdir().unwrap();
    let transfer = Transfer::builder().from(Location::from(source.theirs)).to(target.theirs).journal(folder.path());
    let report = transfer.build().unwrap().run().await.unwrap();
    assert_eq!((report.status, report.objects), (Status::Complete, 40), "{:?}", report.failures);
    let found =
        verify(report.manifest.as_ref().unwrap(), &Location::from(target.ours), VerifyDepth::Full).await.unwrap();
    assert!(found.is_proven(), "{found:?}");
}

#[test]
fn what_is_none_of_its_stores_is_refused_by_name() {
    for (url, says) in [
        ("photos", "this is no URL"),
        ("ftp://host/photos", "cannot open it"),
        ("file:///tmp", "none of the clouds"),
        ("az://photos?sig=s3cr3t", "Account"),
    ] {
        let report = lepton_object_store::open(url).unwrap_err().full_message();
        assert!(report.contains(says) && !report.contains("s3cr3t"), "{url}: {report}");
    }
}
