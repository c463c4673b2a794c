//! An S3 server on top of any Lepton storage, or a proxy in front of a real server, for
//! demonstrations and tests.
//!
//! Behind each bucket is a [`Storage`](lepton_core::Storage). Signatures are checked, keys are kept
//! byte for byte, bodies are streamed, and everything that a client states about a body (signed
//! chunks, checksums in headers or trailers, MD5) is checked before the storage receives its last
//! piece.
//!
//! - [`S3Front`] and its [`Builder`]: buckets, credentials, hooks; or [`S3Front::proxy`], which
//!   forwards requests
//! - [`Server`]: address, [`Stats`], graceful and abrupt shutdown
//! - [`Hooks`], [`Action`], [`ScriptedHooks`]: faults that a real server cannot be made to
//!   produce
//! - [`SinkStorage`]: accepts everything and keeps only sizes and checksums, for benchmarks
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> lepton_core::Result<()> {
//! use std::sync::Arc;
//! use lepton_core::MemoryStorage;
//! use lepton_s3_front::S3Front;
//!
//! let front = S3Front::builder()
//!     .bucket("cloud-a", Arc::new(MemoryStorage::new()))
//!     .credentials("access", "secret")
//!     .build()?;
//! let server = front.serve("127.0.0.1:0").await?;
//! println!("{}", server.endpoint());
//! server.stop().await;
//! # Ok(()) }
//! ```
//!
//! The modules are layers, each of which imports only those below it: `server` accepts
//! connections; `service` counts requests and asks the hooks; `s3` authenticates and answers;
//! `backend` carries out the operations; `payload` checks bodies and `auth` signatures;
//! `protocol` has the forms of messages.
//!
//! It is not a production server: it has no quotas, no limits on clients and no users.

mod auth;
mod backend;
mod call;
mod forward;
mod hooks;
mod payload;
mod protocol;
mod request;
mod s3;
mod server;
mod service;
mod sink;
mod stats;
mod tls;
mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use lepton_core::{Error, Result, SharedStorage};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use crate::auth::Authenticator;
use crate::backend::Backend;
use crate::forward::Upstream;
use crate::s3::S3;
use crate::service::Backing;

pub use hooks::{Action, Failure, Gate, Hooks, Moment, Rule, ScriptedHooks};
pub use request::RequestInfo;
pub use server::Server;
pub use sink::SinkStorage;
pub use stats::{OperationStats, PartId, PartStats, Stats};
pub use tls::tls_from_files;

/// The configuration of a server. It can be served more than once, also on the same address
/// after a [`Server`] was stopped or killed.
#[derive(Clone)]
pub struct S3Front {
    backing: Backing,
    hooks: Option<Arc<dyn Hooks>>,
}

impl S3Front {
    /// Starts with no buckets and no credentials.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Creates a proxy in front of another server: it forwards the requests that the hooks
    /// pass, and returns the server's answers. `endpoint` is `http://host:port`.
    ///
    /// # Errors
    /// `invalid_input` if the endpoint is not of this form.
    pub fn proxy(endpoint: &str, hooks: Arc<dyn Hooks>) -> Result<S3Front> {
        let authority = endpoint.strip_prefix("http://").and_then(|rest| rest.trim_end_matches('/').parse().ok());
        let wrong = || Error::invalid_input(format!("{endpoint:?} is not http://host:port"));
        let server = Upstream::new(authority.ok_or_else(wrong)?);
        Ok(S3Front { backing: Backing::Server(Box::new(server)), hooks: Some(hooks) })
    }

    /// Serves over plain HTTP/1.1 on this address; port 0 selects a free port.
    ///
    /// # Errors
    /// Errors of binding to the address.
    pub async fn serve(&self, address: &str) -> Result<Server> {
        self.start(address, None).await
    }

    /// Serves over TLS.
    ///
    /// # Errors
    /// Errors of binding to the address.
    pub async fn serve_tls(&self, address: &str, config: Arc<ServerConfig>) -> Result<Server> {
        self.start(address, Some(TlsAcceptor::from(config))).await
    }

    async fn start(&self, address: &str, tls: Option<TlsAcceptor>) -> Result<Server> {
        let service = service::Service {
            backing: self.backing.clone(),
            hooks: self.hooks.clone(),
            recorder: stats::Recorder::default(),
            request_ids: AtomicU64::new(1),
        };
        let started = Server::start(Arc::new(service), address, tls).await;
        started.map_err(|source| Error::io(format!("cannot listen on {address}"), source))
    }
}

impl std::fmt::Debug for S3Front {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3Front").finish_non_exhaustive()
    }
}

