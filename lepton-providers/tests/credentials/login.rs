//! Logins (IAM Identity Center): portal and token service are fakes ([`super::service`]).

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use futures_util::future::{Either, select};
use lepton_core::{ErrorKind, RetryClass, to_hex};
use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};

use super::home::{Bucket, Clock, Home, MARK, is};
use super::service::{Reply, Service, ok, refuse};

const PROFILES: &str = "
[profile work]
sso_session = my-sso
sso_account_id = 123456789012
sso_role_name = Reader
[sso-session my-sso]
sso_start_url = https://example.awsapps.com/start
sso_region = eu-west-1
[profile old]
sso_start_url = https://example.awsapps.com/start
sso_region = eu-west-1
sso_account_id = 123456789012
sso_role_name = Reader
";

/// The two services and a home with a login.
struct Desk {
    portal: Service,
    tokens: Service,
    bucket: Bucket,
    home: Home,
    file: PathBuf,
}

impl Desk {
    /// `renewal`: what the token service answers.
    async fn new(renewal: impl Fn() -> Reply + Send + Sync + 'static) -> Self {
        let clock = Clock::still();
        let time = Arc::clone(&clock);
        let portal = Service::start(move |asked| match asked.header("x-amz-sso_bearer_token") {
            Some(token @ ("s3cr3t-login" | "s3cr3t-renewed")) => ok(json!({ "roleCredentials": {
                "accessKeyId": token.replace(MARK, "SSO"), "secretAccessKey": "s3cr3t-x", "sessionToken":
                format!("{MARK}-token-of-{}", token.replace(MARK, "SSO")), "expiration": time.millis_after(600),
            }})
            .to_string()),
            _ => refuse(401),
        })
        .await;
        let tokens = Service::start(move |_| renewal()).await;
        let home = Home::of(clock).config(PROFILES);
        let home = home.var("AWS_ENDPOINT_URL_SSO", &portal.endpoint);
        let home = home.var("AWS_ENDPOINT_URL_SSO_OIDC", &tokens.endpoint);
        let file = home.write(&format!(".aws/sso/cache/{}.json", to_hex(&Sha1::digest("my-sso"))), "");
        Self { portal, tokens, bucket: Bucket::start().await, home, file }
    }

    /// Leaves a login that is good for so many seconds.
    fn log_in(&self, seconds: u64) {
        let clock = &self.home.clock;
        let login = json!({
            "startUrl": "https://example.awsapps.com/start", "region": "eu-west-1",
            "accessToken": "s3cr3t-login", "expiresAt": clock.after(seconds),
            "refreshToken": "s3cr3t-refresh", "clientId": "client", "clientSecret": "s3cr3t-client",
            "registrationExpiresAt": clock.after(86_400),
        });
        std::fs::write(&self.file, login.to_string()).unwrap();
    }

    fn saved(&self) -> Value {
        serde_json::from_slice(&std::fs::read(&self.file).unwrap()).unwrap()
    }

    async fn who(&self, profile: &str) -> lepton_core::Result<(String, Option<String>)> {
        self.bucket.who(&self.home.open(self.bucket.config().profile(profile)).unwrap()).await
    }
}

fn renewed() -> Reply {
    let answer = json!({ "accessToken": "s3cr3t-renewed", "tokenType": "Bearer", "expiresIn": 3600,
        "refreshToken": "s3cr3t-refresh-2" });
    ok(answer.to_string())
}

#[tokio::test]
async fn a_good_login_gives_the_roles_credentials() {
    let desk = Desk::new(renewed).await;
    desk.log_in(3600);
    assert_eq!(desk.who("work").await.unwrap(), is("SSO-login"));
    let asked = desk.portal.asked().pop().unwrap();
    assert_eq!(asked.path, "/federation/credentials");
    assert_eq!(asked.query, "account_id=123456789012&role_name=Reader");
    assert_eq!(desk.tokens.count(), 0);
}

