//! A fresh, empty place of every kind that is there: memory, a local folder, the
//! S3 server of this process, and the real servers that `cargo xtask test` starts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use futures_util::TryStreamExt as _;
use lepton::core::{DeleteRequest, ListRequest};
use lepton::providers::local::LocalStorage;
use lepton::providers::s3::{Preset, S3Config, S3Storage};
use lepton::{MemoryStorage, SharedStorage};

use super::{ACCESS_KEY, Cloud, SECRET_KEY};

/// A place that nobody else uses, and what must live as long as it.
pub struct Place {
    pub kind: &'static str,
    pub storage: SharedStorage,
    _folder: Option<tempfile::TempDir>,
    _cloud: Option<Cloud>,
}

/// The kinds that can be had here. Says which cannot; where a server is required,
/// its absence is a failure.
pub fn kinds() -> Vec<&'static str> {
    ["memory", "local", "front"].into_iter().chain(servers().into_iter().map(|(kind, ..)| kind)).collect()
}

/// The real servers that can be had here, with their endpoints.
pub fn servers() -> Vec<(&'static str, Preset, String)> {
    SERVERS.into_iter().filter_map(|(kind, preset, variable)| Some((kind, preset, given(variable)?))).collect()
}

/// Whether what is not there is a failure.
pub fn required() -> bool {
    std::env::var("LEPTON_TEST_REQUIRED").is_ok_and(|value| value == "1")
}

/// A number from an environment variable.
pub fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

/// What the test driver gives in an environment variable. Says where it does not;
/// where everything is required that is a failure.
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
            let requests = page.objects.into_iter().map(|meta| DeleteRequest::new(meta.key)).collect();
            for result in self.storage.delete(requests).await.unwrap() {
                result.unwrap();
            }
        }
    }
}

/// Runs `case` for every destination of every source that `fill` made.
pub async fn every_pair<F: AsyncFn(&SharedStorage), C: AsyncFn(&Place, &Place)>(fill: F, case: C) {
    let kinds = kinds();
    for from in &kinds {
        let source = Place::fresh(from).await;
        fill(&source.storage).await;
        for to in &kinds {
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