/// Builds an [`S3Front`].
#[derive(Default)]
pub struct Builder {
    buckets: Vec<(String, SharedStorage)>,
    auth: Authenticator,
    region: Option<String>,
    domain: Option<String>,
    hooks: Option<Arc<dyn Hooks>>,
}

impl Builder {
    /// Serves `storage` as the bucket `name`.
    #[must_use]
    pub fn bucket(mut self, name: impl Into<String>, storage: SharedStorage) -> Self {
        self.buckets.push((name.into(), storage));
        self
    }

    /// Accepts this access key. May be called more than once.
    #[must_use]
    pub fn credentials(mut self, access_key: impl Into<String>, secret_key: impl Into<String>) -> Self {
        self.auth.keys.insert(access_key.into(), secret_key.into());
        self
    }

    /// Also serves requests without a signature.
    #[must_use]
    pub fn allow_anonymous(mut self) -> Self {
        self.auth.anonymous = true;
        self
    }

    /// Sets the region of all buckets, instead of `us-east-1`.
    #[must_use]
    pub fn region(mut self, name: impl Into<String>) -> Self {
        self.region = Some(name.into());
        self
    }

    /// Also accepts the bucket in the host name: `bucket.domain`. The domain includes a port if
    /// clients use one (`localhost:9000`).
    #[must_use]
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// Calls `hooks` before each request.
    #[must_use]
    pub fn hooks(mut self, hooks: Arc<dyn Hooks>) -> Self {
        self.hooks = Some(hooks);
        self
    }

    /// Validates the configuration and builds the front.
    ///
    /// # Errors
    /// `invalid_input` for a bucket name that S3 does not allow or that is given twice, for an
    /// invalid domain, and if there are neither credentials nor anonymous access.
    pub fn build(self) -> Result<S3Front> {
        let mut buckets = BTreeMap::new();
        for (name, storage) in self.buckets {
            if !call::is_bucket_name(&name) {
                let rules = "3 to 63 lower-case letters, digits, dots and hyphens";
                return Err(Error::invalid_input(format!("{name:?} is not the name of a bucket: {rules}")));
            }
            if buckets.insert(name.clone(), storage).is_some() {
                return Err(Error::invalid_input(format!("the bucket {name:?} comes twice")));
            }
        }
        if self.auth.keys.is_empty() && !self.auth.anonymous {
            return Err(Error::invalid_input("there are no credentials: nobody could be let in"));
        }
        if let Some(domain) = self.domain.as_ref().filter(|domain| !is_domain(domain)) {
            return Err(Error::invalid_input(format!("{domain:?} is not a domain")));
        }
        let region = self.region.unwrap_or_else(|| "us-east-1".to_owned());
        let s3 = S3 { auth: self.auth, backend: Backend::new(buckets, region), domain: self.domain };
        Ok(S3Front { backing: Backing::Storage(Arc::new(s3)), hooks: self.hooks })
    }
}

/// Whether this is the name of a host, perhaps with a port.
fn is_domain(domain: &str) -> bool {
    let (host, port) = domain.split_once(':').unwrap_or((domain, "80"));
    let is_label =
        |label: &str| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    port.parse::<u16>().is_ok() && host.split('.').all(is_label)
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("buckets", &self.buckets).finish_non_exhaustive()
    }
}
