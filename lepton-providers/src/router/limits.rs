//! The limits of a router, and the health of its replicas.

use std::time::Duration;

use lepton_core::{Error, Result};
use serde::Deserialize;

/// Sizes, numbers and times.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Limits {
    /// Connections of users at a time; those beyond wait in the queue of the system.
    pub connections: usize,
    /// Bytes of the head of a request, at most 64 KiB; larger ones are answered with 431.
    pub header_bytes: usize,
    /// Header lines of a request.
    pub headers: usize,
    /// The time for the head of a request and for the TLS handshake. An idle connection is
    /// closed after it, too.
    #[serde(with = "time")]
    pub header_time: Duration,
    /// The longest pause of a client that sends a body or takes an answer.
    #[serde(with = "time")]
    pub idle_time: Duration,
    /// The time for a connection to a replica.
    #[serde(with = "time")]
    pub connect_time: Duration,
    /// The time until a replica begins to answer; then the client receives 504. A request that may
    /// write stays in flight until the replica has answered.
    #[serde(with = "time")]
    pub answer_time: Duration,
    /// How long a connection to a replica is kept for the next request. It has to be shorter
    /// than the time after which the replica closes one.
    #[serde(with = "time")]
    pub keep_alive: Duration,
    /// The time in which open requests may end when the router stops.
    #[serde(with = "time")]
    pub stop_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            header_bytes: 16 << 10,
            headers: 100,
            header_time: Duration::from_secs(30),
            idle_time: Duration::from_secs(60),
            connect_time: Duration::from_secs(5),
            answer_time: Duration::from_secs(300),
            keep_alive: Duration::from_secs(4),
            stop_time: Duration::from_secs(30),
        }
    }
}

impl Limits {
    pub(super) fn check(&self) -> Result<()> {
        if !(1..=1_000_000).contains(&self.connections) {
            return Err(Error::invalid_input("limits.connections is between 1 and 1000000"));
        }
        if !(256..=64 << 10).contains(&self.header_bytes) || !(1..=1000).contains(&self.headers) {
            let message = "limits.header_bytes is between 256 and 65536, limits.headers between 1 and 1000";
            return Err(Error::invalid_input(message));
        }
        Ok(())
    }
}

/// How replicas that do not work are found.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Health {
    /// The path of the GET that checks each replica; a status from 200 to 399 is a success.
    /// Without it no replica is checked.
    pub path: Option<String>,
    /// The time between two checks.
    #[serde(with = "time")]
    pub period: Duration,
    /// The time for an answer.
    #[serde(with = "time")]
    pub timeout: Duration,
    /// Successes in a row after which a replica is used again.
    pub successes: u32,
    /// Failures in a row after which a replica is not used.
    pub failures: u32,
    /// Failures of users' requests in a row after which a replica pauses.
    pub passive_failures: u32,
    /// The length of that pause. A replica that pauses is used if there is no other.
    #[serde(with = "time")]
    pub passive_pause: Duration,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            path: None,
            period: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            successes: 1,
            failures: 3,
            passive_failures: 3,
            passive_pause: Duration::from_secs(10),
        }
    }
}

impl Health {
    pub(super) fn check(&self) -> Result<()> {
        let path = self.path.as_deref().unwrap_or("/");
        if !path.starts_with('/') || path.parse::<http::Uri>().is_err() {
            return Err(Error::invalid_input(format!("health.path {path:?} is not a path that begins with /")));
        }
        if self.period.is_zero() || self.successes == 0 || self.failures == 0 || self.passive_failures == 0 {
            return Err(Error::invalid_input("the period and the thresholds of health are not 0"));
        }
        Ok(())
    }
}

/// Times as text: `30s`, `5m`.
pub(super) mod time {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, de::Error as _};

    pub(in crate::router) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(from)?;
        humantime::parse_duration(&text).map_err(|error| D::Error::custom(format!("{text:?} is not a time: {error}")))
    }
}
