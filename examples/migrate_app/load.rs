//! The users: each writes, deletes and reads items of its own through the router, and keeps a
//! ledger of what was acknowledged.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use lepton::{Error, Result};

use crate::ledger::{Known, Ledger, body};
use crate::site::Site;

/// The items of each user.
const ITEMS: u64 = 12;

/// The file that ends the users, and the one with their ledger.
pub(crate) const STOP: &str = "load.stop";
pub(crate) const LEDGER: &str = "ledger.json";

type Http = Client<HttpConnector, Full<Bytes>>;

/// Sends requests until the file is there, then saves the ledger.
pub(crate) async fn run(site: &Site, users: u64) -> Result<()> {
    let url = format!("http://{}/items/", site.address("router").await?);
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let http: Http = Client::builder(TokioExecutor::new()).build_http();
    let stop = site.at(STOP);
    let mut tasks = tokio::task::JoinSet::new();
    for user in 0..users {
        let user = User { number: user, url: url.clone(), http: http.clone(), ledger: Arc::clone(&ledger) };
        let stop = stop.clone();
        tasks.spawn(async move {
            let mut value = user.number * 1_000_000;
            while !stop.exists() {
                value += 1;
                user.turn(value).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    }
    loop {
        tokio::select! {
            joined = tasks.join_next() => if joined.is_none() { break },
            () = tokio::time::sleep(Duration::from_millis(300)) => {}
        }
        // The demonstration shows the counters meanwhile.
        lock(&ledger).save(&site.at(LEDGER))?;
    }
    lock(&ledger).save(&site.at(LEDGER))
}

fn lock(ledger: &Mutex<Ledger>) -> std::sync::MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

struct User {
    number: u64,
    url: String,
    http: Http,
    ledger: Arc<Mutex<Ledger>>,
}

impl User {
    /// A write or a delete of one item, and a read of another one.
    async fn turn(&self, value: u64) {
        let name = format!("user-{}-item-{}", self.number, value % ITEMS);
        let (method, next) = match value % 10 {
            9 => (Method::DELETE, Known::Deleted),
            _ => (Method::PUT, Known::Value(value)),
        };
        let sent = if method == Method::PUT { body(value) } else { Vec::new() };
        let answered = self.send(method, &name, sent).await;
        {
            let mut ledger = lock(&self.ledger);
            ledger.writes += 1;
            let before = ledger.items.remove(&name).unwrap_or(Known::Deleted);
            let known = match answered {
                Ok((status, _)) if status.is_success() => next,
                _ => Known::Unsure(Box::new(before), Box::new(next)),
            };
            ledger.items.insert(name, known);
        }
        let name = format!("user-{}-item-{}", self.number, (value * 7) % ITEMS);
        let Some(known) = lock(&self.ledger).items.get(&name).cloned() else { return };
        if let Ok((status, found)) = self.send(Method::GET, &name, Vec::new()).await {
            let found = (status != StatusCode::NOT_FOUND).then_some(&found[..]);
            if !status.is_server_error() && !known.allows(found) {
                lock(&self.ledger).stale += 1;
            }
        }
    }

    async fn send(&self, method: Method, name: &str, body: Vec<u8>) -> Result<(StatusCode, Bytes)> {
        let begun = Instant::now();
        let outcome = self.exchange(method, name, body).await;
        let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut ledger = lock(&self.ledger);
        ledger.requests += 1;
        ledger.longest = ledger.longest.max(took);
        let failed = outcome.as_ref().map_or(true, |(status, _)| status.is_server_error());
        ledger.failures += u64::from(failed);
        outcome
    }

    async fn exchange(&self, method: Method, name: &str, body: Vec<u8>) -> Result<(StatusCode, Bytes)> {
        let broken = |error: &dyn std::fmt::Display| Error::invalid_input(format!("the request broke off: {error}"));
        let request = Request::builder().method(method).uri(format!("{}{name}", self.url));
        let request = request.body(Full::new(body.into())).map_err(|error| broken(&error))?;
        let response = self.http.request(request).await.map_err(|error| broken(&error))?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|error| broken(&error))?;
        Ok((status, body.to_bytes()))
    }
}
