//! Requests of the users, and how they are counted.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use lepton::{Error, Result};

use super::shared::{Shared, lock};
use crate::site::{Restarts, Site};

pub(super) type Upload = UnsyncBoxBody<Bytes, Infallible>;

/// An answer that the users can use: its status is below 500.
pub(super) type Answer = Result<(StatusCode, Bytes)>;

/// Sends requests through the router.
#[derive(Clone)]
pub(super) struct Sender {
    site: Site,
    url: String,
    http: Client<HttpConnector, Upload>,
    pub(super) ledger: Shared,
}

impl Sender {
    pub(super) async fn new(site: &Site, ledger: Shared) -> Result<Self> {
        let url = format!("http://{}/items/", site.address("router").await?);
        let http = Client::builder(TokioExecutor::new()).build_http();
        Ok(Self { site: site.clone(), url, http, ledger })
    }

    /// Sends a request and counts it; the time that it takes is shown.
    pub(super) async fn send(&self, method: Method, name: &str, body: Vec<u8>) -> Answer {
        let begun = Instant::now();
        let answer = self.send_slowly(method, name, at_once(body)).await;
        let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut ledger = lock(&self.ledger);
        ledger.longest = ledger.longest.max(took);
        answer
    }

    /// Sends a request and counts it.
    pub(super) async fn send_slowly(&self, method: Method, name: &str, body: Upload) -> Answer {
        let before = self.before();
        let what = format!("{method} {name}");
        let answer = self.exchange(method, name, body).await;
        self.count(before, &what, answer.as_ref().map(drop));
        answer
    }

    /// The restarts of the router before a request.
    pub(super) fn before(&self) -> Restarts {
        self.site.router_restarts()
    }

    /// Counts a request. A failure while the router was killed and started is none of its.
    pub(super) fn count(&self, before: Restarts, what: &str, answer: Result<(), &Error>) {
        let mut ledger = lock(&self.ledger);
        ledger.requests += 1;
        let Err(error) = answer else { return };
        if before.is_calm() && self.site.router_restarts() == before {
            ledger.failures += 1;
            if ledger.failed.len() < 20 {
                ledger.failed.push(format!("{what}: {error}"));
            }
        } else {
            ledger.cut_off += 1;
        }
    }

    async fn exchange(&self, method: Method, name: &str, body: Upload) -> Answer {
        let broken = |error: &dyn std::fmt::Display| Error::invalid_input(format!("the request broke off: {error}"));
        let request = Request::builder().method(method).uri(format!("{}{name}", self.url));
        let request = request.body(body).map_err(|error| broken(&error))?;
        let response = self.http.request(request).await.map_err(|error| broken(&error))?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|error| broken(&error))?.to_bytes();
        if status.is_server_error() {
            return Err(Error::invalid_input(format!("{status}: {}", String::from_utf8_lossy(&body))));
        }
        Ok((status, body))
    }

    /// Sends a request and hangs up after this time; whether it was answered nobody looks.
    pub(super) async fn hang_up(&self, method: Method, name: &str, body: Upload, after: Duration) {
        // Dropped, the exchange closes its connection.
        let _ = tokio::time::timeout(after, self.exchange(method, name, body)).await;
        let mut ledger = lock(&self.ledger);
        ledger.requests += 1;
        ledger.hung_up += 1;
    }
}

pub(super) fn at_once(body: Vec<u8>) -> Upload {
    Full::new(body.into()).boxed_unsync()
}

/// A body that comes in `parts` parts with a pause before each.
pub(super) fn trickle(body: Vec<u8>, parts: usize, pause: Duration) -> Upload {
    let body = Bytes::from(body);
    let part = body.len().div_ceil(parts).max(1);
    let parts = stream::unfold(body, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(pause).await;
        let next = rest.split_to(part.min(rest.len()));
        Some((Ok(Frame::data(next)), rest))
    });
    StreamBody::new(parts).boxed_unsync()
}
