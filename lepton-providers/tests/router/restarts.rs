//! What a router finds that was started again.

use std::fs;
use std::time::Duration;

use lepton_core::data_set::Side;
use lepton_core::traffic::{Backend, HoldRequest, RouteChange, Traffic as _};
use lepton_core::{Effect, ErrorKind};
use lepton_providers::router::Router;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::site::{Site, cleared};
use crate::user::{ask, eventually, rest};

#[tokio::test]
async fn a_restart_during_a_hold_starts_closed_until_the_release() {
    let mut site = Site::start().await;
    let hold = site.hold(1).await;
    site.kill();
    site.again().await;
    for method in ["GET", "POST"] {
        let answer = ask(site.address, method, "/").await;
        assert_eq!(answer.status, 503, "{method}");
        assert!(answer.has("retry-after: "), "{answer:?}");
    }
    let route = site.traffic.get().await.unwrap();
    assert_eq!((route.owner, route.hold.map(|hold| hold.id)), (Side::A, Some(hold.id.clone())));
    assert_eq!(site.hold(1).await.id, hold.id, "begun again it is the same");
    assert_eq!(ask(site.address, "POST", "/").await.status, 503, "and still closed");
    assert!(site.a.seen().is_empty() && site.b.seen().is_empty());
    site.forward(&hold, Side::B).await;
    assert_eq!(ask(site.address, "POST", "/").await.body, "B");
}

#[tokio::test]
async fn a_restart_during_a_hold_opens_to_the_owner_when_the_driver_is_silent() {
    let mut site = Site::start().await;
    let mut request = HoldRequest::new(1);
    request.limits.silence = Duration::from_millis(500);
    let hold = site.traffic.hold(request).await.unwrap();
    site.kill();
    site.again().await;
    eventually("it is open again", async || ask(site.address, "POST", "/").await.body == "A").await;
    let error = site.traffic.switch(cleared(Side::B, 1), &hold.id, 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PreconditionFailed);
    assert_eq!(site.traffic.get().await.unwrap().owner, Side::A);
}

#[tokio::test]
async fn a_release_that_is_on_disk_is_the_decision_although_no_request_went_out() {
    let mut site = Site::start().await;
    let hold = site.hold(3).await;
    let address = site.address;
    let write = tokio::spawn(async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"POST / HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\r\n").await.unwrap();
        rest(&mut stream).await.status
    });
    site.waiting(&hold, 1).await;
    // The register of the moment after the write and before the first request.
    let register = site.config.state.join("register");
    let text = fs::read_to_string(&register).unwrap();
    site.kill();
    assert_eq!(write.await.unwrap(), 0, "a held request dies with its router");
    assert_eq!(fs::read_to_string(&register).unwrap(), text, "what dies changes nothing");
    site.again().await;
    site.forward(&hold, Side::B).await;
    site.kill();
    site.again().await;
    let route = site.traffic.get().await.unwrap();
    assert_eq!((route.owner, route.epoch, route.hold), (Side::B, 3, None));
    assert_eq!(ask(site.address, "POST", "/").await.body, "B");
    assert!(site.a.seen().is_empty());
}

#[tokio::test]
async fn writes_that_were_open_are_unknown_after_a_crash_and_none_after_a_stop() {
    let mut site = Site::start().await;
    site.a.open(false);
    let mut streams = Vec::new();
    for count in 1..=3 {
        let mut stream = TcpStream::connect(site.address).await.unwrap();
        stream.write_all(b"PUT /wait HTTP/1.1\r\nHost: s\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        eventually("it is at the replica", async || site.a.seen().len() == count).await;
        streams.push(stream);
    }
    site.kill();
    site.again().await;
    let open = site.drain(Side::A).await;
    assert_eq!((open.writes, open.unknown), (0, 3));
    site.stop().await;
    site.again().await;
    assert_eq!(site.drain(Side::A).await.unknown, 3, "a stop proves nothing");
    let hold = site.hold(1).await;
    site.forward(&hold, Side::B).await;
    assert_eq!(site.drain(Side::A).await.unknown, 0);
    site.stop().await;
    site.again().await;
    assert_eq!((site.drain(Side::A).await.unknown, site.drain(Side::B).await.unknown), (0, 0));
}

#[tokio::test]
async fn backends_and_epochs_outlive_a_restart() {
    let mut site = Site::start().await;
    let hold = site.hold(7).await;
    site.back(&hold).await;
    let before = site.traffic.get().await.unwrap();
    let change = RouteChange::Backends(Side::B, vec![Backend::new("n", "127.0.0.1:1")]);
    let changed = site.traffic.set(change, before.version).await.unwrap();
    site.stop().await;
    assert!(!site.config.control_path().exists(), "a stop removes the socket");
    site.again().await;
    assert_eq!(site.traffic.get().await.unwrap(), changed);
    let error = site.traffic.hold(HoldRequest::new(7)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PreconditionFailed);
}

#[tokio::test]
async fn a_stop_lets_open_requests_end() {
    let mut site = Site::start().await;
    site.a.open(false);
    let mut stream = TcpStream::connect(site.address).await.unwrap();
    stream.write_all(b"POST /wait HTTP/1.1\r\nHost: s\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    eventually("it is at the replica", async || !site.a.seen().is_empty()).await;
    let address = site.address;
    let opener = async {
        eventually("no more connections", async || TcpStream::connect(address).await.is_err()).await;
    };
    let application = std::mem::replace(&mut site.a, crate::application::Application::start(Side::A).await);
    let ((), ()) = tokio::join!(site.stop(), async {
        opener.await;
        application.open(true);
    });
    let answer = rest(&mut stream).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "A 0"));
}

