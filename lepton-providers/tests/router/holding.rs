//! What a hold does to requests.

use std::time::Duration;

use lepton_core::ErrorKind;
use lepton_core::data_set::Side;
use lepton_core::traffic::{HoldRequest, Traffic as _};
use lepton_providers::router::{Access, HoldScope, RouteRule};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::site::{Site, cleared};
use crate::user::{LONG, ask, ask_with, eventually, read_until, rest};

#[tokio::test]
async fn a_held_upload_gets_no_100_continue_before_the_release() {
    let site = Site::start().await;
    let hold = site.hold(1).await;
    let mut stream = TcpStream::connect(site.address).await.unwrap();
    let head =
        "POST /echo HTTP/1.1\r\nHost: s\r\nExpect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    site.waiting(&hold, 1).await;
    let early = timeout(Duration::from_millis(300), stream.read_u8()).await;
    assert!(early.is_err(), "the router has said something: {early:?}");
    site.back(&hold).await;
    read_until(&mut stream, b"HTTP/1.1 100 Continue\r\n\r\n").await;
    stream.write_all(b"hello").await.unwrap();
    let answer = rest(&mut stream).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "hello"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_upload_is_not_read() {
    let site = Site::start().await;
    let hold = site.hold(1).await;
    let mut stream = TcpStream::connect(site.address).await.unwrap();
    let length = 64 << 20;
    let head = format!("POST /wait HTTP/1.1\r\nHost: s\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    site.waiting(&hold, 1).await;
    // What fits into the buffers of the system and of the router is sent; the rest is not.
    let (chunk, mut sent) = (vec![7; 1 << 20], 0);
    while let Ok(count) = timeout(Duration::from_secs(1), stream.write(&chunk)).await {
        sent += count.unwrap();
        assert!(sent < length / 2, "{sent} bytes of a held body were read");
    }
    assert!(site.a.seen().is_empty());
    site.back(&hold).await;
    let (mut read, mut write) = stream.split();
    let rest_of_body = async {
        while sent < length {
            sent += write.write(&chunk[..chunk.len().min(length - sent)]).await.unwrap();
        }
    };
    let ((), answer) = timeout(LONG, async { tokio::join!(rest_of_body, rest(&mut read)) }).await.unwrap();
    assert_eq!((answer.status, answer.body), (200, format!("A {length}")));
}

#[tokio::test]
async fn bytes_of_bodies_are_limited_too() {
    let site = Site::start().await;
    let mut request = HoldRequest::new(1);
    request.limits.bytes = 10;
    let hold = site.traffic.hold(request).await.unwrap();
    let address = site.address;
    let small = tokio::spawn(async move { ask_with(address, "POST", "/echo", "", "12345678").await });
    site.waiting(&hold, 1).await;
    let refused = ask_with(site.address, "POST", "/echo", "", "123").await;
    assert_eq!(refused.status, 503);
    assert!(refused.has("retry-after: "), "{refused:?}");
    // No driver has to do anything: the owner stays, and receives what waits.
    assert_eq!(small.await.unwrap().body, "12345678");
    assert_eq!(site.a.seen(), ["POST /echo"]);
    let error = site.traffic.renew(&hold.id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PreconditionFailed);
    let counters = site.counters().await;
    assert_eq!((counters.refused, counters.held), (1, 1));
}

#[tokio::test]
async fn a_hold_without_room_that_cannot_end_in_the_register_refuses_everything() {
    let site = Site::start().await;
    let mut request = HoldRequest::new(1);
    request.limits.requests = 0;
    let hold = site.traffic.hold(request).await.unwrap();
    let blocked = site.config.state.join("register.new");
    std::fs::create_dir(&blocked).unwrap();
    assert_eq!(ask(site.address, "POST", "/").await.status, 503);
    eventually("it is closed", async || ask(site.address, "GET", "/").await.status == 503).await;
    let clearance = cleared(Side::B, 1);
    let released = site.traffic.switch(clearance, &hold.id, 1).await;
    assert!(released.is_err(), "{released:?}");
    assert!(site.a.seen().iter().all(|seen| seen.starts_with("GET")), "{:?}", site.a.seen());
    std::fs::remove_dir(&blocked).unwrap();
    eventually("it is open", async || ask(site.address, "POST", "/").await.body == "A").await;
    let route = site.traffic.get().await.unwrap();
    assert_eq!((route.owner, route.hold), (Side::A, None));
    assert!(site.b.seen().is_empty());
}

#[tokio::test]
async fn routes_declare_which_requests_write() {
    let rules = vec![
        RouteRule::new("/search", Some("POST"), Access::Reads),
        RouteRule::new("/cron", Some("GET"), Access::Writes),
    ];
    let site = Site::with(|config| config.routes = rules).await;
    let hold = site.hold(1).await;
    assert_eq!(ask(site.address, "POST", "/search").await.status, 200);
    assert_eq!(ask(site.address, "GET", "/").await.status, 200);
    let address = site.address;
    let writes: Vec<_> = [("GET", "/cro%6e"), ("POST", "/search/../pay"), ("POST", "/"), ("DELETE", "/search")]
        .into_iter()
        .map(|(method, target)| tokio::spawn(async move { ask(address, method, target).await.status }))
        .collect();
    site.waiting(&hold, 4).await;
    assert_eq!(site.a.seen().len(), 2);
    site.back(&hold).await;
    for write in writes {
        assert_eq!(write.await.unwrap(), 200);
    }
}

#[tokio::test]
async fn a_hold_of_all_holds_reads() {
    let site = Site::with(|config| config.hold = HoldScope::All).await;
    let hold = site.hold(1).await;
    let address = site.address;
    let read = tokio::spawn(async move { ask(address, "GET", "/").await.body });
    site.waiting(&hold, 1).await;
    assert!(site.a.seen().is_empty());
    site.forward(&hold, Side::B).await;
    assert_eq!(read.await.unwrap(), "B");
}

#[tokio::test]
async fn a_client_that_leaves_the_queue_is_never_sent() {
    let site = Site::start().await;
    let hold = site.hold(1).await;
    let mut stream = TcpStream::connect(site.address).await.unwrap();
    stream.write_all(b"DELETE /gone HTTP/1.1\r\nHost: s\r\n\r\n").await.unwrap();
    site.waiting(&hold, 1).await;
    drop(stream);
    site.waiting(&hold, 0).await;
    site.forward(&hold, Side::B).await;
    assert_eq!(ask(site.address, "GET", "/").await.body, "B");
    assert_eq!((site.a.seen().len(), site.b.seen()), (0, vec!["GET /".to_owned()]));
    assert_eq!(site.counters().await.held, 0);
}

#[tokio::test]
async fn many_held_requests_all_go_to_the_new_owner() {
    let site = Site::start().await;
    let hold = site.hold(1).await;
    let address = site.address;
    let writes: Vec<_> = (0..200).map(|_| tokio::spawn(async move { ask(address, "POST", "/").await.body })).collect();
    site.waiting(&hold, 200).await;
    site.forward(&hold, Side::B).await;
    for write in writes {
        assert_eq!(write.await.unwrap(), "B");
    }
    assert!(site.a.seen().is_empty());
    let counters = site.counters().await;
    assert_eq!((counters.held, counters.b.writes, counters.a.requests), (200, 200, 0));
    eventually("nothing in flight", async || site.drain(Side::B).await.no_writes()).await;
}
