//! How a provider finds out whether a replica is well.

use serde::{Deserialize, Serialize};

use super::invalid::wrong;
use crate::{Error, Result};

/// A question to a replica, asked again and again: exactly one of the first three fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct Probe {
    /// A GET; a status from 200 to 399 is a success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_get: Option<HttpGet>,
    /// A connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp_socket: Option<TcpSocket>,
    /// A program; exit code 0 is a success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<Exec>,
    /// Seconds from the start of the replica to the first question.
    #[serde(default)]
    pub initial_delay_seconds: u32,
    /// Seconds between two questions.
    #[serde(default = "ten")]
    pub period_seconds: u32,
    /// Seconds after which an unanswered question has failed.
    #[serde(default = "one")]
    pub timeout_seconds: u32,
    /// Successes in a row after which a failing replica is well again.
    #[serde(default = "one")]
    pub success_threshold: u32,
    /// Failures in a row after which a replica is not well.
    #[serde(default = "three")]
    pub failure_threshold: u32,
}

/// A GET of a path at a port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpGet {
    /// The path, with its query.
    pub path: String,
    /// The name of the port.
    pub port: String,
}

/// A connection to a port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TcpSocket {
    /// The name of the port.
    pub port: String,
}

/// A program that runs next to the replica, in its environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exec {
    /// The program and its arguments.
    pub command: Vec<String>,
}

/// What a probe asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeAction<'a> {
    /// A GET.
    HttpGet(&'a HttpGet),
    /// A connection.
    TcpSocket(&'a TcpSocket),
    /// A program.
    Exec(&'a Exec),
}

fn one() -> u32 {
    1
}

fn three() -> u32 {
    3
}

fn ten() -> u32 {
    10
}

impl Probe {
    /// A GET of this path at the port with this name, with the periods and thresholds of
    /// Kubernetes.
    pub fn http(path: impl Into<String>, port: impl Into<String>) -> Self {
        Self { http_get: Some(HttpGet { path: path.into(), port: port.into() }), ..Self::empty() }
    }

    /// A connection to the port with this name.
    pub fn tcp(port: impl Into<String>) -> Self {
        Self { tcp_socket: Some(TcpSocket { port: port.into() }), ..Self::empty() }
    }

    /// This program with these arguments.
    pub fn exec(command: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { exec: Some(Exec { command: command.into_iter().map(Into::into).collect() }), ..Self::empty() }
    }

    fn empty() -> Self {
        Self {
            http_get: None,
            tcp_socket: None,
            exec: None,
            initial_delay_seconds: 0,
            period_seconds: ten(),
            timeout_seconds: one(),
            success_threshold: one(),
            failure_threshold: three(),
        }
    }

    /// Seconds between two questions.
    #[must_use]
    pub fn period_seconds(mut self, seconds: u32) -> Self {
        self.period_seconds = seconds;
        self
    }

    /// Failures in a row after which a replica is not well.
    #[must_use]
    pub fn failure_threshold(mut self, failures: u32) -> Self {
        self.failure_threshold = failures;
        self
    }

    /// What it asks.
    ///
    /// # Errors
    /// `invalid_input` unless exactly one of the three fields is set.
    pub fn action(&self) -> Result<ProbeAction<'_>> {
        match (&self.http_get, &self.tcp_socket, &self.exec) {
            (Some(get), None, None) => Ok(ProbeAction::HttpGet(get)),
            (None, Some(socket), None) => Ok(ProbeAction::TcpSocket(socket)),
            (None, None, Some(exec)) => Ok(ProbeAction::Exec(exec)),
            _ => Err(Error::invalid_input("a probe has exactly one of `httpGet`, `tcpSocket` and `exec`")),
        }
    }

    pub(super) fn check(&self, is_port: impl Fn(&str) -> bool) -> Result<()> {
        let port = match self.action()? {
            ProbeAction::HttpGet(get) if !get.path.starts_with('/') => {
                return Err(wrong("httpGet.path", &get.path, "a path that begins with `/`"));
            }
            ProbeAction::Exec(exec) if exec.command.first().is_none_or(String::is_empty) => {
                return Err(wrong("exec.command", "", "a program and its arguments"));
            }
            ProbeAction::Exec(_) => None,
            ProbeAction::HttpGet(HttpGet { port, .. }) | ProbeAction::TcpSocket(TcpSocket { port }) => Some(port),
        };
        if let Some(port) = port.filter(|port| !is_port(port)) {
            return Err(wrong("probe port", port, "the name of one of its ports"));
        }
        let positive = [
            ("periodSeconds", self.period_seconds),
            ("timeoutSeconds", self.timeout_seconds),
            ("successThreshold", self.success_threshold),
            ("failureThreshold", self.failure_threshold),
        ];
        match positive.into_iter().find(|(_, value)| *value == 0) {
            Some((field, _)) => Err(wrong(field, "0", "at least 1")),
            None => Ok(()),
        }
    }
}
