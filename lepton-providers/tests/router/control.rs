//! The control socket.

use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::time::Duration;

use lepton_core::data_set::Side;
use lepton_core::traffic::{Backend, HoldId, HoldRequest, Route, RouteChange, Traffic as _};
use lepton_core::{Effect, ErrorKind, Result, SystemRuntime};
use lepton_providers::router::{Router, RouterTraffic};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

use crate::site::Site;
use crate::user::read_until;

#[tokio::test]
async fn only_its_owner_may_use_the_socket() {
    let site = Site::start().await;
    let found = std::fs::metadata(site.router().control()).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o7777, 0o600);
    let folder = std::fs::metadata(&site.config.state).unwrap();
    assert_eq!((folder.permissions().mode() & 0o7777, folder.uid()), (0o700, found.uid()));
    for name in ["register", "open-writes", "lock"] {
        let mode = std::fs::metadata(site.config.state.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn what_is_no_command_is_refused_and_changes_nothing() {
    let site = Site::start().await;
    let before = site.traffic.get().await.unwrap();
    let mut stream = UnixStream::connect(site.router().control()).await.unwrap();
    for (line, why) in [
        ("{}", "missing field"),
        ("nonsense", "no command"),
        (r#"{"version": 2, "command": "get"}"#, "version 2"),
        (r#"{"version": 1, "command": "explode"}"#, "explode"),
        (r#"{"version": 1, "command": {"renew": {"hold": "x", "force": true}}}"#, "force"),
        (
            r#"{"version": 1, "command": {"release": {"to": {"forward": {"to": "B"}}, "hold": "x", "epoch": 1}}}"#,
            "epoch",
        ),
    ] {
        stream.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        let answer = String::from_utf8(read_until(&mut stream, b"\n").await).unwrap();
        assert!(answer.starts_with("{\"error\":") && answer.contains(why), "{line}: {answer}");
    }
    stream.write_all(b"{\"version\": 1, \"command\": \"get\"}\n").await.unwrap();
    let answer = String::from_utf8(read_until(&mut stream, b"\n").await).unwrap();
    assert!(answer.starts_with("{\"route\":{"), "{answer}");
    assert_eq!(site.traffic.get().await.unwrap(), before);
    let mut endless = UnixStream::connect(site.router().control()).await.unwrap();
    let written = async { while endless.write_all(&[b'x'; 1 << 16]).await.is_ok() {} };
    tokio::time::timeout(crate::user::LONG, written).await.expect("an endless line is read");
}

#[tokio::test]
async fn a_lost_answer_is_an_unknown_effect_only_where_something_may_have_changed() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let traffic = RouterTraffic::new(&socket, SystemRuntime::shared());
    let hold = HoldId::new("1");
    let error = traffic.release(&hold, 1).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Network, Effect::None), "nobody listens");
    let listener = UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await;
        }
    });
    for (error, effect) in [
        (traffic.release(&hold, 1).await.unwrap_err(), Effect::Unknown),
        (traffic.hold(HoldRequest::new(1)).await.unwrap_err(), Effect::Unknown),
        (traffic.renew(&hold).await.unwrap_err(), Effect::Unknown),
        (traffic.get().await.unwrap_err(), Effect::None),
        (traffic.verify().await.unwrap_err(), Effect::None),
    ] {
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Network, effect), "{error:?}");
    }
}

#[tokio::test]
async fn a_router_that_does_not_answer_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let _listener = UnixListener::bind(&socket).unwrap();
    let traffic = RouterTraffic::new(&socket, SystemRuntime::shared()).timeout(Duration::from_millis(200));
    let error = traffic.get().await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Timeout, Effect::None));
}

#[tokio::test]
async fn the_path_of_something_else_is_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("precious");
    std::fs::write(&other, "data").unwrap();
    let mut site = Site::start().await;
    site.kill();
    site.config.control = Some(other.clone());
    let error = Router::builder().config(site.config.clone()).start().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(std::fs::read_to_string(&other).unwrap(), "data");
}

#[tokio::test]
async fn a_backend_without_a_port_is_refused() {
    let site = Site::start().await;
    let before = site.traffic.get().await.unwrap();
    for address in ["b", "b:", ":1", "b:0", "b:99999"] {
        let change = RouteChange::Backends(Side::B, vec![Backend::new("r", address)]);
        let error = site.traffic.set(change, before.version).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{address}");
    }
    assert_eq!(site.traffic.get().await.unwrap(), before);
}

#[tokio::test]
async fn two_switches_and_two_releases_at_once_are_one() {
    let site = Site::start().await;
    let hold = site.hold(1).await;
    let refused = |one: Result<Route>, other: Result<Route>| {
        let refused = [one, other].into_iter().filter_map(Result::err).collect::<Vec<_>>();
        assert_eq!(refused.len(), 1);
        assert_eq!(refused[0].kind(), ErrorKind::PreconditionFailed);
    };
    let switch = || site.traffic.switch(crate::site::cleared(Side::B, 1), &hold.id, 1);
    let (one, other) = tokio::join!(switch(), switch());
    refused(one, other);
    let route = site.traffic.get().await.unwrap();
    assert_eq!((route.owner, route.hold.is_some()), (Side::B, true));
    let (one, other) = tokio::join!(site.traffic.release(&hold.id, 1), site.traffic.release(&hold.id, 1));
    refused(one, other);
    let route = site.traffic.get().await.unwrap();
    assert_eq!((route.owner, route.hold), (Side::B, None));
}
