//! What a process has: variables, files in a home folder, a clock. And the one bucket that
//! all of them ask.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_core::future::BoxFuture;
use lepton_core::{ObjectKey, Result, Runtime, SharedRuntime, StorageExt as _, SystemRuntime};
use lepton_providers::s3::{Preset, S3Config, S3Storage};

use super::service::{Service, ok};

/// Every secret in these tests has this in it, so that one is found wherever it gets to.
pub(crate) const MARK: &str = "s3cr3t";

/// 2030-01-01.
const START: u64 = 1_893_456_000;

/// The system's environment with a clock that is set by hand, and may go on by itself
/// whenever somebody looks at it.
#[derive(Debug)]
pub(crate) struct Clock {
    system: SharedRuntime,
    start: SystemTime,
    seconds: AtomicU64,
    step: u64,
    most: u64,
}

impl Clock {
    /// A day in 2030 on which nothing moves but by hand.
    pub(crate) fn still() -> Arc<Self> {
        let start = UNIX_EPOCH + Duration::from_secs(START);
        Arc::new(Self { system: SystemRuntime::shared(), start, seconds: AtomicU64::new(0), step: 0, most: u64::MAX })
    }

    /// A clock that is a second later whenever it is looked at, up to ten minutes: servers
    /// believe no one whose clock is further off.
    pub(crate) fn hasty() -> Arc<Self> {
        let system = SystemRuntime::shared();
        let start = system.now() - Duration::from_secs(300);
        Arc::new(Self { system, start, seconds: AtomicU64::new(0), step: 1, most: 600 })
    }

    pub(crate) fn pass(&self, seconds: u64) {
        self.seconds.fetch_add(seconds, Ordering::Relaxed);
    }

    fn passed(&self) -> Duration {
        Duration::from_secs(self.seconds.load(Ordering::Relaxed).min(self.most))
    }

    /// So many seconds from now, as all services but one write it.
    pub(crate) fn after(&self, seconds: u64) -> String {
        let text = httpdate::fmt_http_date(self.start + self.passed() + Duration::from_secs(seconds));
        let words: Vec<&str> = text.split(' ').collect();
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let month = 1 + months.iter().position(|month| *month == words[2]).unwrap();
        format!("{}-{month:02}-{}T{}Z", words[3], words[1], words[4])
    }

    /// The same in milliseconds since 1970.
    pub(crate) fn millis_after(&self, seconds: u64) -> u64 {
        let time = self.start + self.passed() + Duration::from_secs(seconds);
        time.duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
    }
}

impl Runtime for Clock {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.system.spawn(task);
    }
    fn spawn_cpu(&self, work: Box<dyn FnOnce() + Send>) {
        self.system.spawn_cpu(work);
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.system.sleep(duration)
    }
    fn now(&self) -> SystemTime {
        self.pass(self.step);
        self.start + self.passed()
    }
    fn uptime(&self) -> Duration {
        self.passed()
    }
    fn random(&self) -> u64 {
        self.system.random()
    }
}

/// A home folder with variables.
pub(crate) struct Home {
    folder: tempfile::TempDir,
    vars: BTreeMap<String, String>,
    pub(crate) clock: Arc<Clock>,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self::of(Clock::still())
    }

    pub(crate) fn of(clock: Arc<Clock>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().to_str().unwrap().to_owned();
        std::fs::create_dir_all(folder.path().join(".aws/sso/cache")).unwrap();
        Self { folder, vars: BTreeMap::from([("HOME".into(), home)]), clock }
    }

    pub(crate) fn var(mut self, name: &str, value: impl Into<String>) -> Self {
        self.vars.insert(name.into(), value.into());
        self
    }

    /// Writes a file, and says where it is.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn config(self, text: &str) -> Self {
        self.write(".aws/config", text);
        self
    }

    /// A store of what is found here, and of these settings.
    pub(crate) fn open(&self, config: S3Config) -> Result<S3Storage> {
        let builder = S3Storage::builder(config.proxy("none")).variables(self.vars.clone());
        builder.runtime(self.clock.clone()).build()
    }
}

/// A bucket that lets everybody in and remembers who came.
pub(crate) struct Bucket(pub(crate) Service);

impl Bucket {
    pub(crate) async fn start() -> Self {
        Self(Service::start(|_| ok("x")).await)
    }

    pub(crate) fn config(&self) -> S3Config {
        S3Config::new("bucket").endpoint(self.0.endpoint.clone()).region("eu-west-1").preset(Preset::Generic)
    }

    pub(crate) fn open(&self, home: &Home) -> S3Storage {
        home.open(self.config()).unwrap()
    }

    /// The access key and the session token with which a store asks.
    pub(crate) async fn who(&self, store: &S3Storage) -> Result<(String, Option<String>)> {
        ask(store).await?;
        let last = self.0.asked().pop().unwrap();
        Ok((last.signed_by().to_owned(), last.header("x-amz-security-token").map(str::to_owned)))
    }
}

/// One request.
pub(crate) async fn ask(store: &S3Storage) -> Result<()> {
    store.read(&ObjectKey::try_from("k").unwrap(), 9).await.map(drop)
}

/// What a machine's and a container's service answer.
pub(crate) fn keys(id: &str, expiration: &str) -> String {
    format!(
        r#"{{"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": "{id}", "SecretAccessKey": "{MARK}-of-{id}",
            "Token": "{MARK}-token-of-{id}", "Expiration": "{expiration}"}}"#
    )
}

/// How it looks to the bucket.
pub(crate) fn is(id: &str) -> (String, Option<String>) {
    (id.to_owned(), Some(format!("{MARK}-token-of-{id}")))
}
