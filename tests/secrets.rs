//! Nothing that a run leaves behind or reports contains a secret: journal, manifest, report,
//! events, logs at their most verbose, and program output, both on success and with wrong
//! credentials. The test driver searches the output of every suite in the same way, and each
//! folder of journals is searched at the end of its test.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "test")]

mod support;

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE, Engine as _};
use lepton::providers::s3::{Preset, S3Config, S3Storage};
use lepton::{Location, MemoryStorage, SharedStorage, StorageExt as _, Transfer};
use support::journals::{Journals, files};
use support::places::{Place, config, given, kinds, secrets, unused_bucket, wrong};
use support::search::Search;
use support::session::session;
use support::tls::TlsCloud;
use support::*;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

const PASSWORD: &str = "pa55/w0rd+of~nobody";
const TOKEN: &str = "t0ken-of-nobody_at.all";
const QUERY: &str = "s1gnature/of+nobody==";
const SESSION: &str = "sess10n+token/of=nobody";
const CUSTOMER_KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// Secrets that only these tests use.
const OWN: [(&str, &str); 6] = [
    ("a password", PASSWORD),
    ("a token", TOKEN),
    ("a query", QUERY),
    ("a session token", SESSION),
    ("a customer key", CUSTOMER_KEY),
    ("a customer key's bytes", "0123456789abcdef0123456789abcdef"),
];

/// All captured output.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl Write for Said {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Said {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Said {
    fn add(&self, text: impl AsRef<[u8]>) {
        self.clone().write_all(text.as_ref()).unwrap();
    }

    fn add_folder(&self, folder: &Path) {
        for file in files(folder) {
            self.add(std::fs::read(file).unwrap());
        }
    }

    /// Asserts that no secret is in the output; `least`: the minimum amount of output, so that
    /// the check is meaningful.
    fn assert_harmless<'a>(&self, least: usize, others: impl IntoIterator<Item = (&'static str, &'a str)>) {
        let said = self.0.lock().unwrap();
        assert!(said.len() > least, "nothing was said: {}", said.len());
        let search = Search::new(secrets().into_iter().chain(OWN).chain(others));
        assert_eq!(search.found(&said), [], "of {} bytes", said.len());
    }
}

#[test]
fn a_secret_is_found_in_any_form() {
    let secret = "s3cr3t/+?=~x\u{fc}";
    let search = Search::new([("other", "something else"), ("it", secret)]);
    let all =
        |text: String| assert_eq!(search.found(text.as_bytes()).first().map(|(name, _)| *name), Some("it"), "{text}");
    all(format!("Bearer {secret}"));
    for encoded in ["s3cr3t%2F%2B%3F%3D~x%C3%BC", "s3cr3t%2f%2b%3f%3d%7ex%c3%bc", "s3cr3t/%2B%3F%3D~x%C3%BC"] {
        all(format!("x={encoded}&y"));
    }
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    all(format!("0{hex}0"));
    all(hex.to_uppercase());
    for before in ["", "a", "ab", "abc", "user:"] {
        for behind in ["", "1", "12", "123"] {
            let text = [before, secret, behind].concat();
            all(BASE64_STANDARD.encode(&text));
            all(BASE64_URL_SAFE.encode(&text));
        }
    }
    for nothing in ["", "s", "nothing", "s3cr3t/+?=~", "7333637233742f2b3f3d7e"] {
        assert_eq!(search.found(nothing.as_bytes()), []);
    }
}

#[test]
fn a_secret_in_a_journal_fails_its_test() {
    let journals = Journals::new();
    std::fs::create_dir(journals.path().join("deep")).unwrap();
    std::fs::write(journals.path().join("deep/journal"), BASE64_STANDARD.encode(format!("x:{SECRET_KEY}"))).unwrap();
    let failed = std::panic::catch_unwind(move || drop(journals)).unwrap_err();
    let told = failed.downcast_ref::<String>().unwrap();
    assert!(told.contains("deep/journal") && told.contains("the servers' secret"), "{told}");
    assert!(!told.contains(SECRET_KEY), "{told}");
}

