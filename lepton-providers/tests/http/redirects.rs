//! Redirects between servers, which are fakes, and where credentials go with them.

use std::path::PathBuf;
use std::sync::Arc;

use lepton_core::{ErrorKind, RuntimeExt as _, StorageExt as _, SystemRuntime};
use lepton_providers::http::{HttpConfig, HttpStorage};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::fake::{Answer, Script};
use super::key;

fn open(endpoint: &str, credentials: impl Fn(HttpConfig) -> HttpConfig) -> HttpStorage {
    let config = HttpConfig::new(format!("{endpoint}/data/")).proxy("none");
    HttpStorage::new(credentials(config)).unwrap()
}

/// Adds credentials.
type With = fn(HttpConfig) -> HttpConfig;

fn basic(config: HttpConfig) -> HttpConfig {
    config.username("user").password("s3cr3t")
}

fn bearer(config: HttpConfig) -> HttpConfig {
    config.bearer_token("s3cr3t")
}

/// The credentials that a server has seen, request by request.
fn credentials(script: &Script) -> Vec<Option<String>> {
    script.seen().iter().map(|seen| seen.header("authorization").map(str::to_owned)).collect()
}

#[tokio::test]
async fn credentials_stay_with_the_host_they_are_for() {
    let ways: [(With, &str); 2] = [(basic, "Basic dXNlcjpzM2NyM3Q="), (bearer, "Bearer s3cr3t")];
    for (with, value) in ways {
        let other = Script::new(|_| Answer::new(200, "moved"));
        let other_address = other.start().await;
        let own = Script::new(move |_| Answer::redirect(format!("{other_address}/elsewhere?sig=1")));
        let store = open(&own.start().await, with);
        assert_eq!(store.read(&key("f"), 10).await.unwrap(), "moved");
        assert_eq!((credentials(&own), credentials(&other)), (vec![Some(value.to_owned())], vec![None]));
        assert_eq!(other.seen()[0].target, "/elsewhere?sig=1");
    }
}

#[tokio::test]
async fn there_and_back() {
    let own = Arc::new(std::sync::Mutex::new(String::new()));
    let home = Arc::clone(&own);
    let other = Script::new(move |_| Answer::redirect(format!("{}/back", home.lock().unwrap())));
    let other_address = other.start().await;
    let first = Script::new(move |seen| match seen.target.as_str() {
        "/back" => Answer::new(200, "home"),
        _ => Answer::redirect(other_address.clone()),
    });
    let address = first.start().await;
    own.lock().unwrap().clone_from(&address);
    assert_eq!(open(&address, bearer).read(&key("f"), 10).await.unwrap(), "home");
    let token = Some("Bearer s3cr3t".to_owned());
    assert_eq!((credentials(&first), credentials(&other)), (vec![token.clone(), token], vec![None]));
}

#[tokio::test]
async fn a_loop_ends_and_user_names_are_refused() {
    let turning = Script::new(|_| Answer::redirect("?again"));
    let error = open(&turning.start().await, bearer).read(&key("f"), 10).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Unexpected && error.to_string().contains("5 redirects"), "{error}");
    let targets: Vec<_> = turning.seen().into_iter().map(|seen| seen.target).collect();
    assert_eq!((targets.len(), targets[5].as_str()), (6, "/data/f?again"));
    let other = Script::new(|_| Answer::new(200, "never"));
    let address = other.start().await.replace("http://", "http://user:s3cr3t@");
    let own = Script::new(move |_| Answer::redirect(address.clone()));
    let error = open(&own.start().await, |config| config).read(&key("f"), 10).await.unwrap_err();
    assert!(error.to_string().contains("nowhere") && !format!("{error:?}").contains("s3cr3t"), "{error:?}");
    assert!(other.seen().is_empty());
}

/// The script over TLS; gives its address, and the certificate to trust.
async fn over_tls(script: &Script) -> (String, PathBuf, tempfile::TempDir) {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, certified.cert.pem()).unwrap();
    let private = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certified.cert.der().clone()], private).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let (script, env) = (script.clone(), SystemRuntime::shared());
    drop(env.clone().spawn_task(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, script) = (acceptor.clone(), script.clone());
            drop(env.spawn_task(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    script.serve(stream).await;
                }
            }));
        }
    }));
    (endpoint, ca_file, folder)
}

#[tokio::test]
async fn no_redirect_leads_away_from_tls() {
    let plain = Script::new(|_| Answer::new(200, "never"));
    let address = plain.start().await;
    let own = Script::new(move |seen| match seen.target.as_str() {
        "/data/here" => Answer::redirect("there"),
        "/data/there" => Answer::new(200, "safe"),
        _ => Answer::redirect(format!("{address}/f?s3cr3t")),
    });
    let (endpoint, ca_file, _folder) = over_tls(&own).await;
    let store = open(&endpoint, |config| bearer(config).ca_file(ca_file.clone()));
    assert_eq!(store.read(&key("here"), 10).await.unwrap(), "safe");
    let error = store.read(&key("f"), 10).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Tls && !format!("{error:?}").contains("s3cr3t"), "{error:?}");
    assert!(plain.seen().is_empty());
    assert!(credentials(&own).iter().all(Option::is_some));
}
