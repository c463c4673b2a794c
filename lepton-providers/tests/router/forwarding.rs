//! Heads, bodies and retries on their way through.

use bytes::Bytes;
use lepton_core::data_set::Side;
use lepton_core::traffic::{Backend, RouteChange, Traffic as _};
use lepton_providers::router::{Access, RouteRule};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::application::Application;
use crate::site::{Site, cleared};
use crate::user::{ask, ask_with, eventually, raw, read_until, rest};

#[tokio::test]
async fn headers_of_the_connection_stay_and_the_others_are_told() {
    let site = Site::start().await;
    let sent = "Connection: X-Secret\r\nX-Secret: 1\r\nKeep-Alive: timeout=9\r\nUpgrade: h2c\r\nTE: gzip\r\n\
                X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Mine: yes\r\n";
    let answer = ask_with(site.address, "GET", "/headers", sent, "").await;
    let told = |line: &str| answer.body.lines().any(|found| found == line);
    for line in
        ["x-forwarded-for: 127.0.0.1", "x-forwarded-proto: http", "x-forwarded-host: shop", "host: shop", "x-mine: yes"]
    {
        assert!(told(line), "{line} is not in {}", answer.body);
    }
    for name in ["connection:", "x-secret:", "keep-alive:", "upgrade:", "te:", "transfer-encoding:"] {
        assert!(!answer.body.lines().any(|line| line.starts_with(name)), "{name} is in {}", answer.body);
    }
    assert!(answer.has("x-end: 1") && !answer.has("x-hop") && !answer.has("keep-alive"), "{}", answer.head);
}

#[tokio::test]
async fn a_proxy_that_is_trusted_is_extended() {
    let site = Site::with(|config| config.trust_forwarded = true).await;
    let sent = "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n";
    let answer = ask_with(site.address, "GET", "/headers", sent, "").await;
    assert!(answer.body.contains("x-forwarded-for: 6.6.6.6, 127.0.0.1\n"), "{}", answer.body);
    assert!(answer.body.contains("x-forwarded-proto: https\n"), "{}", answer.body);
}

#[tokio::test]
async fn bodies_of_both_framings_pass() {
    let site = Site::start().await;
    let large = "x".repeat(3 << 20);
    assert_eq!(ask_with(site.address, "POST", "/echo", "", &large).await.body, large);
    let chunked = "PUT /echo HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
                   5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
    assert_eq!(raw(site.address, chunked.as_bytes()).await.body, "hello world");
    let head = ask(site.address, "HEAD", "/").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    let old = raw(site.address, b"GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!((old.status, old.body.as_str()), (200, "A"));
}

#[tokio::test]
async fn a_connection_serves_many_requests() {
    let site = Site::start().await;
    let mut stream = TcpStream::connect(site.address).await.unwrap();
    for count in 1..=50 {
        let method = if count % 2 == 0 { "GET" } else { "POST" };
        let request = format!("{method} /{count} HTTP/1.1\r\nHost: s\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        read_until(&mut stream, b"\r\n\r\nA").await;
        assert_eq!(site.a.seen().len(), count);
    }
    eventually("nothing in flight", async || site.drain(Side::A).await.requests == 0).await;
}

#[tokio::test]
async fn events_pass_one_by_one() {
    let site = Site::start().await;
    let events = site.a.events();
    let mut stream = TcpStream::connect(site.address).await.unwrap();
    stream.write_all(b"GET /events HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\r\n").await.unwrap();
    for count in 0..5 {
        let event = format!("data: {count}\n\n");
        events.send(Bytes::from(event.clone())).await.unwrap();
        // The next is sent only after this one has come.
        read_until(&mut stream, event.as_bytes()).await;
    }
    assert_eq!(site.drain(Side::A).await.requests, 1);
    drop(events);
    rest(&mut stream).await;
    eventually("nothing in flight", async || site.drain(Side::A).await.requests == 0).await;
}

#[tokio::test]
async fn a_client_that_leaves_a_stream_ends_it() {
    let site = Site::start().await;
    let events = site.a.events();
    let mut stream = TcpStream::connect(site.address).await.unwrap();
    stream.write_all(b"GET /events HTTP/1.1\r\nHost: s\r\n\r\n").await.unwrap();
    events.send(Bytes::from_static(b"data: 1\n\n")).await.unwrap();
    read_until(&mut stream, b"data: 1").await;
    drop(stream);
    eventually("nothing in flight", async || site.drain(Side::A).await.requests == 0).await;
    eventually("the replica's stream has ended", async || events.is_closed()).await;
}

/// An address at which nobody listens.
async fn nobody() -> std::net::SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn a_refused_connection_is_no_end_while_there_is_another_replica() {
    let dead = nobody().await;
    let site = Site::with(|config| {
        config.a.push(Backend::new("dead", dead.to_string()));
        // It does not pause, so that it is tried again and again.
        config.health.passive_failures = 1000;
    })
    .await;
    for method in ["GET", "POST"].into_iter().cycle().take(20) {
        let answer = ask_with(site.address, method, "/echo", "", "").await;
        assert_eq!(answer.status, 200, "{method}");
    }
    assert_eq!(site.drain(Side::A).await.unknown, 0, "nothing was sent to the one that refuses");
}

/// A replica that reads a request and hangs up. Returns its address and counts the requests.
async fn hanging_up() -> (std::net::SocketAddr, tokio::sync::watch::Receiver<u32>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (count, counted) = tokio::sync::watch::channel(0);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 4096];
            if stream.read(&mut buffer).await.unwrap_or(0) > 0 {
                count.send_modify(|count| *count += 1);
            }
        }
    });
    (address, counted)
}

