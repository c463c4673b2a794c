//! Authentication and permissions: keys, tokens, buckets.

use std::sync::Arc;

use lepton::providers::s3::{Preset, S3Storage};
use lepton_s3_front::{Action, Failure, Rule, ScriptedHooks};

use crate::support::places::{config, given, servers, unused_bucket};
use crate::support::session::session;
use crate::support::*;
use crate::told::{HUSH, doctor, url};

#[tokio::test(flavor = "multi_thread")]
async fn no_credentials() {
    let cloud = Cloud::start(None).await;
    let home = tempfile::tempdir().unwrap();
    let none = [
        ("AWS_ACCESS_KEY_ID", ""),
        ("AWS_SECRET_ACCESS_KEY", ""),
        ("HOME", home.path().to_str().unwrap()),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    doctor(&[&cloud.url()], &none).await.assert_wrong("credentials", &["AWS_ACCESS_KEY_ID"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_secrets_and_buckets_at_real_servers() {
    for (kind, _, endpoint) in servers().into_iter().filter(|(kind, ..)| *kind != "moto") {
        println!("{kind}");
        let bucket = unused_bucket();
        for wrong in [("AWS_SECRET_ACCESS_KEY", HUSH), ("AWS_ACCESS_KEY_ID", "nobody")] {
            let told = doctor(&[&url(&bucket, &endpoint)], &[wrong]).await;
            told.assert_wrong("credentials", &["Check key, secret and token"]);
            assert!(told.done().contains(&"connect"), "{:?}", told.done());
        }
        let told = doctor(&[&url(&bucket, &endpoint)], &[]).await;
        told.assert_wrong("bucket", &[&bucket, "Check the spelling, the account and the region, or make it"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_session_token() {
    for (kind, _, endpoint) in servers().into_iter().filter(|(kind, ..)| *kind != "moto") {
        println!("{kind}");
        let told = doctor(&[&url(BUCKET, &endpoint)], &[("AWS_SESSION_TOKEN", HUSH)]).await;
        told.assert_wrong("credentials", &["Get a new session token"]);
    }
    let hooks = ScriptedHooks::new(1).rule(Rule::always(), Action::Fail(Failure::new(400, "ExpiredToken")));
    let cloud = Cloud::start(Some(Arc::new(hooks))).await;
    let told = doctor(&[&cloud.url()], &[("AWS_SESSION_TOKEN", HUSH)]).await;
    told.assert_wrong("credentials", &["Get a new session token"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_may_not_write() {
    let Some(endpoint) = given("LEPTON_TEST_MINIO") else { return };
    let bucket = unused_bucket();
    S3Storage::new(config(&bucket, &endpoint, Preset::Minio)).unwrap().create_bucket().await.unwrap();
    let Some([key, secret, token]) = session(&endpoint, &bucket, "s3:ListBucket") else { return };
    let as_session =
        [("AWS_ACCESS_KEY_ID", &*key), ("AWS_SECRET_ACCESS_KEY", &*secret), ("AWS_SESSION_TOKEN", &*token)];
    let told = doctor(&[&url(&bucket, &endpoint)], &as_session).await;
    told.assert_wrong("write", &["The credentials are good; give them the permission"]);
    assert!(told.done().contains(&"list") && told.done().contains(&"credentials"), "{:?}", told.done());
    doctor(&[&url(&bucket, &endpoint), "--read-only"], &as_session).await.assert_well();
    // Nor may the session list another bucket.
    let other = unused_bucket();
    S3Storage::new(config(&other, &endpoint, Preset::Minio)).unwrap().create_bucket().await.unwrap();
    let told = doctor(&[&url(&other, &endpoint)], &as_session).await;
    told.assert_wrong("list", &["The credentials are good; give them the permission"]);
    let said = told.steps.iter().map(ToString::to_string).collect::<String>();
    assert!(!said.contains(&secret) && !said.contains(&token), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_where_not_everybody_may() {
    for (kind, _, endpoint) in servers().into_iter().filter(|(kind, ..)| *kind != "moto") {
        println!("{kind}");
        let bucket = unused_bucket();
        S3Storage::new(config(&bucket, &endpoint, Preset::Generic)).unwrap().create_bucket().await.unwrap();
        let told = doctor(&[&format!("{}&anonymous=true", url(&bucket, &endpoint))], &[]).await;
        told.assert_wrong("credentials", &["No credentials are sent", "leave anonymous out"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_at_azurite() {
    use crate::support::places::azurite;
    let Some(store) = azurite::fresh().await else { return };
    let place = lepton::Storage::url(&store);
    let wrong = ("AZURE_STORAGE_KEY", "czNjcjN0LTBmLW4wYjBkeQ==");
    let told = doctor(&[place], &[wrong]).await;
    told.assert_wrong("credentials", &["Check key, secret and token"]);
    assert!(!told.words("credentials").contains(wrong.1));
    let right = ("AZURE_STORAGE_KEY", azurite::KEY);
    let told = doctor(&[place], &[right]).await;
    told.assert_well();
    let nowhere = place.replacen("az://", "az://no", 1);
    doctor(&[&nowhere], &[right]).await.assert_wrong("bucket", &["Check the spelling"]);
    let expired = "sv=2021-08-06&se=2020-01-01T00%3A00%3A00Z&sr=c&sp=rl&sig=czNjcjN0LTBmLW4wYjBkeQ%3D%3D";
    let told = doctor(&[place], &[("AZURE_STORAGE_SAS_TOKEN", expired)]).await;
    told.assert_wrong("credentials", &["Check key, secret and token"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_of_google() {
    use crate::support::places::{front, gcs};
    let Some(config) = gcs::fresh().await else { return };
    let store = lepton::providers::gcs::GcsStorage::new(config).unwrap();
    let place = lepton::Storage::url(&store);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.json");
    let with = async |token: &str| {
        std::fs::write(&file, serde_json::json!({ "type": "gcs", "access_token": token }).to_string()).unwrap();
        doctor(&[place, "--settings", file.to_str().unwrap()], &[]).await
    };
    with(HUSH).await.assert_wrong("credentials", &["Check key, secret and token"]);
    with(front::TOKEN).await.assert_well();
}
