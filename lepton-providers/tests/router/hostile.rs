//! Clients that are slow, too large, or up to something.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::site::Site;
use crate::user::{LONG, ask, eventually, raw, read_until, rest};

#[tokio::test]
async fn a_slow_head_is_cut_off() {
    let site = Site::with(|config| config.limits.header_time = Duration::from_millis(300)).await;
    let mut stream = TcpStream::connect(site.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHo").await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let dripping = tokio::spawn(async move {
        while write.write_all(b"s").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let mut bytes = Vec::new();
    let _ = timeout(LONG, read.read_to_end(&mut bytes)).await.expect("the connection stays");
    dripping.abort();
    assert!(site.a.seen().is_empty());
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let site = Site::with(|config| config.limits.header_time = Duration::from_millis(200)).await;
    let mut stream = TcpStream::connect(site.address).await.unwrap();
    rest(&mut stream).await;
}

#[tokio::test]
async fn a_body_that_stops_coming_is_given_up() {
    let site = Site::with(|config| config.limits.idle_time = Duration::from_millis(300)).await;
    let mut stream = TcpStream::connect(site.address).await.unwrap();
    stream.write_all(b"POST /wait HTTP/1.1\r\nHost: s\r\nContent-Length: 9\r\n\r\nhi").await.unwrap();
    assert_eq!(rest(&mut stream).await.status, 408);
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_given_up() {
    let site = Site::with(|config| config.limits.idle_time = Duration::from_millis(300)).await;
    let events = site.a.events();
    let mut stream = TcpStream::connect(site.address).await.unwrap();
    stream.write_all(b"GET /events HTTP/1.1\r\nHost: s\r\n\r\n").await.unwrap();
    let sending = async { while events.send(bytes::Bytes::from(vec![b'x'; 1 << 20])).await.is_ok() {} };
    timeout(LONG, sending).await.expect("the stream goes on");
    drop(stream);
}

#[tokio::test]
async fn too_large_a_head_is_431() {
    let site = Site::with(|config| config.limits.header_bytes = 1024).await;
    let large = format!("GET / HTTP/1.1\r\nHost: s\r\nX: {}\r\n\r\n", "x".repeat(2000));
    assert_eq!(raw(site.address, large.as_bytes()).await.status, 431);
    let many = format!("GET / HTTP/1.1\r\nHost: s\r\n{}\r\n", "X: 1\r\n".repeat(101));
    assert_eq!(raw(site.address, many.as_bytes()).await.status, 431);
    assert!(site.a.seen().is_empty());
}

#[tokio::test]
async fn what_can_be_read_in_two_ways_is_refused() {
    let site = Site::start().await;
    let line = "Host: s\r\nConnection: close\r\n";
    for (request, status) in [
        (
            "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: s\r\n\r\n",
            400,
        ),
        (
            "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: s\r\n\r\n",
            400,
        ),
        ("Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
        ("Content-Length: +3\r\n\r\nabc", 400),
        ("Content-Length: 3, 3\r\n\r\nabc", 400),
        ("Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        ("Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
        ("Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
        ("Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
        ("Host: other\r\n\r\n", 400),
        ("Expect: 200-maybe\r\n\r\n", 417),
        ("X: a\r\n b\r\n\r\n", 400),
        ("X\0: a\r\n\r\n", 400),
    ] {
        let answer = raw(site.address, format!("POST / HTTP/1.1\r\n{line}{request}").as_bytes()).await;
        assert_eq!(answer.status, status, "{request:?}: {answer:?}");
        assert!(site.a.seen().is_empty(), "{request:?} was sent on: {:?}", site.a.seen());
    }
    assert_eq!(raw(site.address, b"GET / HTTP/1.1\r\n\r\n").await.status, 400, "no host");
    assert_eq!(raw(site.address, b"CONNECT b:1 HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n").await.status, 405);
    assert_eq!(raw(site.address, b"GET / HTTP/2.0\r\nHost: b\r\n\r\n").await.status, 400);
    assert!(site.a.seen().is_empty());
}

#[tokio::test]
async fn a_wrong_chunk_ends_the_connection() {
    let site = Site::start().await;
    for chunks in
        ["zz\r\nab\r\n0\r\n\r\n", "3\r\nabcd\r\n0\r\n\r\n", "-1\r\n\r\n", "1ffffffffffffffff\r\na\r\n0\r\n\r\n"]
    {
        let head = "POST /echo HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n";
        let answer =
            raw(site.address, format!("{head}{chunks}GET /smuggled HTTP/1.1\r\nHost: s\r\n\r\n").as_bytes()).await;
        assert_ne!(answer.status, 200, "{chunks:?}: {answer:?}");
    }
    assert!(!site.a.seen().iter().any(|seen| seen.contains("smuggled")), "{:?}", site.a.seen());
}

#[tokio::test]
async fn connections_are_limited() {
    let site = Site::with(|config| config.limits.connections = 2).await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(site.address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: s\r\n\r\n").await.unwrap();
        read_until(&mut stream, b"\r\n\r\nA").await;
        open.push(stream);
    }
    let address = site.address;
    let third = tokio::spawn(async move { ask(address, "GET", "/third").await.body });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(site.a.seen().len(), 2, "the third has to wait");
    open.pop();
    assert_eq!(third.await.unwrap(), "A");
    eventually("it was sent", async || site.a.seen().len() == 3).await;
}
