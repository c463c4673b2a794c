//! No secret gets into a log at its most talkative, nor into errors and what is printed for
//! debugging: those of all tests here, as they have one log, and these flows for certain.

use std::fmt::Debug;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use lepton_core::{Error, Result};
use lepton_providers::s3::{S3Config, S3Storage};
use tracing_subscriber::filter::LevelFilter;

use super::home::{Bucket, Home, MARK, ask, keys};
use super::service::{Asked, Reply, Service, ok, refuse};

static SAID: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Said;

impl Write for Said {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        SAID.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn note(what: &dyn Debug) {
    writeln!(Said, "{what:?}").unwrap();
}

/// One request and all that can be said of it. Whether it succeeded.
async fn run(store: Result<S3Storage>) -> bool {
    let said = |error: &Error| writeln!(Said, "{error} {error:?} {}", error.full_message()).unwrap();
    match store {
        Ok(store) => {
            note(&store);
            let done = ask(&store).await;
            note(&store);
            done.as_ref().map_err(said).is_ok()
        }
        Err(error) => {
            said(&error);
            false
        }
    }
}

/// What was heard, in the form in which this service is understood, so that it is shown.
fn refusal(path: &str, heard: &str) -> String {
    let escaped = heard.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    let error = format!("<Error><Code>{escaped}</Code><Message>{escaped}</Message></Error>");
    match path {
        "/token" => serde_json::json!({ "error": heard }).to_string(),
        "/sts/" => format!("<ErrorResponse>{error}</ErrorResponse>"),
        _ => error,
    }
}

/// All services in one; those that are refused hear all of the question in the answer.
fn answer(asked: &Asked, refuses: bool) -> Reply {
    let end = "2031-01-01T00:00:00Z";
    if refuses {
        let heard: String = asked.headers.iter().map(|(name, value)| format!("{name}: {value:?}; ")).collect();
        return Reply::Say(400, refusal(&asked.path, &(heard + &asked.body)));
    }
    match asked.path.as_str() {
        "/latest/api/token" => ok(format!("{MARK}-machine")),
        "/latest/meta-data/iam/security-credentials/" => ok("role"),
        "/federation/credentials" => ok(format!(
            r#"{{"roleCredentials": {{"accessKeyId": "A", "secretAccessKey": "{MARK}-x", "sessionToken": "{MARK}-y",
                "expiration": 1924992000000}}}}"#
        )),
        "/token" => ok(format!(r#"{{"accessToken": "{MARK}-renewed", "expiresIn": 3600, "refreshToken": "{MARK}"}}"#)),
        "/sts/" => ok(format!(
            "<R><S><Credentials><AccessKeyId>A</AccessKeyId><SecretAccessKey>{MARK}-x</SecretAccessKey>\
             <SessionToken>{MARK}-y</SessionToken><Expiration>{end}</Expiration></Credentials></S></R>"
        )),
        _ => ok(keys("A", end)),
    }
}

const PROFILES: &str = "
[profile role]
role_arn = arn:aws:iam::1:role/x
source_profile = keys
[profile keys]
aws_access_key_id = STATIC
aws_secret_access_key = s3cr3t-of-static
aws_session_token = s3cr3t-token-of-static
[profile work]
sso_session = mine
sso_account_id = 1
sso_role_name = Reader
[sso-session mine]
sso_start_url = https://example.awsapps.com/start
sso_region = eu-west-1
[profile command]
credential_process = sh -c 'echo s3cr3t; echo password=s3cr3t >&2; exit 1'
";

fn home(service: &Service) -> Home {
    let at = |path: &str| format!("{}{path}", service.endpoint);
    let home = Home::new().config(PROFILES);
    let login = format!(
        r#"{{"accessToken": "{MARK}-old", "expiresAt": "2029-01-01T00:00:00Z", "refreshToken": "{MARK}-refresh",
            "clientId": "c", "clientSecret": "{MARK}-client", "registrationExpiresAt": "2031-01-01T00:00:00Z"}}"#
    );
    // The name that belongs to `mine`.
    let name = lepton_core::to_hex(&<sha1::Sha1 as sha1::Digest>::digest("mine"));
    home.write(&format!(".aws/sso/cache/{name}.json"), login);
    home.var("AWS_ENDPOINT_URL_STS", at("/sts"))
        .var("AWS_ENDPOINT_URL_SSO", at(""))
        .var("AWS_ENDPOINT_URL_SSO_OIDC", at(""))
}

fn config(bucket: &Bucket, profile: &str) -> S3Config {
    if profile.is_empty() { bucket.config() } else { bucket.config().profile(profile) }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_said_in_any_flow() {
    let log = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_ansi(false);
    log.with_writer(|| Said).init();
    tracing::trace!("the log is at its most talkative");
    let bucket = Bucket::start().await;
    for refuses in [false, true] {
        let service = Service::start(move |asked| answer(asked, refuses)).await;
        let url = |path: &str| format!("{}{path}", service.endpoint);
        for profile in ["role", "work", "keys"] {
            let good = run(home(&service).open(config(&bucket, profile))).await;
            assert_eq!(good, !refuses || profile == "keys", "{profile}");
        }
        let workload = home(&service);
        let file = workload.write("token", format!("{MARK}-workload"));
        let workload = workload.var("AWS_WEB_IDENTITY_TOKEN_FILE", file.to_str().unwrap()).var("AWS_ROLE_ARN", "r");
        assert_eq!(run(workload.open(bucket.config())).await, !refuses);
        let container = home(&service).var("AWS_CONTAINER_CREDENTIALS_FULL_URI", url("/v1"));
        let container = container.var("AWS_CONTAINER_AUTHORIZATION_TOKEN", format!("{MARK}-permission"));
        assert_eq!(run(container.open(bucket.config())).await, !refuses);
        let machine = home(&service).var("AWS_EC2_METADATA_SERVICE_ENDPOINT", &service.endpoint);
        assert_eq!(run(machine.open(bucket.config())).await, !refuses);
    }
    assert!(!run(home(&Service::start(|_| refuse(500)).await).open(config(&bucket, "command"))).await);
    // A bucket that refuses, and says all that it heard.
    let strict = Bucket(Service::start(|asked| answer(asked, true)).await);
    assert!(!run(home(&strict.0).open(config(&strict, "keys"))).await);
    let said = String::from_utf8_lossy(&SAID.lock().unwrap()).into_owned();
    assert!(said.contains("the log is at its most talkative") && said.contains("hyper"), "{} bytes", said.len());
    let found: Vec<&str> = said.lines().filter(|line| line.contains(MARK)).collect();
    assert_eq!(found, Vec::<&str>::new(), "of {} bytes", said.len());
}