/// The log at its most verbose. It belongs to the whole process, so only one test captures it.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_left_or_said_has_a_secret() {
    let said = Said::default();
    let log = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(said.clone());
    tracing_subscriber::registry().with(log.with_filter(LevelFilter::TRACE)).init();
    let other: SharedStorage = Arc::new(MemoryStorage::new());
    for (name, size) in [("a", 5), ("b/c", 70 * KIB), ("large", 9 * MIB)] {
        other.write(&key(name), bytes(size as u64, size)).await.unwrap();
    }
    for kind in kinds() {
        let place = Place::fresh(kind).await;
        both_ways(&said, &other, &place.storage).await;
        if let Some(wrong) = wrong(kind) {
            both_ways(&said, &other, &wrong).await;
        }
        place.clear().await;
    }
    let session = sessions(&said, &other).await;
    through_proxies(&said, &other).await;
    with_a_customer_key(&said, &other).await;
    web_servers(&said, &other).await;
    let sas = sas(&said, &other).await;
    let found = session.iter().chain(&sas).map(|(name, secret)| (*name, secret.as_str()));
    said.assert_harmless(10_000, found);
}

async fn both_ways(said: &Said, other: &SharedStorage, place: &SharedStorage) {
    run(said, other, place).await;
    run(said, place, &(Arc::new(MemoryStorage::new()) as SharedStorage)).await;
}

/// Runs a transfer and captures everything that it leaves behind; returns whether it succeeded.
async fn run(said: &Said, from: &SharedStorage, to: &SharedStorage) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let transfer = Transfer::builder().from(Location::from(from.clone())).to(to.clone()).journal(folder.path());
    let transfer = match transfer.attempts(2.try_into().unwrap()).build() {
        Ok(transfer) => transfer,
        // A web server cannot be a destination.
        Err(error) => {
            said.add(format!("{error} {error:?} {}", error.full_message()));
            return false;
        }
    };
    said.add(format!("{transfer:?} {from:?} {to:?} {} {:?}", from.url(), from.capabilities()));
    let result = transfer.run().await;
    match &result {
        Ok(report) => said.add(format!("{report:?} {}", serde_json::to_string(report).unwrap())),
        Err(error) => said.add(format!("{error} {error:?} {}", error.full_message())),
    }
    said.add_folder(folder.path());
    result.is_ok_and(|report| report.status == lepton::Status::Complete)
}

fn s3(said: &Said, config: S3Config) -> SharedStorage {
    said.add(format!("{config:?}"));
    Arc::new(S3Storage::new(config).unwrap())
}

/// A valid session, and an invalid one.
async fn sessions(said: &Said, other: &SharedStorage) -> Vec<(&'static str, String)> {
    let Some(endpoint) = given("LEPTON_TEST_MINIO") else { return Vec::new() };
    let bucket = unused_bucket();
    let right = config(&bucket, &endpoint, Preset::Minio);
    S3Storage::new(right.clone()).unwrap().create_bucket().await.unwrap();
    both_ways(said, other, &s3(said, right.clone().session_token(SESSION))).await;
    let Some([id, secret, token]) = session(&endpoint, &bucket, "s3:*") else { return Vec::new() };
    let good = s3(said, right.access_key_id(&*id).secret_access_key(&*secret).session_token(&*token));
    assert!(run(said, other, &good).await, "the session is of no use");
    vec![("the secret of a session", secret), ("the token of a session", token)]
}

/// A proxy that serves the requests itself, which makes a server a proxy, and one that does not
/// exist.
async fn through_proxies(said: &Said, other: &SharedStorage) {
    let cloud = Cloud::start(None).await;
    let proxied = |address: &str| {
        let proxy = format!("http://user:{}@{address}", PASSWORD.replace('/', "%2F").replace('+', "%2B"));
        s3(said, config(BUCKET, "http://store.example", Preset::Aws).proxy(proxy))
    };
    let through = proxied(&cloud.server.address().to_string());
    assert!(run(said, other, &through).await, "the proxy is of no use");
    assert!(!contents(&cloud.storage).await.is_empty());
    both_ways(said, other, &proxied("127.0.0.1:1")).await;
}

/// The key is sent with each request, so it requires TLS.
async fn with_a_customer_key(said: &Said, other: &SharedStorage) {
    let cloud = TlsCloud::start("localhost").await;
    both_ways(said, other, &s3(said, cloud.config().sse_customer_key(CUSTOMER_KEY))).await;
}

