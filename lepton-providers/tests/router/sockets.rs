//! WebSockets.

use lepton_core::data_set::Side;
use lepton_core::traffic::{InFlightPolicy, Traffic as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::site::Site;
use crate::user::{ask, eventually, read_until, rest};

const ASK: &[u8] = b"GET /socket HTTP/1.1\r\nHost: s\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
                     Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// A close frame with code 1012, for a client.
const CLOSE: [u8; 4] = [0x88, 2, 0x03, 0xF4];

/// A text message of the client, with a mask of zeros.
fn message(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0];
    frame.extend(text.as_bytes());
    frame
}

async fn open(site: &Site) -> TcpStream {
    let mut stream = TcpStream::connect(site.address).await.unwrap();
    stream.write_all(ASK).await.unwrap();
    let head = read_until(&mut stream, b"\r\n\r\n").await;
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101 ") && head.contains("upgrade: websocket\r\n"), "{head}");
    assert!(head.contains("sec-websocket-accept: abc\r\n"), "{head}");
    stream
}

#[tokio::test]
async fn bytes_pass_both_ways_and_the_end_is_seen() {
    let site = Site::start().await;
    let mut stream = open(&site).await;
    for text in ["one", "two", "three"] {
        stream.write_all(&message(text)).await.unwrap();
        read_until(&mut stream, &message(text)).await;
    }
    eventually("it is counted", async || {
        let open = site.traffic.drain(Side::B, InFlightPolicy::Wait).await.unwrap();
        assert_eq!(open.websockets, 0);
        site.counters().await.a.requests == 1
    })
    .await;
    drop(stream);
    eventually("it has ended", async || site.drain(Side::A).await.websockets == 0).await;
    assert_eq!(site.drain(Side::A).await.unknown, 0);
}

#[tokio::test]
async fn a_drain_closes_with_1012() {
    let site = Site::start().await;
    let mut stream = open(&site).await;
    stream.write_all(&message("hello")).await.unwrap();
    read_until(&mut stream, &message("hello")).await;
    let hold = site.hold(1).await;
    let left = site.drain(Side::A).await;
    assert_eq!((left.websockets, left.requests), (1, 0));
    read_until(&mut stream, &CLOSE).await;
    // The client answers with a close frame of its own.
    stream.write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xF4]).await.unwrap();
    rest(&mut stream).await;
    eventually("it has ended", async || site.drain(Side::A).await.websockets == 0).await;
    assert_eq!(site.drain(Side::A).await.unknown, 0, "the replica has closed its end");
    let seen = site.a.messages();
    assert!(seen.starts_with(&message("hello")), "{seen:?}");
    assert_eq!(&seen[message("hello").len()..][..2], [0x88, 0x82], "and got a close frame");
    site.back(&hold).await;
}

#[tokio::test]
async fn a_frame_that_has_begun_is_not_cut_by_the_close() {
    let site = Site::start().await;
    let mut stream = open(&site).await;
    let whole = message(&"x".repeat(100));
    let (first, second) = whole.split_at(40);
    stream.write_all(first).await.unwrap();
    read_until(&mut stream, first).await;
    site.drain(Side::A).await;
    // The rest of the frame still passes, and nothing behind it.
    stream.write_all(&[second, &message("late")].concat()).await.unwrap();
    let came = read_until(&mut stream, &CLOSE).await;
    assert_eq!(came, [second, &CLOSE].concat());
    eventually("the replica has its close", async || site.a.messages().len() == whole.len() + 8).await;
    assert!(site.a.messages().starts_with(&whole));
}

#[tokio::test]
async fn a_new_websocket_waits_for_the_release() {
    let site = Site::start().await;
    let hold = site.hold(1).await;
    let mut stream = TcpStream::connect(site.address).await.unwrap();
    stream.write_all(ASK).await.unwrap();
    site.waiting(&hold, 1).await;
    assert_eq!(ask(site.address, "GET", "/").await.body, "A");
    site.forward(&hold, Side::B).await;
    read_until(&mut stream, b"101 Switching").await;
    assert_eq!((site.b.seen(), site.a.seen()), (vec!["GET /socket".to_owned()], vec!["GET /".to_owned()]));
}

#[tokio::test]
async fn a_release_to_the_other_side_closes_those_of_the_old_one() {
    let site = Site::start().await;
    let mut old = open(&site).await;
    let hold = site.hold(1).await;
    site.forward(&hold, Side::B).await;
    read_until(&mut old, &CLOSE).await;
    let mut new = open(&site).await;
    site.drain(Side::A).await;
    new.write_all(&message("hi")).await.unwrap();
    read_until(&mut new, &message("hi")).await;
}

#[tokio::test]
async fn a_websocket_that_was_open_at_a_crash_is_unknown() {
    let mut site = Site::start().await;
    let mut stream = open(&site).await;
    eventually("it is counted on disk", async || {
        std::fs::read_to_string(site.config.state.join("open-writes")).unwrap().contains("00001\n")
    })
    .await;
    site.kill();
    let mut byte = [0];
    assert!(matches!(stream.read(&mut byte).await, Ok(0) | Err(_)));
    site.again().await;
    assert_eq!(site.drain(Side::A).await.unknown, 1);
}

#[tokio::test]
async fn a_stop_closes_with_1012() {
    let mut site = Site::start().await;
    let mut stream = open(&site).await;
    let ((), _) = tokio::join!(site.stop(), async {
        read_until(&mut stream, &CLOSE).await;
        stream.shutdown().await
    });
}
