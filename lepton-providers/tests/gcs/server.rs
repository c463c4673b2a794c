//! Where the servers are, and a fresh bucket in both.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use lepton_providers::gcs::{GcsConfig, GcsStorage, Preset};
use lepton_providers::s3::{self, S3Config, S3Storage};

use super::front;

fn server(name: &str) -> Option<String> {
    let variable = format!("LEPTON_TEST_{name}");
    match std::env::var(&variable) {
        Ok(endpoint) => Some(endpoint),
        Err(_) if std::env::var("LEPTON_TEST_REQUIRED").is_ok_and(|value| value == "1") => {
            panic!("{variable} is not set, and LEPTON_TEST_REQUIRED=1")
        }
        Err(_) => {
            println!("skipped: {variable} is not set");
            None
        }
    }
}

/// The settings of a bucket that did not exist before, at both servers.
pub async fn fresh() -> Option<GcsConfig> {
    bucket(false, serde_json::json!({})).await
}

/// The same with `versions` or without, and with other capabilities than those of the two
/// servers.
pub async fn bucket(versions: bool, overrides: serde_json::Value) -> Option<GcsConfig> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let (fake, minio) = (server("FAKE_GCS")?, server("MINIO")?);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let bucket = format!("lepton-{}-{nanos}", COUNT.fetch_add(1, Ordering::Relaxed));
    let uploads = S3Config::new(&bucket)
        .endpoint(&minio)
        .region("us-east-1")
        .preset(s3::Preset::Minio)
        .access_key_id("lepton-test-key")
        .secret_access_key("lepton-test-secret")
        .proxy("none");
    let uploads = S3Storage::new(uploads).unwrap();
    uploads.create_bucket().await.unwrap();
    let all = serde_json::json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": { "AWS": ["*"] }, "Action": ["s3:*"],
        "Resource": [format!("arn:aws:s3:::{bucket}"), format!("arn:aws:s3:::{bucket}/*")],
    }]});
    uploads.put_policy(all.to_string()).await.unwrap();
    let endpoint = front::start(&fake, &minio, versions).await;
    let mut capabilities = serde_json::json!({
        "multipart": { "min_part": 5 << 20, "max_part": 5_u64 << 30, "max_parts": 10_000 },
        "list_parts": "native", "list_uploads": "native",
    });
    capabilities.as_object_mut().unwrap().extend(overrides.as_object().unwrap().clone());
    let config = GcsConfig::new(&bucket)
        .endpoint(endpoint)
        .preset(Preset::FakeGcs)
        .capabilities(capabilities)
        .project("lepton")
        .access_token(front::TOKEN)
        .proxy("none");
    GcsStorage::new(config.clone()).unwrap().create_bucket().await.unwrap();
    Some(config)
}

/// The settings of a bucket that nobody made.
#[allow(dead_code, reason = "of the tests over all stores")]
pub async fn unmade(bucket: &str) -> Option<GcsConfig> {
    let endpoint = front::start(&server("FAKE_GCS")?, &server("MINIO")?, false).await;
    Some(GcsConfig::new(bucket).endpoint(endpoint).preset(Preset::FakeGcs).access_token(front::TOKEN).proxy("none"))
}
