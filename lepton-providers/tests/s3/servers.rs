//! Where the servers are, and a fresh bucket on one of them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use lepton_providers::s3::{Preset, S3Config, S3Storage};

pub(crate) const KEY: &str = "lepton-test-key";
pub(crate) const SECRET: &str = "lepton-test-secret";

#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) preset: Preset,
    pub(crate) endpoint: String,
}

/// The servers that are there. Says which are not.
pub(crate) fn all() -> Vec<Server> {
    let known = [
        ("MINIO", "minio", Preset::Minio),
        ("VERSITYGW", "versitygw", Preset::Versitygw),
        ("MOTO", "moto", Preset::Moto),
    ];
    let mut servers = Vec::new();
    for (variable, name, preset) in known {
        match std::env::var(format!("LEPTON_TEST_{variable}")) {
            Ok(endpoint) => servers.push(Server { name, preset, endpoint }),
            Err(_) if std::env::var("LEPTON_TEST_REQUIRED").is_ok_and(|value| value == "1") => {
                panic!("LEPTON_TEST_{variable} is not set, and LEPTON_TEST_REQUIRED=1")
            }
            Err(_) => println!("skipped: LEPTON_TEST_{variable} is not set"),
        }
    }
    servers
}

impl Server {
    pub(crate) fn config(&self, bucket: &str) -> S3Config {
        S3Config::new(bucket)
            .endpoint(self.endpoint.clone())
            .region("us-east-1")
            .preset(self.preset)
            .access_key_id(KEY)
            .secret_access_key(SECRET)
            .proxy("none")
    }

    /// A store over a bucket that did not exist before.
    pub(crate) async fn fresh(&self) -> S3Storage {
        S3Storage::new(self.config(&self.new_bucket().await)).unwrap()
    }

    pub(crate) async fn new_bucket(&self) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        let bucket = format!("lepton-{}-{nanos}", COUNT.fetch_add(1, Ordering::Relaxed));
        S3Storage::new(self.config(&bucket)).unwrap().create_bucket().await.unwrap();
        bucket
    }
}
