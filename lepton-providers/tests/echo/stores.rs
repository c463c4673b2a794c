//! What stores say of requests.

use std::sync::{Arc, Mutex};

use futures_util::TryStreamExt as _;
use lepton_core::{
    CreateUploadOptions, DeleteRequest, Error, HeadOptions, ListRequest, Multipart as _, Result, SharedStorage,
    Storage as _, StorageExt as _,
};
use lepton_providers::azure::{AzureConfig, AzureStorage};
use lepton_providers::gcs::{GcsConfig, GcsStorage};
use lepton_providers::http::{HttpConfig, HttpStorage};
use lepton_providers::s3::{Preset, S3Config, S3Storage};

use super::server::{Asked, answer, start};
use super::{assert_hidden, forms, key, xml};

const KEY: &str = "s3cr3t/key+of~nobody=9";
const TOKEN: &str = "s3cr3t/token+of~nobody=8";
const PASSWORD: &str = "s3cr3t/password+of~nobody7";
/// An account's key, and one of a customer: 32 bytes.
const BASE64_KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// What is to be said, which changes from request to request.
#[derive(Clone, Default)]
struct Words(Arc<Mutex<String>>);

impl Words {
    fn set(&self, words: &str) {
        words.clone_into(&mut self.0.lock().unwrap());
    }

