//! The way to the side that is not in the route, and that there is no other.

use lepton_core::data_set::Side;
use lepton_providers::router::TestRoute;
use tokio::net::TcpStream;

use crate::application::Application;
use crate::site::Site;
use crate::user::{ask, ask_with, eventually, raw};

const TOKEN: &str = "0123456789abcdef";

async fn site() -> Site {
    Site::with(|config| {
        let mut test = TestRoute::new(TOKEN.to_owned());
        test.prefix = Some("/try".to_owned());
        config.test = Some(test);
    })
    .await
}

#[tokio::test]
async fn the_token_reaches_b_before_the_switch_and_a_after_it() {
    let site = site().await;
    let header = format!("X-Lepton-Test: {TOKEN}\r\n");
    assert_eq!(ask_with(site.address, "GET", "/x", &header, "").await.body, "B");
    assert_eq!(ask_with(site.address, "POST", "/x", &header, "").await.body, "B");
    assert_eq!(ask(site.address, "GET", &format!("/try/{TOKEN}/page?q=1")).await.body, "B");
    assert_eq!(ask(site.address, "GET", &format!("/try/{TOKEN}")).await.body, "B");
    assert_eq!(site.b.seen(), ["GET /x", "POST /x", "GET /page?q=1", "GET /"]);
    let counters = site.counters().await;
    assert_eq!((counters.b.tests, counters.b.requests, counters.b.writes, counters.a.requests), (4, 0, 0, 0));
    let hold = site.hold(1).await;
    assert_eq!(ask_with(site.address, "POST", "/x", &header, "").await.body, "B", "a hold is for users");
    site.forward(&hold, Side::B).await;
    assert_eq!(ask_with(site.address, "GET", "/x", &header, "").await.body, "A");
    assert_eq!(ask(site.address, "GET", "/x").await.body, "B");
}

#[tokio::test]
async fn the_token_is_not_told_to_the_application() {
    let site = site().await;
    for (header, side) in [(format!("X-Lepton-Test: {TOKEN}\r\n"), "B"), ("X-Lepton-Test: wrong\r\n".to_owned(), "A")] {
        let answer = ask_with(site.address, "GET", "/headers", &header, "").await;
        assert!(!answer.body.contains("x-lepton-test"), "{side}: {}", answer.body);
    }
    assert_eq!((site.a.seen().len(), site.b.seen().len()), (1, 1));
}

#[tokio::test]
async fn no_request_of_a_user_reaches_b_before_the_release() {
    let mut site = site().await;
    let (router, b) = (site.address, site.b.address);
    for header in [
        String::new(),
        "X-Lepton-Test: \r\n".to_owned(),
        "X-Lepton-Test: 0123456789abcdeg\r\n".to_owned(),
        format!("X-Lepton-Test: {TOKEN}0\r\n"),
        format!("X-Other: {TOKEN}\r\n"),
        format!("X-Forwarded-Host: {b}\r\n"),
        "Upgrade: websocket\r\n".to_owned(),
    ] {
        assert_eq!(ask_with(router, "GET", "/", &header, "").await.body, "A", "{header:?}");
    }
    for target in [
        "/try/wrong/x".to_owned(),
        format!("/try/{TOKEN}x/y"),
        format!("/x/try/{TOKEN}/y"),
        format!("/x?/try/{TOKEN}/"),
    ] {
        assert_eq!(ask(router, "GET", &target).await.body, "A", "{target}");
    }
    let absolute = format!("GET http://{b}/ HTTP/1.1\r\nHost: {b}\r\nConnection: close\r\n\r\n");
    assert_eq!(raw(router, absolute.as_bytes()).await.body, "A");
    let connect = format!("CONNECT {b} HTTP/1.1\r\nHost: {b}\r\nConnection: close\r\n\r\n");
    assert_eq!(raw(router, connect.as_bytes()).await.status, 405);
    // A hold, its end, and side A without replicas that work.
    let hold = site.hold(1).await;
    let write = tokio::spawn(async move { ask(router, "POST", "/held").await.body });
    site.waiting(&hold, 1).await;
    assert_eq!(ask(router, "GET", "/").await.body, "A");
    site.back(&hold).await;
    assert_eq!(write.await.unwrap(), "A");
    let before = site.counters().await;
    let dead = site.a.address;
    // The replica is gone with the last of its connections.
    site.a = Application::start(Side::A).await;
    eventually("nobody listens", async || TcpStream::connect(dead).await.is_err()).await;
    for method in ["GET", "POST"] {
        assert!(ask(router, method, "/").await.status >= 500, "{method}");
    }
    assert_eq!(site.b.seen(), Vec::<String>::new());
    let counters = site.counters().await;
    assert_eq!((counters.b.requests, counters.b.writes), (0, 0));
    assert_eq!(counters.a.requests, before.a.requests + 2);
}
