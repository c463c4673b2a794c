//! Opens by URL everything that a migration names.
//!
//! - stores: every URL of [`open`](crate::open)
//! - `process:/folder`: workloads as processes of this machine (feature `process`)
//! - `router:/path/control.sock`: the router (feature `router`)
//!
//! `:///` means `:/`. Paths are percent-encoded, at least `%` as `%25`.
//!
//! `http` sends the requests of acceptance tests, `programs` runs hooks, `secrets` reads values.

mod http;
mod programs;
mod secrets;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use lepton_core::deployment::{Deployment, SecretReference, Secrets};
use lepton_core::resolver::{HttpAnswer, HttpRequest, ProgramRun, Resolver};
use lepton_core::traffic::Traffic;
use lepton_core::{Error, Location, Result, SharedRuntime};
use percent_encoding::percent_decode_str;

/// Opens stores, places for workloads and routes with the providers of this crate.
#[derive(Debug)]
pub struct UrlResolver {
    env: SharedRuntime,
    clients: http::Clients,
}

impl UrlResolver {
    /// A resolver with this environment.
    pub fn new(env: SharedRuntime) -> Self {
        Self { env, clients: http::Clients::default() }
    }
}

/// The path of a URL with this scheme; `None` for another scheme.
fn path(url: &str, scheme: &str) -> Result<Option<PathBuf>> {
    let rest = url.split_once(':').filter(|(found, _)| found.eq_ignore_ascii_case(scheme));
    let Some((_, rest)) = rest else { return Ok(None) };
    let wrong = |why: &str| {
        let message = format!("the URL of scheme {scheme:?} {why}; write it as `{scheme}:/var/lib/shop`");
        Err(Error::invalid_input(message))
    };
    let path = match rest.strip_prefix("//") {
        Some(path) if path.starts_with('/') => path,
        // It could hold a password, so it is not shown.
        Some(host) if !host.is_empty() => return wrong("names a host, but it stands for this machine"),
        _ => rest,
    };
    if !path.starts_with('/') || path == "//" {
        return wrong("has no absolute path");
    }
    let bytes: Vec<u8> = percent_decode_str(path).collect();
    if bytes.contains(&0) {
        return wrong("has a path with a NUL, which no file has");
    }
    Ok(Some(OsString::from_vec(bytes).into()))
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
                let place = crate::process::ProcessDeployment::builder(folder).runtime(self.env.clone()).open().await?;
                return Ok(Arc::new(place));
            }
            #[cfg(not(feature = "process"))]
            return Err(Error::unsupported(format!(
                "{}: this build has no processes (feature `process`)",
                folder.display()
            )));
        }
        Err(unknown(url, "place for workloads (`process`)"))
    }

    async fn traffic(&self, url: &str) -> Result<Arc<dyn Traffic>> {
        if let Some(socket) = path(url, "router")? {
            #[cfg(feature = "router")]
            return Ok(Arc::new(crate::router::RouterTraffic::new(socket, self.env.clone())));
            #[cfg(not(feature = "router"))]
            return Err(Error::unsupported(format!(
                "{}: this build has no router (feature `router`)",
                socket.display()
            )));
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
    use lepton_core::SystemRuntime;

    use super::*;

    #[tokio::test]
    async fn each_scheme_opens_its_provider_and_others_are_named() {
        let resolver = UrlResolver::new(SystemRuntime::shared());
        assert_eq!(resolver.storage("memory:name").await.unwrap().storage().url(), "memory:name");
        let wrong =
            ["process:relative", "process:", "process://", "process:/a%00", "process://host/a", "process://host"];
        for url in wrong.into_iter().chain(["router:relative", "router://u:s3cr3t@host/a", "router:", "ftp://x/y", ""])
        {
            let place = resolver.deployment(url).await.map(|_| ()).unwrap_err();
            let route = resolver.traffic(url).await.map(|_| ()).unwrap_err();
            for error in [place, route] {
                assert_eq!(error.kind(), lepton_core::ErrorKind::InvalidInput, "{url}: {error}");
                assert!(!error.to_string().contains("s3cr3t"), "{error}");
            }
        }
        let host = resolver.deployment("process://host/a").await.map(|_| ()).unwrap_err();
        assert!(host.to_string().contains("names a host"), "{host}");
    }

    /// Whatever the name of a file, and however the URL was written.
    #[cfg(all(feature = "process", feature = "router"))]
    #[tokio::test]
    async fn a_url_is_resolved_to_the_same_place_again() {
        let resolver = UrlResolver::new(SystemRuntime::shared());
        let folder = tempfile::tempdir().unwrap();
        for (written, name) in
            [("a", "a"), ("a%20b", "a b"), ("a b", "a b"), ("50%25%3f#%2541", "50%?#%41"), ("ü", "ü")]
        {
            for slashes in ["", "//"] {
                let end = format!("{slashes}{}/{written}", folder.path().display());
                let path = folder.path().join(name);
                let route = resolver.traffic(&format!("router:{end}")).await.unwrap();
                assert_eq!(self::path(route.url(), "router").unwrap().unwrap(), path, "{}", route.url());
                assert_eq!(resolver.traffic(route.url()).await.unwrap().url(), route.url());
                let place = resolver.deployment(&format!("process:{end}")).await.unwrap();
                assert!(path.is_dir(), "{end}");
                assert_eq!(resolver.deployment(place.url()).await.unwrap().url(), place.url());
            }
        }
        let plain = resolver.traffic("router:///run/shop/control.sock").await.unwrap();
        assert_eq!(plain.url(), "router:/run/shop/control.sock");
        let bytes = resolver.traffic("router:/run/%ff").await.unwrap();
        assert_eq!(resolver.traffic(bytes.url()).await.unwrap().url(), "router:/run/%FF");
    }
}