    fn get(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}

/// A place where a server of S3 says something; `inside`: under the status of a success.
fn said_by_s3(place: &str, words: &str) -> String {
    let error = |code: &str, message: &str| {
        format!("<Error><Code>{}</Code><Message>{}</Message></Error>", xml(code), xml(message))
    };
    match place {
        "message" => answer(403, &[], &error("AccessDenied", &format!("no {words} here"))),
        "code" => answer(403, &[], &error(words, "no")),
        "header" => answer(403, &[("x-amz-request-id", words)], &error("AccessDenied", "no")),
        "headers" => answer(400, &[("x-minio-error-code", words), ("x-minio-error-desc", words)], ""),
        "redirect" => answer(301, &[], &error(words, "no")),
        "inside" => answer(200, &[], &error("InternalError", &format!("no {words} here"))),
        "deleted" => {
            let error = error("AccessDenied", words).replace("<Code>", "<Key>k</Key><Code>");
            answer(200, &[], &format!("<DeleteResult>{error}</DeleteResult>"))
        }
        "root" => answer(200, &[], &format!("<{words}/>")),
        other => panic!("{other}"),
    }
}

/// What a request to S3 ends with where its server says something in this place.
async fn asked_of_s3(store: &S3Storage, place: &str) -> Error {
    match place {
        "inside" => store.create(&key(), CreateUploadOptions::new()).await.unwrap_err(),
        "deleted" => {
            store.delete(vec![DeleteRequest::new(key())]).await.unwrap().into_iter().next().unwrap().unwrap_err()
        }
        "root" => store.list(ListRequest::new()).try_collect::<Vec<_>>().await.unwrap_err(),
        _ => store.write(&key(), "x".into()).await.unwrap_err(),
    }
}

const PLACES: [&str; 7] = ["message", "code", "header", "headers", "redirect", "inside", "deleted"];

#[tokio::test]
async fn a_server_of_s3_cannot_say_a_secret() {
    let words = Words::default();
    let (place, said) = (Words::default(), words.clone());
    let of_server = place.clone();
    let address = start(move |_| said_by_s3(&of_server.get(), &said.get())).await;
    // It takes for its own what is sent to a proxy.
    let proxy = format!("http://user:{}@{address}", PASSWORD.replace('/', "%2F").replace('+', "%2B"));
    let config = |endpoint: &str| {
        S3Config::new("bucket").endpoint(endpoint).region("us-east-1").preset(Preset::Aws).access_key_id("id")
    };
    let config = |endpoint: &str| config(endpoint).secret_access_key(KEY).session_token(TOKEN);
    let direct = S3Storage::new(config(&format!("http://{address}")).proxy("none")).unwrap();
    let proxied = S3Storage::new(config("http://store.example").proxy(proxy)).unwrap();
    for (store, secrets) in [(&direct, &[KEY, TOKEN][..]), (&proxied, &[TOKEN, PASSWORD])] {
        for secret in secrets {
            for form in forms(secret) {
                for at in PLACES {
                    place.set(at);
                    words.set(&form);
                    let error = asked_of_s3(store, at).await;
                    assert_hidden(&error, &form, at);
                }
            }
        }
    }
    place.set("root");
    words.set("s3cr3t-name-of-nobody");
    let named = config(&format!("http://{address}")).session_token("s3cr3t-name-of-nobody").proxy("none");
    let error = asked_of_s3(&S3Storage::new(named).unwrap(), "root").await;
    assert_hidden(&error, "s3cr3t-name-of-nobody", "root");
}

#[tokio::test]
async fn a_token_is_no_region() {
    let address = start(|_| answer(301, &[("x-amz-bucket-region", "s3cr3t-name-of-nobody")], "")).await;
    let config = S3Config::new("bucket").endpoint(format!("http://{address}")).region("us-east-1").proxy("none");
    let config = config.access_key_id("id").secret_access_key(KEY).session_token("s3cr3t-name-of-nobody");
    let error = S3Storage::new(config).unwrap().write(&key(), "x".into()).await.unwrap_err();
    assert!(!format!("{error:?}").contains("s3cr3t"), "{error:?}");
}

/// The signature in a request, as the server saw it.
fn signature(asked: &Asked) -> String {
    let authorization = asked.header("authorization").unwrap();
    authorization.rsplit(['=', ':']).find(|part| !part.is_empty()).unwrap().to_owned()
}

#[tokio::test]
async fn a_server_cannot_say_the_signature_of_a_request() {
    let seen = Words::default();
    let heard = seen.clone();
    let address = start(move |asked| {
        let signature = signature(asked);
        heard.set(&signature);
        match asked.header("x-ms-version") {
            Some(_) => answer(
                403,
                &[("x-ms-error-code", "AuthenticationFailed")],
                &format!("<Error><Code>AuthenticationFailed</Code><Message>not {signature}</Message></Error>"),
            ),
            None => said_by_s3("message", &signature),
        }
    })
    .await;
    let endpoint = format!("http://{address}");
    let s3 = S3Config::new("bucket").endpoint(&*endpoint).region("us-east-1").proxy("none");
    let s3 = S3Storage::new(s3.access_key_id("id").secret_access_key(KEY)).unwrap();
    let azure = AzureConfig::new("container").account("account").endpoint(&*endpoint).proxy("none");
    let azure = AzureStorage::new(azure.account_key(BASE64_KEY)).unwrap();
    for store in [Arc::new(s3) as SharedStorage, Arc::new(azure)] {
        let error = store.read(&key(), 9).await.unwrap_err();
        assert!(seen.get().len() > 40, "{}", seen.get());
        assert_hidden(&error, &seen.get(), store.url());
    }
}

#[tokio::test]
async fn azure_cannot_say_a_secret() {
    let words = Words::default();
    let (place, said) = (Words::default(), words.clone());
    let of_server = place.clone();
    let address = start(move |_| {
        let (words, place) = (said.get(), of_server.get());
        let error = |code: &str, message: &str| {
            format!("<Error><Code>{}</Code><Message>{}</Message></Error>", xml(code), xml(message))
        };
        match &*place {
            "message" => answer(400, &[], &error("InvalidInput", &format!("no {words} here"))),
            "code" => answer(400, &[], &error(&words, "no")),
            _ => answer(400, &[("x-ms-error-code", &*words), ("x-ms-request-id", &*words)], ""),
        }
    })
    .await;
    let config = || AzureConfig::new("container").account("account").endpoint(format!("http://{address}"));
    let sas =
        format!("sv=2024-11-04&sp=racwdl&sig={}", TOKEN.replace('/', "%2F").replace('+', "%2B").replace('=', "%3D"));
    let proxy = format!("http://user:{}@{address}", PASSWORD.replace('/', "%2F").replace('+', "%2B"));
    for (config, secret) in [
        (config().sas_token(sas).proxy("none"), TOKEN),
        (config().account_key(BASE64_KEY).proxy("none"), BASE64_KEY),
        (config().account_key(BASE64_KEY).proxy(proxy), PASSWORD),
    ] {
        let store = AzureStorage::new(config.preset(lepton_providers::azure::Preset::Azurite)).unwrap();
        for form in forms(secret) {
            for at in ["message", "code", "headers"] {
                place.set(at);
                words.set(&form);
                let error = store.write(&key(), "x".into()).await.unwrap_err();
                assert_hidden(&error, &form, at);
            }
        }
    }
}

#[tokio::test]
async fn google_cannot_say_a_secret() {
    let words = Words::default();
    let (place, said) = (Words::default(), words.clone());
    let of_server = place.clone();
    let address = start(move |_| {
        let (words, place) = (said.get(), of_server.get());
        let json = |reason: &str, message: &str| {
            serde_json::json!({ "error": { "message": message, "errors": [{ "reason": reason }] } }).to_string()
        };
        match &*place {
            "message" => answer(400, &[], &json("invalid", &format!("no {words} here"))),
            "code" => answer(400, &[], &json(&words, "no")),
            "wrong" => answer(200, &[], &serde_json::json!({ "size": { words: 1 }, "name": 1 }).to_string()),
            _ => answer(400, &[("x-guploader-uploadid", &*words)], &json("invalid", "no")),
        }
    })
    .await;
    let config = GcsConfig::new("bucket").endpoint(format!("http://{address}")).access_token(TOKEN).proxy("none");
    let store = GcsStorage::new(config).unwrap();
    for form in forms(TOKEN) {
        for at in ["message", "code", "headers"] {
            place.set(at);
            words.set(&form);
            assert_hidden(&store.head(&key(), HeadOptions::new()).await.unwrap_err(), &form, at);
        }
    }
    place.set("wrong");
    let error = store.head(&key(), HeadOptions::new()).await.unwrap_err();
    assert!(!format!("{error:?}").contains("s3cr3t"), "{error:?}");
}

async fn listed(store: &HttpStorage) -> Result<()> {
    store.list(ListRequest::new()).try_collect::<Vec<_>>().await.map(drop)
}

#[tokio::test]
async fn a_web_server_cannot_say_a_secret() {
    // A host of letters is all that a redirect can say, and it is asked for.
    let secret = "s3cr3t-of-nobody-at-all";
    let redirects = start(move |_| answer(302, &[("Location", &format!("http://{secret}.invalid/"))], "")).await;
    // What is no name is quoted by the reader of JSON.
    let pages = start(move |_| {
        answer(
            200,
            &[("Content-Type", "application/json")],
            &format!("[{{\"name\": \"a\", \"type\": \"file\", \"{secret}\": 1, \"name\": \"{secret}\"}}]"),
        )
    })
    .await;
    for address in [&redirects, &pages] {
        let plain = HttpConfig::new(format!("http://{address}/x/")).proxy("none");
        let signed = HttpConfig::new(format!("http://{address}/x/?key={secret}")).proxy("none");
        for config in [plain.clone().bearer_token(secret), plain.username("user").password(secret), signed] {
            let error = listed(&HttpStorage::new(config).unwrap()).await.unwrap_err();
            let said = format!("{error} {error:?} {}", error.full_message());
            assert!(!said.contains(secret), "{said}");
        }
    }
}
