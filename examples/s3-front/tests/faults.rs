//! Clients see each fault that hooks can produce, and the storage behind the hooks is in the
//! state that the fault implies.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

mod common;

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use common::{Request, Response, front};
use futures_util::FutureExt as _;
use lepton_s3_front::{Action, Failure, Gate, Moment, Rule, ScriptedHooks, Server, SinkStorage};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

async fn serve(hooks: &Arc<ScriptedHooks>) -> Server {
    let sink = Arc::new(SinkStorage::new("sink:"));
    let front = front().bucket("sink", sink).hooks(Arc::clone(hooks) as _).build().unwrap();
    front.serve("127.0.0.1:0").await.unwrap()
}

fn hooks(rule: Rule, action: Action) -> Arc<ScriptedHooks> {
    Arc::new(ScriptedHooks::new(1).rule(rule, action))
}

fn put() -> Request {
    Request::new("PUT", "/sink/key").body(vec![1; 100_000])
}

async fn exists(server: &Server) -> bool {
    Request::new("HEAD", "/sink/key").send(server).await.unwrap().status == 200
}

async fn list(server: &Server) -> std::io::Result<Response> {
    Request::new("GET", "/sink?list-type=2").send(server).await
}

/// A normal listing, and the same listing with a fault.
async fn listings(action: Action) -> (Response, std::io::Result<Response>) {
    let hooks = hooks(Rule::on("ListObjectsV2").after(1), action);
    let server = serve(&hooks).await;
    put().send(&server).await.unwrap();
    let pair = (list(&server).await.unwrap(), list(&server).await);
    assert_eq!(hooks.fired(), [1]);
    pair
}

