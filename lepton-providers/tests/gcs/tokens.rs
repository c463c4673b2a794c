//! Tokens: who is asked for one, how, and who gets it.

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use lepton_core::{ErrorKind, HeadOptions, ObjectKey, RetryClass, Storage as _};
use lepton_providers::gcs::GcsStorage;
use serde_json::{Value, json};

use super::script::{Script, Seen, json as answer_json, refusal, resource};

/// The key of nobody, made for these tests. The certificate in its file is for those of Azure.
fn private_key() -> &'static str {
    let identity = include_str!("../identity.pem");
    let (begin, end) = (identity.find("-----BEGIN PRIVATE KEY").unwrap(), identity.find("-----BEGIN CERT").unwrap());
    &identity[begin..end]
}

fn key() -> ObjectKey {
    ObjectKey::try_from("a").unwrap()
}

/// A server that gives numbered tokens, and objects to whoever shows one.
fn serve(request: &Seen, before: usize) -> String {
    if request.line.contains("/token") {
        return answer_json(200, &json!({ "access_token": format!("token-{before}"), "expires_in": 3599 }));
    }
    if request.line.contains(":generateAccessToken") {
        let token = format!("taken-on-{before}");
        return answer_json(200, &json!({ "accessToken": token, "expireTime": "2099-01-01T00:00:00Z" }));
    }
    if request.line.contains("/identity") {
        return answer_json(200, &json!({ "id": "vouched" }));
    }
    answer_json(200, &resource("a", "1"))
}

async fn store(script: &Script, credentials: &Value) -> GcsStorage {
    GcsStorage::new(script.config().credentials_json(credentials.to_string())).unwrap()
}

fn field<'a>(form: &'a str, name: &str) -> &'a str {
    let pairs = form.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(other, _)| *other == name).map(|(_, value)| value).next().unwrap()
}

#[tokio::test]
async fn a_service_account_signs_for_its_token_and_keeps_it() {
    let script = Script::start(serve).await;
    let uri = format!("{}/token", script.endpoint);
    let credentials = json!({
        "type": "service_account", "client_email": "a@lepton-test.iam", "private_key": private_key(), "private_key_id": "k1",
        "token_uri": uri,
    });
    let store = store(&script, &credentials).await;
    store.head(&key(), HeadOptions::new()).await.unwrap();
    store.head(&key(), HeadOptions::new()).await.unwrap();
    let seen = script.seen();
    assert_eq!(seen.len(), 3, "a token was asked for twice");
    assert_eq!(field(&seen[0].body, "grant_type"), "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer");
    let jwt = field(&seen[0].body, "assertion");
    let (signed, signature) = jwt.rsplit_once('.').unwrap();
    let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).unwrap();
    let claims: Value = serde_json::from_slice(&decode(signed.split_once('.').unwrap().1)).unwrap();
    assert_eq!((claims["iss"].as_str(), claims["aud"].as_str()), (Some("a@lepton-test.iam"), Some(&*uri)));
    assert_eq!(claims["scope"], "https://www.googleapis.com/auth/devstorage.full_control");
    let body: String = private_key().lines().filter(|line| !line.starts_with("-----")).collect();
    let pair = ring::signature::RsaKeyPair::from_pkcs8(&BASE64_STANDARD.decode(body).unwrap()).unwrap();
    let public = ring::signature::UnparsedPublicKey::new(
        &ring::signature::RSA_PKCS1_2048_8192_SHA256,
        ring::signature::KeyPair::public_key(&pair),
    );
    public.verify(signed.as_bytes(), &decode(signature)).unwrap();
    assert_eq!(seen[2].header("authorization"), Some("Bearer token-0"));
}

fn user(script: &Script) -> Value {
    json!({
        "type": "authorized_user", "client_id": "c", "client_secret": "s3cr3t", "refresh_token": "r/1",
        "token_uri": format!("{}/token", script.endpoint), "quota_project_id": "lepton-quota",
    })
}

#[tokio::test]
async fn a_refused_token_is_renewed() {
    let script = Script::start(|request, before| match before {
        1 => refusal(401, "authError", "Invalid Credentials"),
        before => serve(request, before),
    });
    let script = script.await;
    let store = store(&script, &user(&script)).await;
    let error = store.head(&key(), HeadOptions::new()).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Unauthenticated, RetryClass::RefreshCredentials));
    store.head(&key(), HeadOptions::new()).await.unwrap();
    let seen = script.seen();
    assert_eq!((field(&seen[0].body, "refresh_token"), field(&seen[0].body, "client_secret")), ("r%2F1", "s3cr3t"));
    assert_eq!(seen[3].header("authorization"), Some("Bearer token-2"));
    assert_eq!(seen[3].header("x-goog-user-project"), Some("lepton-quota"));
}

