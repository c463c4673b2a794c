//! What counts as in flight, and until when.

use std::time::Duration;

use lepton_core::data_set::Side;
use lepton_core::traffic::{InFlightPolicy, Traffic as _};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::site::Site;
use crate::user::{ask, eventually, read_until, rest};

async fn open_write(site: &Site) -> TcpStream {
    site.a.open(false);
    let mut stream = TcpStream::connect(site.address).await.unwrap();
    stream.write_all(b"POST /wait HTTP/1.1\r\nHost: s\r\nContent-Length: 2\r\n\r\nhi").await.unwrap();
    eventually("the write is at the replica", async || !site.a.seen().is_empty()).await;
    stream
}

#[tokio::test]
async fn a_write_whose_client_has_gone_is_in_flight_until_its_answer() {
    let site = Site::start().await;
    drop(open_write(&site).await);
    let hold = site.hold(1).await;
    for _ in 0..20 {
        let open = site.drain(Side::A).await;
        assert_eq!((open.requests, open.writes, open.unknown), (1, 1, 0));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    site.a.open(true);
    eventually("nothing in flight", async || site.drain(Side::A).await.requests == 0).await;
    assert_eq!(site.drain(Side::A).await.unknown, 0);
    site.back(&hold).await;
}

#[tokio::test]
async fn a_write_that_timed_out_is_in_flight_until_its_answer() {
    let site = Site::with(|config| config.limits.answer_time = Duration::from_millis(100)).await;
    let mut stream = open_write(&site).await;
    read_until(&mut stream, b"HTTP/1.1 504 ").await;
    assert_eq!(site.drain(Side::A).await.writes, 1);
    site.a.open(true);
    eventually("nothing in flight", async || site.drain(Side::A).await.writes == 0).await;
    assert_eq!((site.drain(Side::A).await.unknown, site.counters().await.a.errors), (0, 1));
}

#[tokio::test]
async fn a_read_that_timed_out_is_given_up() {
    let site = Site::with(|config| config.limits.answer_time = Duration::from_millis(100)).await;
    site.a.open(false);
    assert_eq!(ask(site.address, "GET", "/wait").await.status, 504);
    eventually("nothing in flight", async || site.drain(Side::A).await.requests == 0).await;
    assert_eq!(site.drain(Side::A).await.unknown, 0);
}

#[tokio::test]
async fn a_write_that_is_cut_off_is_unknown_until_the_other_side_owns() {
    let site = Site::start().await;
    let mut stream = open_write(&site).await;
    let hold = site.hold(1).await;
    let open = site.traffic.drain(Side::A, InFlightPolicy::Cut(Duration::from_millis(50))).await.unwrap();
    assert_eq!((open.writes, open.unknown), (1, 0));
    eventually("it is unknown", async || {
        let open = site.drain(Side::A).await;
        (open.writes, open.unknown) == (0, 1)
    })
    .await;
    let answer = rest(&mut stream).await;
    assert!(answer.status == 504 && !answer.has("retry-after"), "it may have been done: {answer:?}");
    site.forward(&hold, Side::B).await;
    assert_eq!(site.drain(Side::A).await.unknown, 0);
}

#[tokio::test]
async fn a_drain_cuts_off_nothing_after_its_hold_and_no_reads() {
    let site = Site::start().await;
    let mut stream = open_write(&site).await;
    let address = site.address;
    let read = tokio::spawn(async move { ask(address, "GET", "/wait").await.status });
    eventually("both are at the replica", async || site.a.seen().len() == 2).await;
    let (cut, hold) = (InFlightPolicy::Cut(Duration::from_millis(100)), site.hold(1).await);
    assert_eq!(site.traffic.drain(Side::A, cut).await.unwrap().writes, 1);
    site.back(&hold).await;
    let later = site.hold(2).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let open = site.drain(Side::A).await;
    assert_eq!((open.writes, open.unknown), (1, 0), "the hold of this drain has ended");
    site.traffic.drain(Side::A, cut).await.unwrap();
    read_until(&mut stream, b"HTTP/1.1 504 ").await;
    let open = site.drain(Side::A).await;
    assert_eq!((open.requests, open.writes, open.unknown), (1, 0, 1), "the read is not cut off");
    site.back(&later).await;
    site.a.open(true);
    assert_eq!(read.await.unwrap(), 200);
}

#[tokio::test]
async fn an_upload_whose_client_breaks_off_is_unknown() {
    let site = Site::start().await;
    let mut stream = TcpStream::connect(site.address).await.unwrap();
    stream.write_all(b"POST /wait HTTP/1.1\r\nHost: s\r\nContent-Length: 9\r\n\r\nhi").await.unwrap();
    eventually("the head is at the replica", async || !site.a.seen().is_empty()).await;
    drop(stream);
    eventually("it is unknown", async || {
        let open = site.drain(Side::A).await;
        (open.writes, open.unknown) == (0, 1)
    })
    .await;
}

#[tokio::test]
async fn a_write_whose_replica_breaks_off_is_unknown_and_not_sent_again() {
    let mut site = Site::start().await;
    let mut stream = open_write(&site).await;
    // A replica that dies with its connections.
    site.a = crate::application::Application::start(Side::A).await;
    stream.write_all(b"").await.unwrap();
    eventually("it is unknown", async || site.drain(Side::A).await.unknown == 1).await;
    assert!(site.a.seen().is_empty());
}
