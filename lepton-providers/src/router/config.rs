//! The settings of a router.

use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, Method};
use lepton_core::traffic::Backend;
use lepton_core::{Error, Result};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::limits::{Health, Limits, time};
use super::shadow::Shadow;

/// The settings of a router. A name that is not known is an error.
///
/// ```
/// # use lepton_providers::router::RouterConfig;
/// let config: RouterConfig = serde_json::from_str(r#"{
///     "listen": "0.0.0.0:8080",
///     "state": "/var/lib/lepton-router",
///     "a": [{"replica": "a1", "address": "10.0.0.1:8080"}],
///     "b": [{"replica": "b1", "address": "10.1.0.1:8080"}],
///     "routes": [{"path": "/search", "method": "POST", "access": "reads"}],
///     "health": {"path": "/healthz", "period": "5s"}
/// }"#)?;
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct RouterConfig {
    /// `host:port` on which users are served; port 0 selects a free port.
    pub listen: String,
    /// The folder of the register. It belongs to one router at a time.
    pub state: PathBuf,
    /// The control socket; by default `control.sock` in the folder of the register.
    pub control: Option<PathBuf>,
    /// TLS for the users. Without it they are served over plain HTTP.
    pub tls: Option<TlsFiles>,
    /// The backends of side A at the first start. Afterwards the register has them.
    pub a: Vec<Backend>,
    /// The backends of side B at the first start. Afterwards the register has them.
    pub b: Vec<Backend>,
    /// What requests do, where their method does not show it. The first rule that matches decides.
    pub routes: Vec<RouteRule>,
    /// What a hold holds back.
    pub hold: HoldScope,
    /// Sizes, numbers and times.
    pub limits: Limits,
    /// How replicas that do not work are found.
    pub health: Health,
    /// The way to the side that is not in the route.
    pub test: Option<TestRoute>,
    /// Copies of users' reads for side B before the switch, to see that it can bear them. Without
    /// it there are none.
    pub shadow: Option<Shadow>,
    /// Whether `X-Forwarded-*` and `Forwarded` of the clients are believed and extended. Set it
    /// only where every client is a proxy of yours; otherwise they are replaced.
    pub trust_forwarded: bool,
}

impl Default for RouterConfig {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            state: PathBuf::new(),
            control: None,
            tls: None,
            a: Vec::new(),
            b: Vec::new(),
            routes: Vec::new(),
            hold: HoldScope::Writes,
            limits: Limits::default(),
            health: Health::default(),
            test: None,
            shadow: None,
            trust_forwarded: false,
        }
    }
}

impl RouterConfig {
    /// The default settings with this folder for the register.
    pub fn new(state: impl Into<PathBuf>) -> Self {
        Self { state: state.into(), ..Self::default() }
    }

    /// Where the control socket is.
    pub fn control_path(&self) -> PathBuf {
        self.control.clone().unwrap_or_else(|| self.state.join("control.sock"))
    }

    /// Checks what the types do not.
    ///
    /// # Errors
    /// `invalid_input`, naming the setting.
    pub fn check(&self) -> Result<()> {
        if self.state.as_os_str().is_empty() {
            return Err(Error::invalid_input("state is not set: the folder of the register"));
        }
        check_backends(&self.a)?;
        check_backends(&self.b)?;
        for rule in &self.routes {
            rule.check()?;
        }
        if self.tls.as_ref().is_some_and(|tls| tls.reload.is_zero()) {
            return Err(Error::invalid_input("tls.reload is not 0"));
        }
        if let Some(test) = &self.test {
            test.check()?;
        }
        if let Some(shadow) = &self.shadow {
            shadow.check()?;
        }
        self.limits.check()?;
        self.health.check()
    }
}

/// Checks that each backend has an address to connect to.
pub(super) fn check_backends(backends: &[Backend]) -> Result<()> {
    let usable = |address: &str| {
        let parts = address.rsplit_once(':');
        parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0))
    };
    match backends.iter().find(|backend| !usable(&backend.address)) {
        Some(backend) => Err(Error::invalid_input(format!("{:?} is not host:port", backend.address))),
        None => Ok(()),
    }
}

/// The files of a certificate.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// The certificate chain, in PEM.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
    /// How often the files are looked at; changed files are loaded (`10s`).
    #[serde(default = "ten_seconds", with = "time")]
    pub reload: Duration,
}

impl TlsFiles {
    /// These files.
    pub fn new(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self { certificate: certificate.into(), key: key.into(), reload: ten_seconds() }
    }
}

/// What the requests below a path do.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteRule {
    /// The first segments of the path: `/api` is `/api` and `/api/x`, but not `/apis`.
    pub path: String,
    /// The method; without it the rule is for all methods.
    #[serde(default)]
    pub method: Option<String>,
    /// What such requests do.
    pub access: Access,
}