/// A user name and password, a token, and a signature in the query.
async fn web_servers(said: &Said, other: &SharedStorage) {
    use lepton::providers::http::{HttpConfig, HttpStorage};
    let Some((endpoint, data)) = given("LEPTON_TEST_NGINX").zip(given("LEPTON_TEST_NGINX_DATA")) else { return };
    let name = format!("secrets-{}", std::process::id());
    let folder = Path::new(&data).join("objects").join(&name);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("file"), "bytes").unwrap();
    let at = |way: &str| HttpConfig::new(format!("{endpoint}/{way}/{name}/")).proxy("none");
    let signed = format!("{endpoint}/json/{name}/?sig={}", QUERY.replace('+', "%2B").replace('=', "%3D"));
    for (config, good) in [
        (at("secret").username(ACCESS_KEY).password(SECRET_KEY), true),
        (at("secret").username(ACCESS_KEY).password(PASSWORD), false),
        (at("json").bearer_token(TOKEN), true),
        (at("secret").bearer_token(TOKEN), false),
        (HttpConfig::new(signed).proxy("none"), true),
        (HttpConfig::new(format!("http://127.0.0.1:1/x/?sig={QUERY}")).proxy("none"), false),
    ] {
        let store: SharedStorage = Arc::new(HttpStorage::new(config).unwrap());
        let went_well = run(said, &store, &(Arc::new(MemoryStorage::new()) as SharedStorage)).await;
        assert_eq!(went_well, good, "{store:?}");
        run(said, other, &store).await;
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

/// A shared access signature that is valid for a single object, and thus not for listings.
async fn sas(said: &Said, other: &SharedStorage) -> Vec<(&'static str, String)> {
    use lepton::core::{Method, Storage as _};
    use lepton::providers::azure::AzureStorage;
    use support::places::azurite;
    let Some(endpoint) = azurite::endpoint() else { return Vec::new() };
    let container = azurite::container(&endpoint).await;
    let owner = AzureStorage::new(azurite::config(&container, &endpoint)).unwrap();
    owner.write(&key("a"), bytes(1, 10)).await.unwrap();
    let signer = owner.signer().unwrap();
    let url = signer.sign(Method::Get, &key("a"), std::time::Duration::from_secs(600)).await.unwrap();
    said.add(format!("{url:?}"));
    let token = url.expose().split_once('?').unwrap().1.to_owned();
    let signature = token.split('&').find_map(|pair| pair.strip_prefix("sig=")).unwrap();
    let signature = percent_encoding::percent_decode_str(signature).decode_utf8().unwrap().into_owned();
    let config = lepton::providers::azure::AzureConfig::new(&container).account(azurite::ACCOUNT);
    let config = config.endpoint(&endpoint).sas_token(&*token).proxy("none");
    said.add(format!("{config:?}"));
    let store: SharedStorage = Arc::new(AzureStorage::new(config).unwrap());
    assert_eq!(store.read(&key("a"), 100).await.unwrap().len(), 10);
    both_ways(said, other, &store).await;
    vec![("a shared access signature", signature)]
}

/// Programs at their most verbose, with correct and with wrong credentials.
#[tokio::test(flavor = "multi_thread")]
async fn programs_print_no_secret() {
    let cloud = Cloud::start(None).await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("source")).unwrap();
    std::fs::write(folder.path().join("source/a"), "bytes").unwrap();
    let settings = folder.path().join("settings.json");
    std::fs::write(&settings, serde_json::json!({ "type": "s3", "session_token": SESSION }).to_string()).unwrap();
    let proxy = format!("http://user:{TOKEN}@127.0.0.1:1");
    let said = Said::default();
    for (variables, good) in
        [(&[][..], true), (&[("AWS_SECRET_ACCESS_KEY", PASSWORD)], false), (&[("HTTP_PROXY", proxy.as_str())], false)]
    {
        for program in ["migrate", "doctor"] {
            let mut command = std::process::Command::new(example(program));
            if program == "migrate" {
                command.arg(folder.path().join("source"));
            } else {
                command.arg("--settings").arg(&settings);
            }
            command.arg(cloud.url()).arg("--json").env("RUST_LOG", "trace").env("XDG_STATE_HOME", folder.path());
            command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
            command.env_remove("NO_PROXY").env_remove("no_proxy").envs(variables.iter().copied());
            let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
            assert_eq!(output.status.success(), good, "{program}: {:?}", output.status);
            said.add(output.stdout);
            said.add(output.stderr);
        }
        said.add_folder(&folder.path().join("lepton"));
    }
    said.assert_harmless(1000, []);
}
