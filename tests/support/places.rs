//! Fresh, empty places of every available kind: memory, a local folder, the S3 server of this
//! process, and the real servers that `cargo xtask test` starts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use futures_util::TryStreamExt as _;
use lepton::core::{DeleteRequest, ListRequest};
use lepton::providers::local::LocalStorage;
use lepton::providers::s3::{Preset, S3Config, S3Storage};
use lepton::{MemoryStorage, SharedStorage};

#[path = "../../lepton-providers/tests/azure/server.rs"]
pub mod azurite;
#[path = "../../lepton-providers/tests/gcs/front.rs"]
pub mod front;
#[path = "../../lepton-providers/tests/gcs/server.rs"]
pub mod gcs;

use super::{ACCESS_KEY, Cloud, SECRET_KEY};

/// A place that no other test uses, and the values that must live as long.
pub struct Place {
    pub kind: &'static str,
    pub storage: SharedStorage,
    _folder: Option<tempfile::TempDir>,
    _cloud: Option<Cloud>,
}

/// The available kinds. Prints which are missing; where servers are required, a missing one is
/// a failure.
pub fn kinds() -> Vec<&'static str> {
    let s3 = servers().into_iter().map(|(kind, ..)| kind);
    let others = OTHERS.into_iter().filter(|(_, variables)| variables.iter().all(|v| given(v).is_some()));
    ["memory", "local", "front"].into_iter().chain(s3).chain(others.map(|(kind, ..)| kind)).collect()
}

/// Other stores, and the environment variables of their servers.
const OTHERS: [(&str, &[&str]); 2] =
    [("azurite", &["LEPTON_TEST_AZURITE"]), ("fake-gcs", &["LEPTON_TEST_FAKE_GCS", "LEPTON_TEST_MINIO"])];

/// The available real servers, with their endpoints.
pub fn servers() -> Vec<(&'static str, Preset, String)> {
    SERVERS.into_iter().filter_map(|(kind, preset, variable)| Some((kind, preset, given(variable)?))).collect()
}

/// Whether a missing server is a failure.
pub fn required() -> bool {
    std::env::var("LEPTON_TEST_REQUIRED").is_ok_and(|value| value == "1")
}

/// A number from an environment variable.
pub fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

/// The value of an environment variable that the test driver sets. Prints a message if it is
/// missing, and fails where servers are required.
pub fn given(variable: &str) -> Option<String> {
    let value = std::env::var(variable).ok();
    if value.is_none() {
        assert!(!required(), "{variable} is not set, and LEPTON_TEST_REQUIRED=1");
        println!("skipped: {variable} is not set");
    }
    value
}

const SERVERS: [(&str, Preset, &str); 3] = [
    ("minio", Preset::Minio, "LEPTON_TEST_MINIO"),
    ("versitygw", Preset::Versitygw, "LEPTON_TEST_VERSITYGW"),
    ("moto", Preset::Moto, "LEPTON_TEST_MOTO"),
];

impl Place {
    pub async fn fresh(kind: &'static str) -> Self {
        let place = |storage: SharedStorage| Self { kind, storage, _folder: None, _cloud: None };
        match kind {
            "memory" => place(Arc::new(MemoryStorage::new())),
            "local" => {
                let folder = tempfile::tempdir().unwrap();
                let storage = LocalStorage::builder(folder.path()).open().await.unwrap();
                Self { _folder: Some(folder), ..place(Arc::new(storage)) }
            }
            "front" => {
                let cloud = Cloud::start(None).await;
                let storage = S3Storage::new(cloud.config()).unwrap();
                Self { _cloud: Some(cloud), ..place(Arc::new(storage)) }
            }
            "azurite" => place(Arc::new(azurite::fresh().await.unwrap())),
            "fake-gcs" => {
                let config = gcs::fresh().await.unwrap();
                place(Arc::new(lepton::providers::gcs::GcsStorage::new(config).unwrap()))
            }
            server => {
                let (_, preset, endpoint) = servers().into_iter().find(|(name, ..)| *name == server).unwrap();
                let storage = S3Storage::new(config(&unused_bucket(), &endpoint, preset)).unwrap();
                storage.create_bucket().await.unwrap();
                place(Arc::new(storage))
            }
        }
    }

