//! Replicas that work, and those that do not.

use std::collections::BTreeMap;
use std::time::Duration;

use lepton_core::data_set::Side;
use lepton_core::traffic::{RouteChange, Traffic as _};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::application::Application;
use crate::site::Site;
use crate::user::{ask, eventually};

/// A site with two replicas at side A, of which this is the second.
async fn two(change: impl FnOnce(&mut lepton_providers::router::RouterConfig)) -> (Site, Application) {
    let second = Application::start(Side::A).await;
    let site = Site::with(|config| {
        config.a.push(second.backend());
        change(config);
    })
    .await;
    (site, second)
}

#[tokio::test]
async fn the_replica_with_the_fewest_requests_gets_the_next() {
    let (site, second) = two(|_| {}).await;
    site.a.open(false);
    second.open(false);
    let mut streams = Vec::new();
    for count in 1..=6 {
        let mut stream = TcpStream::connect(site.address).await.unwrap();
        stream.write_all(b"GET /wait HTTP/1.1\r\nHost: s\r\n\r\n").await.unwrap();
        streams.push(stream);
        eventually("it is at a replica", async || site.a.seen().len() + second.seen().len() == count).await;
    }
    assert_eq!((site.a.seen().len(), second.seen().len()), (3, 3));
    // The first ends its three; it gets what comes next.
    site.a.open(true);
    eventually("three are left", async || site.drain(Side::A).await.requests == 3).await;
    for _ in 0..6 {
        ask(site.address, "GET", "/next").await;
    }
    assert_eq!((site.a.seen().len(), second.seen().len()), (9, 3));
    second.open(true);
}

#[tokio::test]
async fn a_replica_that_says_it_is_ill_gets_nothing_until_it_is_well() {
    let (site, second) = two(|config| {
        config.health.path = Some("/healthz".to_owned());
        config.health.period = Duration::from_millis(20);
        config.health.failures = 2;
    })
    .await;
    second.healthy(false);
    eventually("only the first is asked", async || {
        let before = second.seen().len();
        for _ in 0..6 {
            ask(site.address, "GET", "/").await;
        }
        second.seen().len() == before
    })
    .await;
    second.healthy(true);
    eventually("the second is asked again", async || {
        let before = second.seen().len();
        ask(site.address, "GET", "/").await;
        second.seen().len() > before
    })
    .await;
    site.a.healthy(false);
    second.healthy(false);
    eventually("no replica works", async || ask(site.address, "GET", "/").await.status == 503).await;
}

#[tokio::test]
async fn a_replica_that_fails_requests_pauses() {
    let (site, second) = two(|config| {
        config.health.passive_failures = 1;
        config.health.passive_pause = Duration::from_secs(3600);
    })
    .await;
    let address = second.address;
    drop(second);
    eventually("nobody listens", async || TcpStream::connect(address).await.is_err()).await;
    for _ in 0..4 {
        assert_eq!(ask(site.address, "GET", "/").await.status, 200);
    }
    // It is there again, but pauses; the only one that is left is asked all the same.
    let second = Application::listen(Side::A, tokio::net::TcpListener::bind(address).await.unwrap());
    for _ in 0..6 {
        assert_eq!(ask(site.address, "GET", "/").await.status, 200);
    }
    assert!(second.seen().is_empty());
    let change = RouteChange::Backends(Side::A, vec![second.backend()]);
    let version = site.traffic.get().await.unwrap().version;
    site.traffic.set(change, version).await.unwrap();
    assert_eq!(ask(site.address, "GET", "/").await.status, 200);
    assert_eq!(second.seen().len(), 1);
}

#[tokio::test]
async fn errors_are_counted_by_side() {
    let site = Site::start().await;
    let mut counts = BTreeMap::new();
    for status in [200, 404, 500, 503] {
        site.a.status(status);
        *counts.entry(ask(site.address, "GET", "/").await.status).or_insert(0) += 1;
    }
    assert_eq!(counts.len(), 4, "{counts:?}");
    let counters = site.counters().await;
    assert_eq!((counters.a.requests, counters.a.errors, counters.b.errors), (4, 2, 0));
}