impl RouteRule {
    /// A rule.
    pub fn new(path: impl Into<String>, method: Option<&str>, access: Access) -> Self {
        Self { path: path.into(), method: method.map(str::to_owned), access }
    }

    fn check(&self) -> Result<()> {
        let plain = self.path.starts_with('/') && !self.path.contains(['%', '\\', '?', '#']);
        if !plain || self.path.contains("//") || self.path.split('/').any(|part| part == "." || part == "..") {
            let message = format!("the path of a route, {:?}, is not a plain path that begins with /", self.path);
            return Err(Error::invalid_input(message));
        }
        match &self.method {
            Some(method) if Method::from_bytes(method.as_bytes()).is_err() => {
                Err(Error::invalid_input(format!("{method:?} is not a method")))
            }
            _ => Ok(()),
        }
    }
}

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// It may write: it is held by a fence and never sent twice.
    Writes,
    /// It only reads, whatever its method: a fence lets it pass, and it may be sent again.
    Reads,
    /// It may write, but twice is the same as once: it is held by a fence and may be sent again.
    Idempotent,
}

/// What a hold holds back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldScope {
    /// Requests that may write.
    #[default]
    Writes,
    /// Every request.
    All,
}

/// The way to the side that is not in the route, for tests before the switch. A request takes
/// it only with the token, in a header or in its path, so that no user takes it by accident.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestRoute {
    /// The header with the token (`x-lepton-test`). It is removed.
    #[serde(default = "test_header")]
    pub header: String,
    /// The token, of at least 16 characters.
    pub token: SecretString,
    /// A path below which the token is a segment: `/test` is for `/test/<token>/page`, which
    /// requests `/page`.
    #[serde(default)]
    pub prefix: Option<String>,
}

impl TestRoute {
    /// A test route with the default header.
    pub fn new(token: impl Into<SecretString>) -> Self {
        Self { header: test_header(), token: token.into(), prefix: None }
    }

    fn check(&self) -> Result<()> {
        if self.token.expose_secret().len() < 16 {
            return Err(Error::invalid_input("test.token has fewer than 16 characters; anybody could guess it"));
        }
        if HeaderName::from_bytes(self.header.as_bytes()).is_err() {
            return Err(Error::invalid_input(format!("test.header {:?} is not the name of a header", self.header)));
        }
        match &self.prefix {
            Some(prefix) if !prefix.starts_with('/') || prefix.ends_with('/') => {
                Err(Error::invalid_input(format!("test.prefix {prefix:?} does not begin with / or ends with it")))
            }
            _ => Ok(()),
        }
    }
}

fn test_header() -> String {
    "x-lepton-test".to_owned()
}

fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn parse(text: &str) -> Result<RouterConfig, String> {
        let config: RouterConfig = serde_json::from_str(text).map_err(|error| error.to_string())?;
        config.check().map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn settings_are_honoured_or_refused_by_name() {
        let config = parse(
            r#"{"state": "/s", "hold": "all", "limits": {"header_time": "1m 5s"}, "tls": {"certificate": "c", "key": "k"},
                "test": {"token": "0123456789abcdef"}, "routes": [{"path": "/", "access": "idempotent"}]}"#,
        )
        .unwrap();
        assert_eq!((config.hold, config.limits.header_time), (HoldScope::All, Duration::from_secs(65)));
        assert_eq!(config.control_path(), PathBuf::from("/s/control.sock"));
        assert!(!format!("{config:?}").contains("0123456789abcdef"), "a token is no text for a log");
        for (text, why) in [
            ("{}", "state"),
            (r#"{"state": "/s", "lisen": "x"}"#, "lisen"),
            (r#"{"state": "/s", "a": [{"replica": "r", "address": "nowhere"}]}"#, "nowhere"),
            (r#"{"state": "/s", "tls": {"certificate": "c", "key": "k", "reload": "0s"}}"#, "tls.reload"),
            (r#"{"state": "/s", "limits": {"header_time": 5}}"#, "string"),
            (r#"{"state": "/s", "limits": {"header_time": "soon"}}"#, "soon"),
            (r#"{"state": "/s", "limits": {"header_bytes": 1}}"#, "header_bytes"),
            (r#"{"state": "/s", "limits": {"connections": 0}}"#, "connections"),
            (r#"{"state": "/s", "health": {"period": "0s"}}"#, "period"),
            (r#"{"state": "/s", "health": {"path": "x"}}"#, "health.path"),
            (r#"{"state": "/s", "test": {"token": "short"}}"#, "token"),
            (r#"{"state": "/s", "shadow": {"percent": 101}}"#, "shadow.percent"),
            (r#"{"state": "/s", "shadow": {"open": 0}}"#, "shadow.open"),
            (r#"{"state": "/s", "routes": [{"path": "/a/../b", "access": "reads"}]}"#, "/a/../b"),
            (r#"{"state": "/s", "routes": [{"path": "/a", "method": "A B", "access": "reads"}]}"#, "A B"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