#[tokio::test]
async fn a_login_that_has_expired_is_renewed_and_kept_for_the_next() {
    let desk = Desk::new(renewed).await;
    desk.log_in(0);
    assert_eq!(desk.who("work").await.unwrap(), is("SSO-renewed"));
    let asked = desk.tokens.asked().pop().unwrap();
    let question: Value = serde_json::from_str(&asked.body).unwrap();
    let expected = json!({ "grantType": "refresh_token", "clientId": "client", "clientSecret": "s3cr3t-client",
        "refreshToken": "s3cr3t-refresh" });
    assert_eq!((asked.method.as_str(), asked.path.as_str(), question), ("POST", "/token", expected));
    let saved = desk.saved();
    assert_eq!((&saved["accessToken"], &saved["refreshToken"]), (&json!("s3cr3t-renewed"), &json!("s3cr3t-refresh-2")));
    assert_eq!((&saved["expiresAt"], &saved["clientId"]), (&json!(desk.home.clock.after(3600)), &json!("client")));
    assert_eq!(std::fs::metadata(&desk.file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(desk.file.parent().unwrap()).unwrap().count(), 1, "nothing else is left");
    assert_eq!(desk.who("work").await.unwrap(), is("SSO-renewed"));
    assert_eq!(desk.tokens.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_renewed_is_kept_when_nobody_waits_for_it_any_more() {
    let (answer, gate) = mpsc::channel();
    let gate = Mutex::new(gate);
    let desk = Desk::new(move || {
        gate.lock().unwrap().recv().unwrap();
        renewed()
    })
    .await;
    desk.log_in(0);
    let asking = Box::pin(desk.who("work"));
    let asked = Box::pin(async {
        while desk.tokens.count() == 0 {
            tokio::task::yield_now().await;
        }
    });
    let Either::Right((_, asking)) = select(asking, asked).await else { panic!("it was answered") };
    drop(asking);
    // What is dropped closes its connections only now.
    tokio::time::sleep(Duration::from_millis(50)).await;
    answer.send(()).unwrap();
    while desk.saved()["accessToken"] != json!("s3cr3t-renewed") {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_cannot_be_renewed_asks_for_a_login() {
    let desk =
        Desk::new(|| Reply::Say(400, r#"{"error": "invalid_grant", "error_description": "s3cr3t"}"#.into())).await;
    let error = desk.who("work").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    desk.log_in(0);
    let error = desk.who("work").await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Unauthenticated, Some("invalid_grant")));
    assert!(error.to_string().contains("run `aws sso login --profile work`"), "{error}");
    assert_eq!((desk.tokens.count(), desk.portal.count()), (1, 0));
    // Good for a minute still.
    desk.log_in(60);
    assert_eq!(desk.who("work").await.unwrap(), is("SSO-login"));
    // Of the old kind, which cannot be renewed.
    let name = to_hex(&Sha1::digest("https://example.awsapps.com/start"));
    desk.log_in(0);
    std::fs::copy(&desk.file, desk.file.with_file_name(format!("{name}.json"))).unwrap();
    let error = desk.who("old").await.unwrap_err();
    assert!(error.to_string().contains("aws sso login --profile old"), "{error}");
    assert_eq!(desk.tokens.count(), 2);
    let busy = Desk::new(|| refuse(503)).await;
    busy.log_in(0);
    let error = busy.who("work").await.unwrap_err();
    assert!(error.kind() == ErrorKind::Throttled && error.retry() != RetryClass::Never, "{error:?}");
}

#[tokio::test]
async fn a_login_that_the_portal_refuses_asks_for_another() {
    let desk = Desk::new(renewed).await;
    desk.log_in(3600);
    let other = std::fs::read_to_string(&desk.file).unwrap().replace("s3cr3t-login", "s3cr3t-revoked");
    std::fs::write(&desk.file, other).unwrap();
    let error = desk.who("work").await.unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Unauthenticated, Some(401)));
    assert!(error.to_string().contains("aws sso login --profile work"), "{error}");
}
