//! What a driver of migrations asks its surroundings for.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::deployment::{Deployment, SecretReference, Secrets};
use crate::traffic::Traffic;
use crate::{Location, Result};

/// Opens by URL what a migration names, so that its driver imports no provider. **Unstable.**
#[async_trait]
pub trait Resolver: Debug + Send + Sync {
    /// Opens a store.
    ///
    /// # Errors
    /// `invalid_input` for a URL that names no store; errors of the store.
    async fn storage(&self, url: &str) -> Result<Location>;

    /// Opens a place for workloads.
    ///
    /// # Errors
    /// As [`storage`](Self::storage).
    async fn deployment(&self, url: &str) -> Result<Arc<dyn Deployment>>;

    /// Opens a route. It need not answer yet.
    ///
    /// # Errors
    /// As [`storage`](Self::storage).
    async fn traffic(&self, url: &str) -> Result<Arc<dyn Traffic>>;

    /// Reads the values of secrets, by the name of the variable.
    ///
    /// # Errors
    /// `unauthenticated`, naming the reference and never a value.
    async fn secrets(&self, references: &BTreeMap<String, SecretReference>) -> Result<Secrets>;

    /// Sends an HTTP request. An answer with any status is an answer.
    ///
    /// # Errors
    /// Errors of the network; `invalid_input` for a request that cannot be sent.
    async fn send(&self, request: HttpRequest) -> Result<HttpAnswer>;

    /// Runs a program to its end, without a shell.
    ///
    /// # Errors
    /// `unavailable` with the first line of its error output, if it fails or takes too long.
    async fn run(&self, program: ProgramRun) -> Result<()>;
}

/// A request of an acceptance test.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpRequest {
    /// The method.
    pub method: String,
    /// The URL.
    pub url: String,
    /// The headers.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Bytes,
    /// After this time without a whole answer it has failed.
    pub timeout: Duration,
}

impl HttpRequest {
    /// A request without headers and body, with a timeout of 30 seconds.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            url: url.into(),
            headers: BTreeMap::new(),
            body: Bytes::new(),
            timeout: Duration::from_secs(30),
        }
    }

    /// Sets the timeout.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Adds headers.
    #[must_use]
    pub fn headers(mut self, headers: BTreeMap<String, String>) -> Self {
        self.headers.extend(headers);
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }
}

/// The answer to a request of an acceptance test.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpAnswer {
    /// The status.
    pub status: u16,
    /// The headers, with names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body, up to 1 MiB.
    pub body: Bytes,
}

impl HttpAnswer {
    /// An answer.
    pub fn new(status: u16, headers: BTreeMap<String, String>, body: Bytes) -> Self {
        Self { status, headers, body }
    }
}

/// A program that a migration runs: a hook or a test.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProgramRun {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Variables in addition to those of this process.
    pub env: BTreeMap<String, String>,
    /// After this time it is killed, with everything in its process group.
    pub timeout: Duration,
}

impl ProgramRun {
    /// A program without further variables.
    pub fn new(command: Vec<String>, timeout: Duration) -> Self {
        Self { command, env: BTreeMap::new(), timeout }
    }

    /// Adds variables.
    #[must_use]
    pub fn env(mut self, env: impl IntoIterator<Item = (String, String)>) -> Self {
        self.env.extend(env);
        self
    }
}