#[tokio::test]
async fn a_refused_refresh_is_told_and_nothing_sent() {
    let script = Script::start(|_, _| {
        answer_json(400, &json!({ "error": "invalid_grant", "error_description": "Token has been revoked." }))
    });
    let script = script.await;
    let error = store(&script, &user(&script)).await.head(&key(), HeadOptions::new()).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Unauthenticated, RetryClass::Never));
    let report = error.full_message();
    assert!(report.contains("Token has been revoked.") && !report.contains("s3cr3t"), "{report}");
    assert_eq!(script.seen().len(), 1);
}

#[tokio::test]
async fn a_token_that_cannot_change_is_refused_for_good() {
    let script = Script::start(|_, _| refusal(401, "authError", "Invalid Credentials")).await;
    let store = GcsStorage::new(script.config().access_token("t")).unwrap();
    let error = store.head(&key(), HeadOptions::new()).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Unauthenticated, RetryClass::Never));
}

#[tokio::test]
async fn a_workload_of_another_cloud_takes_on_an_account() {
    let script = Script::start(serve).await;
    let at = |path: &str| format!("{}{path}", script.endpoint);
    let credentials = json!({
        "type": "external_account", "audience": "//iam.googleapis.com/p", "subject_token_type": "urn:jwt",
        "token_url": at("/v1/token"),
        "credential_source": {
            "url": at("/identity?resource=x"), "headers": { "Metadata": "True" },
            "format": { "type": "json", "subject_token_field_name": "id" },
        },
        "service_account_impersonation_url":
            at("/v1/projects/-/serviceAccounts/b@lepton-test.iam.gserviceaccount.com:generateAccessToken"),
    });
    store(&script, &credentials).await.head(&key(), HeadOptions::new()).await.unwrap();
    let [identity, exchange, impersonation, head] = &script.seen()[..] else { panic!("{:?}", script.seen()) };
    assert!(identity.is("GET", "/identity?resource=x") && identity.header("metadata") == Some("True"));
    assert_eq!(field(&exchange.body, "subject_token"), "vouched");
    // The account is taken on with a token for that; its own is for objects only.
    assert!(field(&exchange.body, "scope").ends_with("cloud-platform"));
    assert!(impersonation.is("POST", "b@lepton-test.iam") && impersonation.body.contains("devstorage.full_control"));
    assert_eq!(impersonation.header("authorization"), Some("Bearer token-1"));
    assert_eq!(head.header("authorization"), Some("Bearer taken-on-2"));
}

#[tokio::test]
async fn accounts_on_the_way_are_named() {
    let script = Script::start(serve).await;
    let credentials = json!({
        "type": "impersonated_service_account", "source_credentials": user(&script),
        "delegates": ["projects/-/serviceAccounts/c@lepton-test.iam"],
        "service_account_impersonation_url": format!("{}/v1/b@lepton-test.iam:generateAccessToken", script.endpoint),
    });
    store(&script, &credentials).await.head(&key(), HeadOptions::new()).await.unwrap();
    let body: Value = serde_json::from_str(&script.seen()[1].body).unwrap();
    assert_eq!(body["delegates"], json!(["projects/-/serviceAccounts/c@lepton-test.iam"]));
}

#[tokio::test]
async fn nobodys_token_goes_to_another_host() {
    let script = Script::start(serve).await;
    for config in [script.config(), script.config().use_metadata_server(true)] {
        let error = GcsStorage::new(config).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
    // Who wrote the URL named both.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("user.json");
    std::fs::write(&file, user(&script).to_string()).unwrap();
    let url = format!("gs://photos?endpoint={}&credentials_file={}", script.endpoint, file.display());
    let error = lepton_providers::open(&url).await.unwrap_err();
    assert!(error.message().contains("not Google's"), "{error}");
    let named = GcsStorage::new(script.config().credentials_file(file)).unwrap();
    named.head(&key(), HeadOptions::new()).await.unwrap();
    assert_eq!(script.seen().len(), 2);
}

#[tokio::test]
async fn those_who_do_not_say_who_they_are_pay_nothing_and_get_nothing_old() {
    let script = Script::start(serve).await;
    let store = GcsStorage::new(script.config().anonymous(true).user_project("lepton")).unwrap();
    store.head(&key(), HeadOptions::new()).await.unwrap();
    let seen = &script.seen()[0];
    assert_eq!((seen.header("authorization"), seen.header("x-goog-user-project")), (None, None));
    assert_eq!((seen.header("cache-control"), seen.header("accept-encoding")), (Some("no-cache"), Some("identity")));
}
