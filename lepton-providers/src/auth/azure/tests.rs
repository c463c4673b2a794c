//! Tests identities against a fake issuer: the real ones issue tokens only to real
//! accounts and machines.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use lepton_core::{ErrorKind, RetryClass, RuntimeExt as _, SystemRuntime};
use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use secrecy::ExposeSecret as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::certificate::Certificate;
use super::{Application, ManagedIdentity, Proof};
use crate::auth::issuer::Issuer;
use crate::auth::token::TokenProvider;

/// A test certificate and its key. They are stored with the integration tests, which are
/// not published, because scanners report private keys.
const PEM: &str = include_str!("../../../tests/identity.pem");
const TOKEN: &str = r#"{"access_token": "t0", "expires_in": 3600}"#;

/// Answers each request with the next of these (status and body), and records the
/// requests.
async fn issuer(answers: Vec<(u16, &'static str)>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&seen);
    drop(SystemRuntime::shared().spawn_task(async move {
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            let whole = |request: &[u8]| {
                let text = String::from_utf8_lossy(request).to_lowercase();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
                body.len() >= length.unwrap_or(0)
            };
            while !whole(&request) {
                stream.read_buf(&mut request).await.unwrap();
            }
            kept.lock().unwrap().push(String::from_utf8(request).unwrap());
            let length = body.len();
            let text = format!("HTTP/1.1 {status} x\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
            stream.write_all(text.as_bytes()).await.unwrap();
        }
    }));
    (address, seen)
}

fn application(authority: &str, proof: Proof) -> Application {
    let env = SystemRuntime::shared();
    Application::new(Issuer::plain(&env), env.clone(), authority, ("tenant", "client"), proof).unwrap()
}

fn machine(vars: &HashMap<&str, String>) -> ManagedIdentity {
    ManagedIdentity::new(Issuer::plain(&SystemRuntime::shared()), Some("id".into()), &|name| vars.get(name).cloned())
        .unwrap()
}

#[tokio::test]
async fn a_secret_gets_a_token_and_its_refusal_tells_why_without_it() {
    let refused = r#"{"error": "invalid_client", "error_description": "AADSTS7000222: expired.\r\nTrace: x"}"#;
    let (address, seen) = issuer(vec![(200, TOKEN), (401, refused)]).await;
    let application = application(&address, Proof::Secret("s3cr3t".into()));
    assert_eq!(application.token().await.unwrap().secret.expose_secret(), "t0");
    let error = application.token().await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Unauthenticated, RetryClass::Never));
    assert!(error.message().contains("AADSTS7000222") && !format!("{error:?}").contains("s3cr3t"), "{error:?}");
    let seen = seen.lock().unwrap();
    assert!(seen[0].starts_with("POST /tenant/oauth2/v2.0/token "), "{}", seen[0]);
    assert!(seen[0].contains("client_id=client") && seen[0].ends_with("client_secret=s3cr3t"), "{}", seen[0]);
}

#[tokio::test]
async fn a_workloads_token_is_read_each_time() {
    let (address, seen) = issuer(vec![(200, TOKEN), (200, TOKEN)]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let application = application(&address, Proof::Workload(file.clone()));
    for token in ["first", "second"] {
        std::fs::write(&file, format!("{token}\n")).unwrap();
        application.token().await.unwrap();
        let last = seen.lock().unwrap().last().cloned().unwrap();
        assert!(last.ends_with(&format!("&client_assertion={token}")), "{last}");
    }
    std::fs::remove_file(&file).unwrap();
    assert_eq!(application.token().await.unwrap_err().kind(), ErrorKind::Unauthenticated);
}

#[tokio::test]
async fn a_certificate_signs_its_assertion() {
    let (address, seen) = issuer(vec![(200, TOKEN)]).await;
    let file = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/identity.pem"));
    application(&address, Proof::Certificate(file)).token().await.unwrap();
    let request = seen.lock().unwrap()[0].clone();
    let assertion = request.rsplit_once("client_assertion=").unwrap().1;
    let (signed, signature) = assertion.rsplit_once('.').unwrap();
    let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).unwrap();
    let certificate = Certificate::parse(PEM).unwrap();
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, certificate.key.public_key().as_ref());
    public.verify(signed.as_bytes(), &decode(signature)).unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let [header, claims] =
        [header, claims].map(|text| serde_json::from_slice::<serde_json::Value>(&decode(text)).unwrap());
    // As printed by `openssl x509 -fingerprint -sha1`.
    assert_eq!((&header["alg"], &header["x5t"]), (&"RS256".into(), &"egQiXB7r-F9o_Hn131isGBvnRns".into()));
    assert_eq!((&claims["sub"], &claims["iss"]), (&"client".into(), &"client".into()));
    assert_eq!(claims["aud"], format!("{address}/tenant/oauth2/v2.0/token"));
}

#[test]
fn a_file_without_a_certificate_or_key_is_refused() {
    let cut = |from: &str, to: &str| {
        let (start, end) = (PEM.find(from).unwrap(), PEM.find(to).unwrap());
        PEM[start..end + to.len()].to_owned()
    };
    let key = cut("-----BEGIN PRIVATE", "END PRIVATE KEY-----");
    let certificate = cut("-----BEGIN CERT", "END CERTIFICATE-----");
    for (pem, says) in [(key.as_str(), "certificate in PEM"), (certificate.as_str(), "PKCS #8"), ("", "certificate")] {
        let error = Certificate::parse(pem).map(drop).unwrap_err();
        assert!(error.message().contains(says), "{error}");
    }
}

#[tokio::test]
async fn a_machines_service_may_be_away_for_a_while() {
    let (address, seen) = issuer(vec![(404, ""), (410, ""), (400, ""), (200, TOKEN)]).await;
    let identity = machine(&HashMap::from([("AZURE_POD_IDENTITY_AUTHORITY_HOST", address)]));
    for (kind, retry) in [
        (ErrorKind::Unavailable, RetryClass::Now),
        (ErrorKind::Unavailable, RetryClass::After(Duration::from_secs(70))),
        (ErrorKind::Unauthenticated, RetryClass::Never),
    ] {
        let error = identity.token().await.unwrap_err();
        assert_eq!((error.kind(), error.retry()), (kind, retry), "{error:?}");
    }
    identity.token().await.unwrap();
    let first = seen.lock().unwrap()[0].to_lowercase();
    assert!(first.starts_with("get /metadata/identity/oauth2/token?api-version=2018-02-01&client_id=id&"), "{first}");
    assert!(first.contains("metadata: true"), "{first}");
}

#[tokio::test]
async fn a_request_to_an_app_service_has_its_secret() {
    for (names, line, header) in [
        (
            ["IDENTITY_ENDPOINT", "IDENTITY_HEADER"],
            "get /msi?api-version=2019-08-01&client_id=id&",
            "x-identity-header",
        ),
        (["MSI_ENDPOINT", "MSI_SECRET"], "get /msi?api-version=2017-09-01&clientid=id&", "secret"),
    ] {
        let (address, seen) = issuer(vec![(404, ""), (200, TOKEN)]).await;
        let identity = machine(&HashMap::from([(names[0], address + "/msi"), (names[1], "s3cr3t".to_owned())]));
        let error = identity.token().await.unwrap_err();
        assert_eq!(error.retry(), RetryClass::Never, "only a machine's service comes back: {error:?}");
        identity.token().await.unwrap();
        let request = seen.lock().unwrap()[1].to_lowercase();
        assert!(request.starts_with(line) && request.contains(&format!("\r\n{header}: s3cr3t\r\n")), "{request}");
    }
}
