//! The driver's end of the control socket.

use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use lepton_core::data_set::{Clearance, Side};
use lepton_core::traffic::{
    Counters, Hold, HoldId, HoldRequest, InFlight, InFlightPolicy, Route, RouteChange, Traffic, TrafficCapabilities,
};
use lepton_core::{Effect, Error, ErrorKind, Result, RetryClass, SharedRuntime};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

use super::timing::within;
use super::wire::{Answer, Command, LONGEST, Request, VERSION, line};

/// What is escaped in the path of a URL.
const NOT_IN_URL: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A router, as its driver sees it: [`Traffic`] over the control socket. Each call has a
/// connection of its own.
///
/// A call whose answer is lost fails with effect `Unknown` if it may have changed something; the
/// caller reads the register with [`get`](Traffic::get).
#[derive(Debug, Clone)]
pub struct RouterTraffic {
    socket: PathBuf,
    url: String,
    env: SharedRuntime,
    timeout: Duration,
    capabilities: TrafficCapabilities,
}

impl RouterTraffic {
    /// The router with this control socket. Nothing is connected yet.
    pub fn new(socket: impl Into<PathBuf>, env: SharedRuntime) -> Self {
        let socket = socket.into();
        let mut capabilities = TrafficCapabilities::new();
        (capabilities.hold, capabilities.verify, capabilities.owner) = (true, true, true);
        let url = format!("router:{}", percent_encode(socket.as_os_str().as_bytes(), NOT_IN_URL));
        Self { socket, url, env, timeout: Duration::from_secs(10), capabilities }
    }

    /// The time for each call (10 s).
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The control socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    async fn call(&self, operation: &'static str, command: Command) -> Result<Answer> {
        let changes = !matches!(command, Command::Get | Command::Verify);
        // Whether the router may have received the command.
        let mut sent = false;
        let called = within(&self.env, self.timeout, self.exchange(command, &mut sent)).await;
        let lost = |error: Error| {
            let effect = if changes && sent { Effect::Unknown } else { Effect::None };
            error
                .with_retry(RetryClass::Now)
                .with_effect(effect)
                .with_operation(operation)
                .with_context("url", &self.url)
        };
        match called {
            Some(Ok(Answer::Error(error))) => Err(error.error().with_operation(operation)),
            Some(Ok(answer)) => Ok(answer),
            Some(Err(error)) => Err(lost(error)),
            None => Err(lost(Error::new(ErrorKind::Timeout, "the router has not answered in time"))),
        }
    }

    async fn exchange(&self, command: Command, sent: &mut bool) -> Result<Answer> {
        let failed = |error: io::Error| {
            let kind = match error.kind() {
                io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
                _ => ErrorKind::Network,
            };
            Error::new(kind, "no answer from the router").with_source(error)
        };
        let line = line(&Request { version: VERSION, command })?;
        let mut stream = UnixStream::connect(&self.socket).await.map_err(failed)?;
        *sent = true;
        stream.write_all(&line).await.map_err(failed)?;
        let mut answer = Vec::new();
        BufReader::new(stream).take(LONGEST).read_until(b'\n', &mut answer).await.map_err(failed)?;
        if answer.last() != Some(&b'\n') {
            return Err(failed(io::ErrorKind::UnexpectedEof.into()));
        }
        let unknown = |error| Error::new(ErrorKind::Unexpected, "the router answers something else").with_source(error);
        serde_json::from_slice(&answer).map_err(unknown)
    }

    async fn route(&self, operation: &'static str, command: Command) -> Result<Route> {
        match self.call(operation, command).await? {
            Answer::Route(route) => Ok(route.into()),
            other => Err(unexpected(operation, &other)),
        }
    }

    async fn held(&self, operation: &'static str, command: Command) -> Result<Hold> {
        match self.call(operation, command).await? {
            Answer::Hold(hold) => Ok(hold.into()),
            other => Err(unexpected(operation, &other)),
        }
    }
}

fn unexpected(operation: &'static str, answer: &Answer) -> Error {
    let error = Error::new(ErrorKind::Unexpected, format!("the router has answered something else: {answer:?}"));
    error.with_operation(operation).with_effect(Effect::Unknown)
}

#[async_trait]
impl Traffic for RouterTraffic {
    fn capabilities(&self) -> &TrafficCapabilities {
        &self.capabilities
    }

    fn url(&self) -> &str {
        &self.url
    }

    async fn get(&self) -> Result<Route> {
        self.route("get", Command::Get).await
    }

    async fn set(&self, change: RouteChange, if_version: u64) -> Result<Route> {
        match change {
            RouteChange::Backends(side, backends) => {
                self.route("set", Command::Set { side, backends, if_version }).await
            }
            _ => Err(Error::unsupported("the weights of a router follow the owner in its register")),
        }
    }

    async fn verify(&self) -> Result<Counters> {
        match self.call("verify", Command::Verify).await? {
            Answer::Counters(counters) => Ok(counters.into()),
            other => Err(unexpected("verify", &other)),
        }
    }

    async fn hold(&self, request: HoldRequest) -> Result<Hold> {
        let HoldRequest { epoch, limits, all, .. } = request;
        self.held("hold", Command::Hold { epoch, limits, all }).await
    }

    async fn renew(&self, hold: &HoldId) -> Result<Hold> {
        self.held("renew", Command::Renew { hold: hold.clone() }).await
    }

    async fn switch(&self, to: Clearance, hold: &HoldId, epoch: u64) -> Result<Route> {
        let (to, cleared) = (to.to(), to.epoch());
        self.route("switch", Command::Switch { to, cleared, hold: hold.clone(), epoch }).await
    }

    async fn release(&self, hold: &HoldId, epoch: u64) -> Result<Route> {
        self.route("release", Command::Release { hold: hold.clone(), epoch }).await
    }

    async fn drain(&self, side: Side, policy: InFlightPolicy) -> Result<InFlight> {
        let cut = match policy {
            InFlightPolicy::Wait => None,
            InFlightPolicy::Cut(after) => Some(after),
            _ => return Err(Error::unsupported("a router knows no such policy")),
        };
        match self.call("drain", Command::Drain { side, cut }).await? {
            Answer::InFlight(open) => Ok(open.into()),
            other => Err(unexpected("drain", &other)),
        }
    }
}