#[tokio::test]
async fn a_reset_comes_before_the_effect_or_after_it() {
    for (moment, effect) in [(Moment::BeforeReading, false), (Moment::BeforeEffect, false), (Moment::AfterEffect, true)]
    {
        let hooks = hooks(Rule::on("PutObject").times(1), Action::Reset(moment));
        let server = serve(&hooks).await;
        let error = put().send(&server).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{moment:?}: {error:?}");
        assert_eq!(exists(&server).await, effect, "{moment:?}");
        let counts = server.stats().of("PutObject");
        assert_eq!((counts.requests, counts.succeeded), (1, u64::from(effect)), "{moment:?}");
        assert_eq!(counts.bytes_in, if moment == Moment::BeforeReading { 0 } else { 100_000 }, "{moment:?}");
        assert_eq!(put().send(&server).await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn failures_have_status_code_and_headers_and_no_effect() {
    let slow = Failure::slow_down().retry_after(7);
    let redirect = Failure::new(301, "PermanentRedirect").header("x-amz-bucket-region", "eu-central-1");
    for (failure, status, code, header) in [
        (slow, 503, "SlowDown", ("retry-after", Some("7"))),
        (Failure::slow_down(), 503, "SlowDown", ("retry-after", None)),
        (Failure::clock_skew(), 403, "RequestTimeTooSkewed", ("retry-after", None)),
        (Failure::new(500, "InternalError"), 500, "InternalError", ("retry-after", None)),
        (redirect, 301, "PermanentRedirect", ("x-amz-bucket-region", Some("eu-central-1"))),
    ] {
        let server = serve(&hooks(Rule::on("PutObject"), Action::Fail(failure))).await;
        let response = put().send(&server).await.unwrap();
        assert_eq!((response.status, response.element("Code").as_deref()), (status, Some(code)));
        assert_eq!(response.header(header.0), header.1);
        assert!(response.header("x-amz-request-id").is_some());
        assert!(!exists(&server).await);
    }
}

#[tokio::test]
async fn a_complete_can_fail_inside_a_200() {
    let hooks = hooks(Rule::on("CompleteMultipartUpload").times(1), Action::FailInside("InternalError"));
    let server = serve(&hooks).await;
    let created = Request::new("POST", "/sink/key?uploads=").send(&server).await.unwrap();
    let upload = created.element("UploadId").unwrap();
    let part = Request::new("PUT", format!("/sink/key?partNumber=1&uploadId={upload}")).body("part");
    let etag = part.send(&server).await.unwrap().header("etag").unwrap().to_owned();
    let parts = format!("<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>");
    let complete = Request::new("POST", format!("/sink/key?uploadId={upload}"))
        .body(format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>"));
    assert_eq!(complete.code(&server).await, (200, "InternalError".to_owned()));
    assert!(!exists(&server).await);
    assert_eq!(complete.send(&server).await.unwrap().status, 200);
    assert!(exists(&server).await);
    assert_eq!(complete.code(&server).await, (404, "NoSuchUpload".to_owned()));
}

#[tokio::test]
async fn a_reply_ends_early_under_the_length_of_the_whole() {
    let (whole, cut) = listings(Action::Truncate(100)).await;
    let cut = cut.unwrap();
    assert_eq!(cut.header("content-length"), whole.header("content-length"));
    assert_eq!(cut.body, whole.body[..100]);
    assert!(whole.is_whole() && !cut.is_whole());
}

#[tokio::test]
async fn a_bit_flips() {
    let (whole, flipped) = listings(Action::Flip(17)).await;
    let mut flipped = flipped.unwrap().body;
    assert_ne!(flipped, whole.body);
    flipped[17] ^= 1;
    assert_eq!(flipped, whole.body);
}

#[tokio::test]
async fn a_reply_trickles_and_is_whole() {
    let (whole, slow) = listings(Action::Trickle(50, Duration::from_millis(1))).await;
    let slow = slow.unwrap();
    assert_eq!(slow.body, whole.body);
    assert!(slow.is_whole());
}

#[tokio::test]
async fn a_stall_never_answers_and_does_not_hinder_the_end() {
    let hooks = hooks(Rule::on("PutObject"), Action::Stall);
    let server = serve(&hooks).await;
    let mut first = TcpStream::connect(server.address()).await.unwrap();
    first.write_all(&put().bytes(&server)).await.unwrap();
    while hooks.fired() == [0] {
        tokio::task::yield_now().await;
    }
    assert!(!exists(&server).await);
    assert!(first.read_u8().now_or_never().is_none());
    drop(first);
    let mut second = TcpStream::connect(server.address()).await.unwrap();
    second.write_all(&put().bytes(&server)).await.unwrap();
    while hooks.fired() == [1] {
        tokio::task::yield_now().await;
    }
    server.stop().await;
    let mut rest = Vec::new();
    // The connection is closed or reset; either way there was no answer.
    let _ = second.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
}

#[tokio::test]
async fn a_reply_stalls_within_its_body() {
    let hooks = hooks(Rule::on("ListObjectsV2"), Action::StallAfter(40));
    let server = serve(&hooks).await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(&Request::new("GET", "/sink?list-type=2").bytes(&server)).await.unwrap();
    let mut seen = Vec::new();
    let in_body = |seen: &[u8]| seen.windows(4).position(|w| w == b"\r\n\r\n").map(|head| seen.len() - head - 4);
    while in_body(&seen) != Some(40) {
        assert_ne!(stream.read_buf(&mut seen).await.unwrap(), 0, "{}", String::from_utf8_lossy(&seen));
    }
    server.stop().await;
    // After the 40 bytes the connection ends.
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
}

#[tokio::test]
async fn a_gate_holds_requests_until_it_opens() {
    let gate = Gate::new();
    let hooks = hooks(Rule::on("PutObject"), Action::Hold(gate.clone()));
    let server = serve(&hooks).await;
    let held = tokio::spawn({
        let bytes = put().bytes(&server);
        let address = server.address();
        async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(&bytes).await.unwrap();
            common::read(&mut stream).await
        }
    });
    while hooks.fired() == [0] {
        tokio::task::yield_now().await;
    }
    assert!(!exists(&server).await);
    gate.open();
    assert_eq!(held.await.unwrap().unwrap().status, 200);
    assert!(exists(&server).await);
}

#[tokio::test]
async fn a_killed_server_resets_and_can_be_started_again() {
    let sink = Arc::new(SinkStorage::new("sink:"));
    let gate = Gate::new();
    let hooks = hooks(Rule::on("ListObjectsV2").times(1), Action::Hold(gate.clone()));
    let front = front().bucket("sink", sink).hooks(Arc::clone(&hooks) as _).build().unwrap();
    let server = front.serve("127.0.0.1:0").await.unwrap();
    let address = server.address().to_string();
    put().send(&server).await.unwrap();
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(&Request::new("GET", "/sink?list-type=2").bytes(&server)).await.unwrap();
    while hooks.fired() == [0] {
        tokio::task::yield_now().await;
    }
    server.kill().await;
    let error = common::read(&mut stream).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(TcpStream::connect(&address).await.is_err());
    let again = front.serve(&address).await.unwrap();
    assert!(exists(&again).await);
}

#[tokio::test]
async fn a_stopped_server_lets_running_requests_end() {
    let gate = Gate::new();
    let hooks = hooks(Rule::on("PutObject"), Action::Hold(gate.clone()));
    let server = serve(&hooks).await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(&put().bytes(&server)).await.unwrap();
    while hooks.fired() == [0] {
        tokio::task::yield_now().await;
    }
    let stopping = tokio::spawn(server.stop());
    gate.open();
    assert_eq!(common::read(&mut stream).await.unwrap().status, 200);
    stopping.await.unwrap();
}
