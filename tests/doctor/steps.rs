//! A working store, settings, steps after the first answer, and stopping by a signal.

use std::process::Stdio;
use std::sync::Arc;

use lepton_s3_front::{Action, Failure, Gate, Moment, Rule, ScriptedHooks};

use crate::mounted::Mounted;
use crate::support::places::given;
use crate::support::tls::TlsCloud;
use crate::support::*;
use crate::told::{Told, command, doctor};

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_well() {
    let cloud = TlsCloud::start("localhost").await;
    let told = doctor(&[&cloud.url("localhost", true)], &[]).await;
    told.assert_well();
    for step in
        ["settings", "resolve", "connect", "tls", "clock", "credentials", "list", "write", "read back", "delete"]
    {
        assert!(told.done().contains(&step), "{step} is not done: {:?}", told.done());
    }
    assert!(told.steps.iter().all(|step| step["state"] == "ok"), "{:?}", told.steps);
    assert!(contents(&cloud.storage).await.is_empty(), "the probe is left over");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheme_that_is_not_known() {
    doctor(&["ftp://host/folder"], &[]).await.assert_wrong("settings", &["ftp", "s3://", "az://"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_option_that_is_not_known() {
    let told = doctor(&["s3://bucket?endpiont=http://127.0.0.1:1"], &[]).await;
    told.assert_wrong("settings", &["endpiont", "`endpoint`", "Correct the setting"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_in_the_url() {
    let told = doctor(&["s3://bucket?secret_access_key=s3cr3t-0f-n0b0dy"], &[]).await;
    told.assert_wrong("settings", &["secret_access_key", "others can see it"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_file_of_settings() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.json");
    let file = file.to_str().unwrap();
    for (text, says) in [
        (r#"{"type": "s3", "secret_acces_key": "s3cr3t-0f-n0b0dy"}"#, "secret_acces_key"),
        (r#"{"type": "s3", "secret_access_key": ["s3cr3t-0f-n0b0dy"]}"#, "wrong type"),
        (r#"{"type": "s3", "secret_access_key": "s3cr3t-0f-n0b0dy""#, "no JSON"),
        (r#"{"type": "azure"}"#, "another backend"),
    ] {
        std::fs::write(file, text).unwrap();
        doctor(&["s3://bucket", "--settings", file], &[]).await.assert_wrong("settings", &[says]);
    }
    std::fs::remove_file(file).unwrap();
    doctor(&["s3://bucket", "--settings", file], &[]).await.assert_wrong("settings", &["settings.json"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn folders() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    for place in [path, &format!("file://{path}")] {
        let told = doctor(&[place], &[]).await;
        told.assert_well();
        // Connection steps are not reported, as there is no connection.
        for step in ["resolve", "connect", "tls", "credentials"] {
            assert!(told.steps.iter().all(|told| told["step"] != step), "{step}");
        }
    }
    doctor(&[&format!("{path}/missing")], &[]).await.assert_wrong("folder", &["missing", "make the folder"]);
    assert_eq!(std::fs::read_dir(path).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_read_only() {
    let Some(disk) = Mounted::new("size=1m,ro") else { return };
    let place = disk.path().to_str().unwrap();
    doctor(&[place], &[]).await.assert_wrong("write", &["can only be read from", "--read-only"]);
    doctor(&[place, "--read-only"], &[]).await.assert_well();
    disk.remount("remount,rw");
    doctor(&[place], &[]).await.assert_well();
}

/// The place itself reports that it is read-only.
#[tokio::test(flavor = "multi_thread")]
async fn a_web_server() {
    let Some((endpoint, data)) = given("LEPTON_TEST_NGINX").zip(given("LEPTON_TEST_NGINX_DATA")) else { return };
    let name = format!("doctor-{}", std::process::id());
    let folder = std::path::Path::new(&data).join("objects").join(&name);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("file"), "bytes").unwrap();
    let told = doctor(&[&format!("{endpoint}/json/{name}/")], &[]).await;
    let keys = doctor(&[&format!("{endpoint}/json/{name}/"), "--keys"], &[]).await;
    std::fs::remove_dir_all(&folder).unwrap();
    for told in [told, keys] {
        told.assert_well();
        assert!(told.words("write").contains("only be read from"), "{:?}", told.steps);
        assert!(told.words("clock").contains("not compared"), "{:?}", told.steps);
    }
    let told = doctor(&[&format!("{endpoint}/json/{name}/")], &[]).await;
    told.assert_wrong("list", &["Nothing is at this address"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_is_compared_where_nothing_is_written() {
    let cloud = Cloud::start(None).await;
    let told = doctor(&[&cloud.url(), "--read-only"], &[]).await;
    told.assert_well();
    assert!(told.done().contains(&"clock") && told.words("clock").contains("signatures"), "{:?}", told.steps);
    assert!(!told.done().contains(&"write"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_clock() {
    let hooks = ScriptedHooks::new(1).rule(Rule::always(), Action::Fail(Failure::clock_skew()));
    let cloud = Cloud::start(Some(Arc::new(hooks))).await;
    doctor(&[&cloud.url()], &[]).await.assert_wrong("clock", &["Set this machine's clock"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_something_else() {
    let answer = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 13\r\n\r\n<html></html>";
    let told = doctor(&[&crate::told::url(BUCKET, &web_server(answer))], &[]).await;
    told.assert_wrong("list", &["endpoint"]);
    let answer = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 5\r\n\r\nwhat?";
    let told = doctor(&[&crate::told::url(BUCKET, &web_server(answer))], &[]).await;
    told.assert_wrong("list", &["refuses what other stores understand", "endpoint"]);
}

/// A server that gives every request the same answer.
fn web_server(answer: &'static [u8]) -> String {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer);
        }
    });
    endpoint
}

/// The advice depends on the step: a missing object means something else when it is read back.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_depends_on_the_step() {
    for (operation, step, words) in [
        ("ListObjectsV2", "list", "check endpoint, path and bucket"),
        ("PutObject", "write", "cannot be written to"),
        ("GetObject", "read back", "store delayed"),
    ] {
        let hooks = ScriptedHooks::new(1).rule(Rule::on(operation), Action::Fail(Failure::new(404, "Odd")));
        let cloud = Cloud::start(Some(Arc::new(hooks))).await;
        doctor(&[&cloud.url()], &[]).await.assert_wrong(step, &[words]);
        assert!(contents(&cloud.storage).await.is_empty());
    }
}

/// An object that may have been written is deleted.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_answer_is_lost() {
    let hooks = ScriptedHooks::new(1).rule(Rule::on("PutObject"), Action::Reset(Moment::AfterEffect));
    let cloud = Cloud::start(Some(Arc::new(hooks))).await;
    let told = doctor(&[&cloud.url()], &[]).await;
    told.assert_wrong("write", &["the connection broke"]);
    assert!(told.done().contains(&"delete"), "{:?}", told.steps);
    assert!(contents(&cloud.storage).await.is_empty(), "the probe is left over");
}

/// Runs the program until a request reaches the gate, sends a signal, and opens the gate.
async fn interrupted(cloud: &Cloud, gate: &Gate, signal: &str, arguments: &[&str]) -> Told {
    let mut command = command(arguments, &[]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    gate.reached().await;
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args([signal, &pid]).status().unwrap().success());
    // It prints this before it waits for the request.
    let mut said = std::io::BufReader::new(child.stderr.take().unwrap());
    let (said, line) = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut said, &mut line).unwrap();
        (said, line)
    })
    .await
    .unwrap();
    assert!(line.contains("stopping"), "{line}");
    gate.open();
    let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap();
    drop(said);
    assert!(contents(&cloud.storage).await.is_empty(), "the probe is left over");
    Told::read(output.stdout, output.status.code())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_deletes_the_probe() {
    for (after, signal, arguments) in [(0, "-INT", &[][..]), (0, "-TERM", &[]), (7, "-TERM", &["--keys"])] {
        let gate = Gate::new();
        let hooks = ScriptedHooks::new(1).rule(Rule::on("PutObject").after(after), Action::HoldReply(gate.clone()));
        let cloud = Cloud::start(Some(Arc::new(hooks))).await;
        let url = cloud.url();
        let arguments: Vec<&str> = std::iter::once(url.as_str()).chain(arguments.iter().copied()).collect();
        let told = interrupted(&cloud, &gate, signal, &arguments).await;
        assert_eq!((told.code, told.wrong()), (Some(130), None));
        assert!(told.steps.iter().all(|step| step.get("capabilities").is_none()), "{:?}", told.steps);
    }
}

#[test]
fn exit_codes_stand_in_the_help() {
    let said = |arguments: &[&str]| {
        let output = std::process::Command::new(example("doctor")).args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, help) = said(&["--help"]);
    assert_eq!(code, Some(0));
    for line in ["  0    all is well", "  1    something is wrong", "  2    ", "  130  "] {
        assert!(help.contains(line), "{line:?} is not in: {help}");
    }
    assert_eq!(said(&["memory:x", "--keys", "--read-only"]).0, Some(2));
    assert_eq!(said(&[]).0, Some(2));
}
