//! The acceptance tests of side B.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::data_set::thirty_seconds;
use super::units;

/// A test of side B while it gets no users' requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
#[non_exhaustive]
pub struct TestSpec {
    /// The name in reports, unique among the tests.
    pub name: String,
    /// What is done.
    pub action: TestAction,
    /// After this time the test has failed.
    pub timeout: Duration,
    /// Where the test writes: a prefix of keys in the stores of side B, or a URL. It lies outside
    /// every data set. An empty prefix states that the test writes nothing. Requests with the
    /// methods GET, HEAD and OPTIONS need none.
    pub writes_prefix: Option<String>,
}

/// What a test does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TestAction {
    /// A request whose answer must be as described.
    Http {
        /// Where it is sent.
        target: TestTarget,
        /// The request and the answer.
        http: HttpTest,
    },
    /// A program with its arguments, which no shell reads; exit code 0 is a success.
    Command(Vec<String>),
}

/// Where a request is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TestTarget {
    /// To a ready endpoint of this workload of side B, at the port of its `route`.
    Workload(String),
    /// To this scheme and authority, such as `https://b.example`.
    Url(String),
}

/// A request, and the answer that must come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct HttpTest {
    /// The method.
    pub method: String,
    /// The path, with its query.
    pub path: String,
    /// The headers of the request.
    pub headers: BTreeMap<String, String>,
    /// The body of the request.
    pub body: String,
    /// The status of the answer.
    pub status: u16,
    /// Headers that the answer must have, with these values.
    pub expect_headers: BTreeMap<String, String>,
    /// Text that the body of the answer must contain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
}

impl Default for HttpTest {
    fn default() -> Self {
        Self {
            method: "GET".to_owned(),
            path: "/".to_owned(),
            headers: BTreeMap::new(),
            body: String::new(),
            status: 200,
            expect_headers: BTreeMap::new(),
            contains: None,
        }
    }
}

impl TestSpec {
    /// Whether the test may write: a program, and a request with another method than GET, HEAD
    /// and OPTIONS.
    pub fn may_write(&self) -> bool {
        match &self.action {
            TestAction::Http { http, .. } => !["GET", "HEAD", "OPTIONS"].contains(&http.method.as_str()),
            TestAction::Command(_) => true,
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    workload: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    http: Option<HttpTest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    command: Option<Vec<String>>,
    #[serde(default = "thirty_seconds", with = "units::time")]
    timeout: Duration,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    writes_prefix: Option<String>,
}

impl TryFrom<Written> for TestSpec {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let target = match (written.workload, written.url) {
            (Some(workload), None) => Some(TestTarget::Workload(workload)),
            (None, Some(url)) => Some(TestTarget::Url(url)),
            (None, None) => None,
            _ => return Err("`workload` and `url` are both given; use one of them"),
        };
        let action = match (target, written.http, written.command) {
            (Some(target), Some(http), None) => TestAction::Http { target, http },
            (None, None, Some(command)) => TestAction::Command(command),
            (_, Some(_), Some(_)) => return Err("`http` and `command` are both given; use one of them"),
            (None, Some(_), None) => return Err("`http` needs `workload` or `url`, where it is sent"),
            (Some(_), None, _) => return Err("`workload` and `url` belong to `http`"),
            (None, None, None) => return Err("neither `http` nor `command` is given; use one of them"),
        };
        let Written { name, timeout, writes_prefix, .. } = written;
        Ok(Self { name, action, timeout, writes_prefix })
    }
}

impl From<TestSpec> for Written {
    fn from(test: TestSpec) -> Self {
        let TestSpec { name, action, timeout, writes_prefix } = test;
        let mut written = Self { name, workload: None, url: None, http: None, command: None, timeout, writes_prefix };
        match action {
            TestAction::Command(command) => written.command = Some(command),
            TestAction::Http { target, http } => {
                written.http = Some(http);
                match target {
                    TestTarget::Workload(name) => written.workload = Some(name),
                    TestTarget::Url(url) => written.url = Some(url),
                }
            }
        }
        written
    }
}