#[tokio::test]
async fn a_register_that_cannot_be_trusted_is_refused() {
    let mut site = Site::start().await;
    site.kill();
    let register = site.config.state.join("register");
    let good = fs::read(&register).unwrap();
    let start = || Router::builder().config(site.config.clone()).start();
    let mut flipped = good.clone();
    let owner = flipped.windows(9).position(|text| text == b"\"owner\":\"").unwrap() + 9;
    flipped[owner] = b'B';
    let later = String::from_utf8(good.clone()).unwrap().replace("\"lepton_router\":1", "\"lepton_router\":2");
    for (text, kind, why) in [
        (flipped, ErrorKind::Corrupt, "checksum"),
        (good[..good.len() / 2].to_vec(), ErrorKind::Corrupt, "damaged"),
        (Vec::new(), ErrorKind::Corrupt, "damaged"),
        (later.into_bytes(), ErrorKind::Unsupported, "format 2"),
    ] {
        fs::write(&register, text).unwrap();
        let error = start().await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(why) && error.to_string().contains("register"), "{error}");
    }
    fs::remove_file(&register).unwrap();
    let error = start().await.unwrap_err();
    assert!(error.kind() == ErrorKind::Corrupt && error.to_string().contains("gone"), "{error}");
    fs::write(&register, good).unwrap();
    site.again().await;
    let error = Router::builder().config(site.config.clone()).start().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked, "one router a register");
}

#[tokio::test]
async fn a_release_that_cannot_be_written_lets_nothing_out() {
    let site = Site::start().await;
    let hold = site.hold(1).await;
    let address = site.address;
    let write = tokio::spawn(async move { ask(address, "POST", "/").await.body });
    site.waiting(&hold, 1).await;
    // The new register cannot be made where a folder is.
    let blocked = site.config.state.join("register.new");
    fs::create_dir(&blocked).unwrap();
    let error = site.traffic.switch(cleared(Side::B, 1), &hold.id, 1).await.unwrap_err();
    assert_eq!(error.effect(), Effect::None, "{error:?}");
    assert_eq!(site.traffic.renew(&hold.id).await.unwrap().waiting, 1);
    assert!(site.a.seen().is_empty() && site.b.seen().is_empty());
    fs::remove_dir(&blocked).unwrap();
    site.forward(&hold, Side::B).await;
    assert_eq!(write.await.unwrap(), "B");
}

#[tokio::test]
async fn a_hold_that_cannot_end_in_the_register_refuses() {
    let site = Site::start().await;
    let mut request = HoldRequest::new(1);
    request.limits.silence = Duration::from_millis(1500);
    site.traffic.hold(request).await.unwrap();
    let blocked = site.config.state.join("register.new");
    fs::create_dir(&blocked).unwrap();
    eventually("it is closed", async || ask(site.address, "GET", "/").await.status == 503).await;
    assert_eq!(ask(site.address, "POST", "/").await.status, 503);
    fs::remove_dir(&blocked).unwrap();
    eventually("it is open", async || ask(site.address, "POST", "/").await.body == "A").await;
}

#[tokio::test]
async fn a_register_whose_state_nobody_knows_refuses_until_the_next_start() {
    let mut site = Site::start().await;
    let hold = site.hold(1).await;
    let register = site.config.state.join("register");
    let text = fs::read(&register).unwrap();
    // The new register cannot take the place of a folder, which is found only when it is renamed.
    fs::remove_file(&register).unwrap();
    fs::create_dir(&register).unwrap();
    let error = site.traffic.switch(cleared(Side::B, 1), &hold.id, 1).await.unwrap_err();
    assert_eq!(error.effect(), Effect::Unknown, "{error:?}");
    assert_eq!(site.traffic.get().await.unwrap_err().kind(), ErrorKind::Unavailable);
    for method in ["GET", "POST"] {
        assert_eq!(ask(site.address, method, "/").await.status, 503);
    }
    site.kill();
    fs::remove_dir(&register).unwrap();
    fs::write(&register, text).unwrap();
    site.again().await;
    let route = site.traffic.get().await.unwrap();
    assert_eq!((route.owner, route.hold.map(|hold| hold.id)), (Side::A, Some(hold.id)));
    assert!(site.a.seen().is_empty() && site.b.seen().is_empty());
}
