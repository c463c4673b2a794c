//! An S3 server over any Lepton storage, or a proxy before a real one, for
//! demonstrations and tests.
//!
//! The crate `s3s` speaks the protocol and checks signatures; what is behind it
//! is a [`Storage`](lepton_core::Storage) for each bucket. Keys are kept byte
//! for byte, bodies stream, and whatever a client states of a body (signed
//! chunks, checksums in headers or trailers, MD5) is checked before the storage
//! has the last of it.
//!
//! - [`S3Front`] and its [`Builder`]: buckets, credentials, hooks; or
//!   [`S3Front::proxy`], which passes requests on
//! - [`Server`]: address, [`Stats`], a graceful and an abrupt end
//! - [`Hooks`], [`Action`], [`ScriptedHooks`]: the fake for faults that a real
//!   server cannot be made to give
//! - [`SinkStorage`]: takes everything and keeps sizes and checksums, for
//!   benchmarks
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
//! It is not a server for production: it has no quotas, no limits on clients and
//! no users.

mod backend;
mod forward;
mod hooks;
mod request;
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
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::host::SingleDomain;
use s3s::service::S3ServiceBuilder;
use s3s::{S3Result, s3_error};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use crate::forward::Upstream;
use crate::service::Backing;

pub use hooks::{Action, Failure, Gate, Hooks, Moment, Rule, ScriptedHooks};
pub use request::RequestInfo;
pub use server::Server;
pub use sink::SinkStorage;
pub use stats::{OperationStats, PartId, PartStats, Stats};
pub use tls::tls_from_files;

/// What a server serves. It can be served more than once, also on the same
/// address after a [`Server`] was stopped or killed.
#[derive(Clone)]
pub struct S3Front {
    backing: Backing,
    hooks: Option<Arc<dyn Hooks>>,
}

impl S3Front {
    /// Nothing yet: no buckets, no credentials.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Stands in front of another server: passes on what the hooks let pass, and
    /// back what it answers. `endpoint` is `http://host:port`.
    ///
    /// # Errors
    /// `invalid_input` if the endpoint is not of this form.
    pub fn proxy(endpoint: &str, hooks: Arc<dyn Hooks>) -> Result<S3Front> {
        let authority = endpoint.strip_prefix("http://").and_then(|rest| rest.trim_end_matches('/').parse().ok());
        let wrong = || Error::invalid_input(format!("{endpoint:?} is not http://host:port"));
        let server = Upstream::new(authority.ok_or_else(wrong)?);
        Ok(S3Front { backing: Backing::Server(Box::new(server)), hooks: Some(hooks) })
    }

    /// Serves over plain HTTP/1.1 on this address; port 0 takes a free one.
    ///
    /// # Errors
    /// Those of listening on the address.
    pub async fn serve(&self, address: &str) -> Result<Server> {
        self.start(address, None).await
    }

    /// Serves over TLS.
    ///
    /// # Errors
    /// Those of listening on the address.
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

/// Puts an [`S3Front`] together.
#[derive(Default)]
pub struct Builder {
    buckets: Vec<(String, SharedStorage)>,
    credentials: Keys,
    anonymous: bool,
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

    /// Lets this access key in. May be called more than once.
    #[must_use]
    pub fn credentials(mut self, access_key: impl Into<String>, secret_key: impl Into<String>) -> Self {
        self.credentials.0.insert(access_key.into(), secret_key.into().into());
        self
    }

    /// Serves requests without a signature too.
    #[must_use]
    pub fn allow_anonymous(mut self) -> Self {
        self.anonymous = true;
        self
    }

    /// Calls the region of all buckets this, instead of `us-east-1`.
    #[must_use]
    pub fn region(mut self, name: impl Into<String>) -> Self {
        self.region = Some(name.into());
        self
    }

    /// Also takes the bucket from the host name: `bucket.domain`. The domain has
    /// a port where clients name one (`localhost:9000`).
    #[must_use]
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// Asks `hooks` before each request.
    #[must_use]
    pub fn hooks(mut self, hooks: Arc<dyn Hooks>) -> Self {
        self.hooks = Some(hooks);
        self
    }

    /// Checks it all.
    ///
    /// # Errors
    /// `invalid_input` for a bucket name that S3 does not allow or that comes
    /// twice, for a domain that is none, and if nobody could be let in.
    pub fn build(self) -> Result<S3Front> {
        let mut buckets = BTreeMap::new();
        for (name, storage) in self.buckets {
            if !s3s::path::check_bucket_name(&name) {
                let rules = "3 to 63 lower-case letters, digits, dots and hyphens";
                return Err(Error::invalid_input(format!("{name:?} is not the name of a bucket: {rules}")));
            }
            if buckets.insert(name.clone(), storage).is_some() {
                return Err(Error::invalid_input(format!("the bucket {name:?} comes twice")));
            }
        }
        if self.credentials.0.is_empty() && !self.anonymous {
            return Err(Error::invalid_input("there are no credentials: nobody could be let in"));
        }
        let region = self.region.unwrap_or_else(|| "us-east-1".to_owned());
        let mut s3 = S3ServiceBuilder::new(backend::Backend::new(buckets, region));
        s3.set_auth(self.credentials);
        if self.anonymous {
            s3.set_access(Everybody);
        }
        if let Some(domain) = self.domain {
            let host = SingleDomain::new(&domain);
            s3.set_host(host.map_err(|_| Error::invalid_input(format!("{domain:?} is not a domain")))?);
        }
        Ok(S3Front { backing: Backing::Storage(s3.build()), hooks: self.hooks })
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("buckets", &self.buckets).finish_non_exhaustive()
    }
}

/// Secret keys by access key.
#[derive(Default)]
struct Keys(BTreeMap<String, SecretKey>);

#[async_trait::async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let key = self.0.get(access_key).cloned();
        key.ok_or_else(|| s3_error!(InvalidAccessKeyId, "this access key is not known"))
    }
}

/// Lets requests in that carry no signature. One that is wrong still fails.
struct Everybody;

#[async_trait::async_trait]
impl S3Access for Everybody {
    async fn check(&self, _: &mut S3AccessContext<'_>) -> S3Result<()> {
        Ok(())
    }
}