    /// Removes every object, so that the servers' memory does not fill up.
    pub async fn clear(self) {
        let pages: Vec<_> = self.storage.list(ListRequest::new()).try_collect().await.unwrap();
        for page in pages {
            let mut left: Vec<_> = page.objects.into_iter().map(|meta| DeleteRequest::new(meta.key)).collect();
            // Servers may close idle connections just as they are being reused.
            for last in [false, false, true] {
                let results = self.storage.delete(left.clone()).await.unwrap();
                let failed =
                    left.into_iter().zip(results).filter_map(|(request, result)| Some((request, result.err()?)));
                left = failed.inspect(|(_, error)| assert!(!last, "{error:?}")).map(|(request, _)| request).collect();
            }
        }
    }
}

/// Secrets that must not appear anywhere, with their names.
pub fn secrets() -> Vec<(&'static str, &'static str)> {
    vec![
        ("the servers' secret", SECRET_KEY),
        ("a wrong secret", WRONG),
        ("Azurite's key", azurite::KEY),
        ("the token of fake-gcs", front::TOKEN),
    ]
}

const WRONG: &str = "d3Jvbmcgc2VjcmV0IG9mIG5vYm9keSBhdCBhbGwh";

/// A store of this kind with wrong credentials.
pub fn wrong(kind: &str) -> Option<SharedStorage> {
    match kind {
        "azurite" => {
            let config = azurite::config("nobodys", &azurite::endpoint()?).account_key(WRONG);
            Some(Arc::new(lepton::providers::azure::AzureStorage::new(config).unwrap()))
        }
        kind => {
            let (_, preset, endpoint) = servers().into_iter().find(|(name, ..)| *name == kind)?;
            let config = config("nobodys", &endpoint, preset).secret_access_key(WRONG);
            Some(Arc::new(S3Storage::new(config).unwrap()))
        }
    }
}

/// A store of this kind whose bucket does not exist.
pub async fn missing(kind: &str) -> Option<SharedStorage> {
    const NONE: &str = "there-is-none";
    match kind {
        "azurite" => {
            let config = azurite::config(NONE, &azurite::endpoint()?);
            Some(Arc::new(lepton::providers::azure::AzureStorage::new(config).unwrap()))
        }
        "fake-gcs" => {
            let config = gcs::unmade(NONE).await?;
            Some(Arc::new(lepton::providers::gcs::GcsStorage::new(config).unwrap()))
        }
        kind => {
            let (_, preset, endpoint) = servers().into_iter().find(|(name, ..)| *name == kind)?;
            Some(Arc::new(S3Storage::new(config(NONE, &endpoint, preset)).unwrap()))
        }
    }
}

/// A store of this kind with read-only permissions, if its server supports that.
pub async fn reading(kind: &str) -> Option<SharedStorage> {
    match kind {
        "azurite" => Some(Arc::new(azurite::reading().await?)),
        _ => None,
    }
}

/// The destinations of a source. With `LEPTON_TEST_PAIRS=all` these are all kinds; otherwise
/// its neighbours in the list, and itself: each kind is read from and written to by two others.
fn destinations(kinds: &[&'static str], from: usize) -> Vec<&'static str> {
    if std::env::var("LEPTON_TEST_PAIRS").is_ok_and(|value| value == "all") {
        return kinds.to_vec();
    }
    let count = kinds.len();
    let mut beside: Vec<usize> = vec![from, (from + 1) % count];
    beside.dedup();
    beside.into_iter().map(|kind| kinds[kind]).collect()
}

/// Runs `case` for each destination of every source, which `fill` has filled.
pub async fn every_pair<F: AsyncFn(&SharedStorage), C: AsyncFn(&Place, &Place)>(fill: F, case: C) {
    let kinds = kinds();
    for (number, from) in kinds.iter().enumerate() {
        let source = Place::fresh(from).await;
        fill(&source.storage).await;
        for to in destinations(&kinds, number) {
            let begin = Instant::now();
            let target = Place::fresh(to).await;
            case(&source, &target).await;
            target.clear().await;
            println!("{from} → {to}: {:.1} s", begin.elapsed().as_secs_f64());
        }
        source.clear().await;
    }
}

pub fn config(bucket: &str, endpoint: &str, preset: Preset) -> S3Config {
    S3Config::new(bucket)
        .endpoint(endpoint)
        .region("us-east-1")
        .preset(preset)
        .access_key_id(ACCESS_KEY)
        .secret_access_key(SECRET_KEY)
        .proxy("none")
}

pub fn unused_bucket() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    format!("lepton-{}-{nanos}", COUNT.fetch_add(1, Ordering::Relaxed))
}
