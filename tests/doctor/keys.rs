//! The keys that a store keeps: found by testing the store itself, whatever is known about it.

use std::sync::Arc;

use lepton::SharedStorage;
use lepton::core::{Capabilities, KeyHandling};
use lepton::providers::s3::{Preset, S3Storage};
use lepton_s3_front::{Action, Failure, Rule, ScriptedHooks};

use crate::support::places::{config, servers, unused_bucket};
use crate::support::*;
use crate::told::{Told, doctor};

/// Asserts that the known rules about a store's keys agree with what was found, once that is
/// set.
fn assert_found(told: &Told, known: &Capabilities, expected: &Capabilities) {
    let set = known.overridden(told.capabilities()).unwrap();
    let mut expected = expected.keys.clone();
    if expected.control_characters != KeyHandling::Kept {
        // The rule for control characters covers them.
        expected.forbidden_bytes.retain(|byte| !byte.is_ascii_control());
    }
    assert_eq!(set.keys, expected, "{}", told.capabilities());
}

/// For an unknown server, the known rules are found; and known rules need no correction.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_nothing_is_known_of() {
    for (kind, preset, endpoint) in servers() {
        println!("{kind}");
        let bucket = unused_bucket();
        let known: SharedStorage = Arc::new(S3Storage::new(config(&bucket, &endpoint, preset)).unwrap());
        let unknown = S3Storage::new(config(&bucket, &endpoint, Preset::Generic)).unwrap();
        unknown.create_bucket().await.unwrap();
        let place = format!("s3://{bucket}?endpoint={endpoint}&preset=");
        let told = doctor(&[&format!("{place}generic"), "--keys"], &[]).await;
        told.assert_well();
        assert_found(&told, lepton::Storage::capabilities(&unknown), known.capabilities());
        let told = doctor(&[&format!("{place}{kind}"), "--keys"], &[]).await;
        told.assert_well();
        assert_eq!(told.capabilities(), &serde_json::json!({}), "{kind}");
        assert!(contents(known.as_ref()).await.is_empty(), "{kind}: something is left over");
    }
}

/// The user's settings for other capabilities still apply, and those for keys are not trusted.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_user_set_is_kept_but_for_keys() {
    let cloud = Cloud::start(None).await;
    let set = r#"{"delete_batch":1,"keys":{"empty_segments":"refused","forbidden_bytes":[58,7],"max_bytes":100}}"#;
    let told = doctor(&[&format!("{}&capabilities={set}", cloud.url()), "--keys"], &[]).await;
    told.assert_well();
    assert_eq!((told.found("empty_segments"), told.found("byte_0x3a")), ("kept", "kept"));
    // Nothing was found about the byte 7.
    let known = serde_json::json!({ "keys": {
        "empty_segments": "kept", "forbidden_bytes": [7], "max_bytes": 1024,
    }});
    assert_eq!(told.capabilities(), &known);
    assert!(contents(&cloud.storage).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk() {
    let folder = tempfile::tempdir().unwrap();
    let told = doctor(&[folder.path().to_str().unwrap(), "--keys"], &[]).await;
    told.assert_well();
    for (form, found) in [
        ("dot_segments", "refused"),
        ("file_beside_folder", "refused"),
        ("trailing_dots", "kept"),
        ("not_utf8", "kept"),
        ("trailing_space", "kept"),
        ("byte_0x00", "refused"),
        ("byte_0x5c", "kept"),
        ("max_segment_bytes", "255 bytes"),
    ] {
        assert_eq!(told.found(form), found, "{form}");
    }
    assert_eq!(told.capabilities(), &serde_json::json!({}));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn azurite() {
    use crate::support::places::azurite;
    let Some(store) = azurite::fresh().await else { return };
    let key = [("AZURE_STORAGE_KEY", azurite::KEY)];
    let told = doctor(&[&format!("{}&preset=azure", lepton::Storage::url(&store)), "--keys"], &key).await;
    told.assert_well();
    // A blob whose name contains U+0001 makes listings fail; a backslash is treated as a slash.
    assert_eq!((told.found("byte_0x01"), told.found("byte_0x5c")), ("fails", "changed"));
    let set = Capabilities::everything("x").overridden(told.capabilities()).unwrap().keys;
    assert_eq!((set.dot_segments, set.trailing_dots), (KeyHandling::Kept, KeyHandling::Kept));
    assert_eq!(set.control_characters, KeyHandling::Refused);
    assert!(contents(&store).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn fake_gcs() {
    use crate::support::places::{front, gcs};
    let Some(config) = gcs::fresh().await else { return };
    let store = lepton::providers::gcs::GcsStorage::new(config).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.json");
    // In the settings file: a URL need not contain everything.
    let settings = serde_json::json!({
        "type": "gcs", "access_token": front::TOKEN, "preset": "gcs", "capabilities": { "delete_batch": 1 },
    });
    std::fs::write(&file, settings.to_string()).unwrap();
    let place = lepton::Storage::url(&store).replacen('?', "/some/folder?", 1);
    let told = doctor(&[&place, "--keys", "--settings", file.to_str().unwrap()], &[]).await;
    told.assert_well();
    assert_eq!(told.found("dot_segments"), "kept");
    assert_eq!(told.capabilities()["keys"]["dot_segments"], "kept");
    assert!(told.words("leading_slash").contains("not tried"), "{:?}", told.steps);
    assert!(contents(&store).await.is_empty());
}

/// A failure that occurs only with one form is attributed to that form; if every key then
/// fails, the search stops and nothing is concluded.
#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_no_refusal() {
    let denied = || Action::Fail(Failure::new(403, "AccessDenied"));
    // A transient failure is retried.
    let once = ScriptedHooks::new(1).rule(Rule::on("PutObject").after(3).times(1), denied());
    let cloud = Cloud::start(Some(Arc::new(once))).await;
    let told = doctor(&[&cloud.url(), "--keys"], &[]).await;
    told.assert_well();
    assert!(told.steps.iter().all(|step| step["found"] != "fails"), "{:?}", told.steps);

    let always = ScriptedHooks::new(1).rule(Rule::on("PutObject").after(4), denied());
    let cloud = Cloud::start(Some(Arc::new(always))).await;
    let told = doctor(&[&cloud.url(), "--keys"], &[]).await;
    told.assert_wrong("dot_segments", &["do not permit", "permission"]);
    assert!(told.steps.iter().all(|step| step.get("capabilities").is_none()));
    assert!(told.done().contains(&"clean up"));
    assert!(contents(&cloud.storage).await.is_empty());
}
