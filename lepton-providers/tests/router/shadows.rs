//! Copies of reads for side B.

use lepton_core::data_set::Side;
use lepton_core::traffic::Backend;
use lepton_providers::router::{Access, RouteRule, Shadow};
use tokio::net::TcpListener;

use crate::site::Site;
use crate::user::{ask, ask_with, eventually};

async fn shadowed(percent: u32) -> Site {
    Site::with(|config| {
        config.shadow = Some(Shadow::new(percent));
        config.routes = vec![RouteRule::new("/cron", Some("GET"), Access::Writes)];
    })
    .await
}

#[tokio::test]
async fn side_b_gets_copies_of_reads_and_of_nothing_else() {
    let site = shadowed(100).await;
    for (method, path) in [("GET", "/x"), ("POST", "/x"), ("GET", "/cron"), ("DELETE", "/x"), ("GET", "/y?q=1")] {
        assert_eq!(ask(site.address, method, path).await.body, "A");
    }
    eventually("both copies are there", async || site.b.seen().len() == 2).await;
    let mut seen = site.b.seen();
    seen.sort();
    assert_eq!(seen, ["GET /x", "GET /y?q=1"]);
    eventually("they are counted", async || site.counters().await.b.tests == 2).await;
    let counters = site.counters().await;
    assert_eq!((counters.b.requests, counters.b.errors, counters.a.requests), (0, 0, 5));
    let (kept, copied) = ("/headers", "x-lepton-shadow");
    assert!(!ask_with(site.address, "GET", kept, "", "").await.body.contains(copied), "side A is not told");
}

#[tokio::test]
async fn no_copy_is_sent_in_a_fence_or_after_the_switch() {
    let site = shadowed(100).await;
    let hold = site.hold(1).await;
    assert_eq!(ask(site.address, "GET", "/held").await.body, "A");
    site.forward(&hold, Side::B).await;
    assert_eq!(ask(site.address, "GET", "/after").await.body, "B");
    let hold = site.hold(2).await;
    site.forward(&hold, Side::A).await;
    assert_eq!(ask(site.address, "GET", "/back").await.body, "A");
    eventually("side A owns again", async || site.b.seen().contains(&"GET /back".to_owned())).await;
    assert_eq!(site.b.seen(), ["GET /after", "GET /back"]);
    assert_eq!(site.a.seen(), ["GET /held", "GET /back"]);
}

#[tokio::test]
async fn the_share_is_that_of_the_settings() {
    let site = shadowed(25).await;
    for _ in 0..40 {
        assert_eq!(ask(site.address, "GET", "/x").await.body, "A");
    }
    eventually("a quarter was copied", async || site.b.seen().len() == 10).await;
}

/// Users wait for no copy: neither where side B does not answer nor where it has no replica.
#[tokio::test]
async fn a_side_that_does_not_answer_costs_the_users_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let site = Site::with(|config| {
        let mut shadow = Shadow::new(100);
        shadow.open = 2;
        (config.shadow, config.b) = (Some(shadow), vec![Backend::new("silent", address)]);
    })
    .await;
    for _ in 0..20 {
        assert_eq!(ask(site.address, "GET", "/x").await.body, "A");
    }
    assert_eq!(site.counters().await.b.tests, 2, "the others find no place");
    let alone = Site::with(|config| {
        config.b.clear();
        config.shadow = Some(Shadow::new(100));
    })
    .await;
    assert_eq!(ask(alone.address, "GET", "/x").await.body, "A");
    assert_eq!(alone.counters().await.b.errors, 0);
}
