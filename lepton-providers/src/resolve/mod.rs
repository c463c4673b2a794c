//! Opens by URL everything that a migration names.
//!
//! - stores: every URL of [`open`](crate::open)
//! - `process:/folder`: workloads as processes of this machine (feature `process`)
//! - `router:/path/control.sock`: the router (feature `router`)
//!
//! `http` sends the requests of acceptance tests, `programs` runs hooks, `secrets` reads values.

mod http;
mod programs;
mod secrets;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use lepton_core::deployment::{Deployment, SecretReference, Secrets};
use lepton_core::resolver::{HttpAnswer, HttpRequest, ProgramRun, Resolver};
use lepton_core::traffic::Traffic;
use lepton_core::{Error, Location, Result, SharedEnv};

/// Opens stores, places for workloads and routes with the providers of this crate.
#[derive(Debug)]
pub struct UrlResolver {
    env: SharedEnv,
    clients: http::Clients,
}

impl UrlResolver {
    /// A resolver with this environment.
    pub fn new(env: SharedEnv) -> Self {
        Self { env, clients: http::Clients::default() }
    }
}

/// The path of a URL with this scheme; `None` for another scheme.
fn path<'a>(url: &'a str, scheme: &str) -> Result<Option<&'a str>> {
    let Some(path) = url.strip_prefix(scheme).and_then(|rest| rest.strip_prefix(':')) else { return Ok(None) };
    let path = path.strip_prefix("//").filter(|path| path.starts_with('/')).unwrap_or(path);
    if path.starts_with('/') {
        return Ok(Some(path));
    }
    Err(Error::invalid_input(format!("{url}: it needs an absolute path, as `{scheme}:/var/lib/shop`")))
}

/// The error for a scheme that no provider of this build has.
fn unknown(url: &str, known: &str) -> Error {
    let scheme = url.split(':').next().unwrap_or_default();
    Error::invalid_input(format!("{scheme:?} is no scheme of a {known} in this build"))
}

#[async_trait]
impl Resolver for UrlResolver {
    async fn storage(&self, url: &str) -> Result<Location> {
        crate::open(url).await
    }

    async fn deployment(&self, url: &str) -> Result<Arc<dyn Deployment>> {
        if let Some(folder) = path(url, "process")? {
            #[cfg(feature = "process")]
            {
                let place = crate::process::ProcessDeployment::builder(folder).env(self.env.clone()).open().await?;
                return Ok(Arc::new(place));
            }
            #[cfg(not(feature = "process"))]
            return Err(Error::unsupported(format!("{folder}: this build has no processes (feature `process`)")));
        }
        Err(unknown(url, "place for workloads (`process`)"))
    }

    async fn traffic(&self, url: &str) -> Result<Arc<dyn Traffic>> {
        if let Some(socket) = path(url, "router")? {
            #[cfg(feature = "router")]
            return Ok(Arc::new(crate::router::RouterTraffic::new(socket, self.env.clone())));
            #[cfg(not(feature = "router"))]
            return Err(Error::unsupported(format!("{socket}: this build has no router (feature `router`)")));
        }
        Err(unknown(url, "route (`router`)"))
    }

    async fn secrets(&self, references: &BTreeMap<String, SecretReference>) -> Result<Secrets> {
        secrets::read(&self.env, references).await
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpAnswer> {
        self.clients.send(&self.env, request).await
    }

    async fn run(&self, program: ProgramRun) -> Result<()> {
        programs::run(&self.env, program).await
    }
}

#[cfg(test)]
mod tests {
    use lepton_core::SystemEnv;

    use super::*;

    #[tokio::test]
    async fn each_scheme_opens_its_provider_and_others_are_named() {
        let resolver = UrlResolver::new(SystemEnv::shared());
        assert_eq!(resolver.storage("memory:name").await.unwrap().storage().url(), "memory:name");
        for url in ["process:relative", "router:", "router:relative", "ftp://x/y", ""] {
            let place = resolver.deployment(url).await.map(|_| ()).unwrap_err();
            let route = resolver.traffic(url).await.map(|_| ()).unwrap_err();
            for error in [place, route] {
                assert_eq!(error.kind(), lepton_core::ErrorKind::InvalidInput, "{url}: {error}");
            }
        }
        #[cfg(feature = "router")]
        for url in ["router:/run/shop/control.sock", "router:///run/shop/control.sock"] {
            assert_eq!(resolver.traffic(url).await.unwrap().url(), "unix:/run/shop/control.sock");
        }
        #[cfg(feature = "process")]
        {
            let folder = tempfile::tempdir().unwrap();
            let url = format!("process:{}", folder.path().join("place").display());
            assert!(resolver.deployment(&url).await.unwrap().url().contains("place"));
        }
    }
}