#[tokio::test]
async fn only_what_is_safe_or_idempotent_is_sent_again() {
    let (bad, counted) = hanging_up().await;
    let site = Site::with(|config| {
        config.a.push(Backend::new("bad", bad.to_string()));
        config.health.passive_failures = 1000;
        config.routes = vec![RouteRule::new("/twice", None, Access::Idempotent)];
    })
    .await;
    for (method, target) in [("GET", "/"), ("PUT", "/twice")] {
        let before = *counted.borrow();
        for _ in 0..4 {
            assert_eq!(ask(site.address, method, target).await.status, 200, "{method}");
        }
        assert!(*counted.borrow() > before, "the bad replica was never asked");
    }
    // The first attempt of each idempotent write may still be at work.
    assert!(site.drain(Side::A).await.unknown > 0);
    let (before, seen) = (*counted.borrow(), site.a.seen().len());
    let mut failed = 0;
    for _ in 0..8 {
        failed += u32::from(ask_with(site.address, "POST", "/", "", "pay").await.status == 502);
    }
    assert_eq!(failed, *counted.borrow() - before, "each POST that the bad replica has read has failed");
    assert!(failed > 0);
    assert_eq!(site.a.seen().len() - seen, 8 - failed as usize, "and was sent nowhere else");
}

#[tokio::test]
async fn nothing_is_sent_again_across_a_fence() {
    for switched in [false, true] {
        // A replica that hangs up only after the fence has begun, or after its switch.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let late = || Backend::new("late", address.to_string());
        let site = Site::with(|config| config.a = vec![late()]).await;
        let router = site.address;
        let hold = if switched { Some(site.hold(1).await) } else { None };
        let read = tokio::spawn(async move { ask(router, "GET", "/").await.status });
        let (mut stream, _) = listener.accept().await.unwrap();
        read_until(&mut stream, b"\r\n\r\n").await;
        let change = RouteChange::Backends(Side::A, vec![late(), site.a.backend()]);
        let version = site.traffic.get().await.unwrap().version;
        site.traffic.set(change, version).await.unwrap();
        match hold {
            Some(hold) => drop(site.traffic.switch(cleared(Side::B, 1), &hold.id, 1).await.unwrap()),
            None => drop(site.hold(1).await),
        }
        drop(stream);
        assert_eq!(read.await.unwrap(), 502, "switched: {switched}");
        assert!(site.a.seen().is_empty() && site.b.seen().is_empty());
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_not_made_whole() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let site = Site::with(|config| {
        config.a = vec![Backend::new("half", address.to_string())];
    })
    .await;
    let router = site.address;
    let read = tokio::spawn(async move { ask(router, "GET", "/").await });
    let (mut stream, _) = listener.accept().await.unwrap();
    read_until(&mut stream, b"\r\n\r\n").await;
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await.unwrap();
    drop(stream);
    let answer = read.await.unwrap();
    assert!(answer.has("content-length: 10") && answer.body.len() < 10, "{answer:?}");
}

#[tokio::test]
async fn without_replicas_it_is_503() {
    let site = Site::with(|config| config.a = Vec::new()).await;
    let answer = ask(site.address, "GET", "/").await;
    assert!(answer.status == 503 && answer.has("retry-after"), "{answer:?}");
    let late = Application::start(Side::A).await;
    let version = site.traffic.get().await.unwrap().version;
    let change = RouteChange::Backends(Side::A, vec![late.backend()]);
    site.traffic.set(change, version).await.unwrap();
    assert_eq!(ask(site.address, "GET", "/").await.body, "A");
}
