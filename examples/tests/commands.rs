//! The commands of `migrate_app` on a specification, as a user types them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A specification between two folders of this disk, and its router.
struct Scene {
    folder: tempfile::TempDir,
    router: Child,
    /// What the router has said when it started, with its address.
    started: String,
}

impl Drop for Scene {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.router.kill();
        let _ = self.router.wait();
    }
}

impl Scene {
    fn new() -> Self {
        Self::with_backend("127.0.0.1:9")
    }

    /// Its application at side A has this address.
    fn with_backend(backend: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (side, files) in [("a", 20), ("b", 0)] {
            std::fs::create_dir(folder.path().join(side)).unwrap();
            for file in 0..files {
                std::fs::write(folder.path().join(side).join(format!("{file:02}")), format!("file {file}")).unwrap();
            }
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_router"));
        command.args(["--listen", "127.0.0.1:0", "--a", backend, "--state"]).arg(folder.path().join("router"));
        let mut router = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(router.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let scene = Self { folder, router, started: line };
        scene.describe("");
        scene
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn spec(&self) -> PathBuf {
        self.at("shop.toml")
    }

    fn describe(&self, more: &str) {
        let folder = self.folder.path().display();
        let text = format!(
            "name = \"shop\"\n{more}\n[traffic]\nurl = \"router:{folder}/router/control.sock\"\n\n[[data_sets]]\n\
             name = \"items\"\na = \"file://{folder}/a\"\nb = \"file://{folder}/b\"\npause = \"100ms\"\n\
             writers = \"router_only\"\n"
        );
        std::fs::write(self.spec(), text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_migrate_app"));
        command.arg(arguments[0]).arg(self.spec()).args(&arguments[1..]).env_remove("RUST_LOG");
        command
    }

    /// The exit code, standard output and standard error.
    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = self.command(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    fn succeeds(&self, arguments: &[&str]) -> String {
        let (code, out, err) = self.run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {out}{err}");
        out
    }

    fn refused(&self, arguments: &[&str], why: &str) {
        let (code, out, err) = self.run(arguments);
        assert_eq!(code, 3, "{arguments:?}: {out}{err}");
        assert!(err.contains(why), "{arguments:?}: {err}");
    }

    fn state(&self) -> String {
        let status: Value = serde_json::from_str(&self.succeeds(&["status", "--json"])).unwrap();
        status["state"].as_str().unwrap().to_owned()
    }

    fn reaches(&self, state: &str) {
        let begun = Instant::now();
        while self.state() != state {
            assert!(begun.elapsed() < Duration::from_secs(60), "the state is {} and not {state}", self.state());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn start(&self) -> Driver {
        let mut child = self.command(&["run"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Driver(child, out)
    }

    /// Plans and approves.
    fn approved(&self) {
        let plan: Value = serde_json::from_str(self.succeeds(&["plan", "--json"]).lines().next().unwrap()).unwrap();
        self.succeeds(&["approve", plan["hash"].as_str().unwrap()]);
    }
}

/// A driver that runs.
struct Driver(Child, BufReader<ChildStdout>);

impl Driver {
    fn signal(&self) {
        let sent = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits until it shows this.
    fn shows(&mut self, text: &str) {
        let mut lines = (&mut self.1).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.contains(text)), "it does not show {text:?}");
    }

    fn code(&mut self) -> Option<i32> {
        self.0.wait().unwrap().code()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn names(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn a_migration_is_planned_approved_driven_and_taken_back() {
    let scene = Scene::new();
    assert_eq!(scene.state(), "draft");
    scene.refused(&["run"], "`plan` it and `approve`");
    scene.refused(&["cut-over"], "not possible");
    let plan: Value = serde_json::from_str(scene.succeeds(&["plan", "--json"]).lines().next().unwrap()).unwrap();
    let hash = plan["hash"].as_str().unwrap();
    assert_eq!((&plan["objects"], scene.state().as_str()), (&20.into(), "planned"));
    assert!(plan["assumptions"][0].as_str().unwrap().contains("nothing but the route"));
    assert_eq!(names(&scene.at("b")), [""; 0], "a plan writes nothing");
    scene.refused(&["approve", "0123"], "the plan is");
    scene.succeeds(&["approve", hash]);

    let mut driver = scene.start();
    scene.reaches("tested");
    assert_eq!(names(&scene.at("b")).len(), 20);
    scene.refused(&["run"], "another run has this journal open");
    scene.refused(&["finalize"], "finalize is not possible");
    scene.succeeds(&["pause"]);
    assert_eq!(scene.state(), "paused");
    scene.refused(&["pause"], "pause is not possible");
    scene.succeeds(&["resume"]);

    // A driver that is killed is followed by another one.
    driver.0.kill().unwrap();
    driver.0.wait().unwrap();
    let out = scene.succeeds(&["cut-over"]);
    assert!(out.contains("no driver runs"), "{out}");
    let mut driver = scene.start();
    scene.reaches("holding");
    let status = scene.succeeds(&["status"]);
    assert!(status.contains("owner of the writes  B") && status.contains("items: Pass"), "{status}");
    // What side B gets now flows back.
    std::fs::write(scene.at("b/new"), "written at B").unwrap();
    let begun = Instant::now();
    while !scene.at("a/new").exists() {
        assert!(begun.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(50));
    }
    scene.succeeds(&["rollback"]);
    scene.reaches("rolled_back");
    assert!(driver.0.wait().unwrap().success(), "the driver ends with the migration");
    assert_eq!(names(&scene.at("a")).len(), 21);
    scene.refused(&["rollback"], "not possible");
}

#[test]
fn a_changed_specification_is_not_driven() {
    let scene = Scene::new();
    // A plan that was not approved is replaced, also by one of other data sets.
    let text = std::fs::read_to_string(scene.spec()).unwrap();
    std::fs::write(scene.spec(), text.replace("\"items\"", "\"goods\"")).unwrap();
    scene.succeeds(&["plan"]);
    std::fs::write(scene.spec(), text).unwrap();
    scene.approved();
    let text = std::fs::read_to_string(scene.spec()).unwrap();
    std::fs::write(scene.spec(), text.replace("100ms", "200ms")).unwrap();
    scene.refused(&["run"], "not the one that was approved");
    std::fs::write(scene.spec(), text.replace("\"items\"", "\"others\"")).unwrap();
    scene.refused(&["run"], "belongs to another plan");
}

#[test]
fn wrong_specifications_are_named_with_their_position() {
    let scene = Scene::new();
    scene.describe("wrong = 1");
    scene.refused(&["plan"], "shop.toml:2:1: ");
    std::fs::remove_file(scene.spec()).unwrap();
    scene.refused(&["status"], "shop.toml");
    // What cannot be reached is a finding.
    scene.describe("");
    std::fs::remove_dir_all(scene.at("a")).unwrap();
    let (code, out, err) = scene.run(&["plan"]);
    assert!(code == 1 && out.contains("error: data set items"), "{code}: {out}{err}");
    assert_eq!(scene.state(), "draft");
}

/// A write that is in flight at side A keeps a fence from ending.
struct WriteInFlight {
    accepted: TcpStream,
    _user: TcpStream,
}

impl WriteInFlight {
    fn new(scene: &Scene, side_a: &TcpListener) -> Self {
        let address = scene.started.strip_prefix("serving on ").and_then(|line| line.split(',').next()).unwrap();
        let mut user = TcpStream::connect(address).unwrap();
        user.write_all(b"POST /items HTTP/1.1\r\nhost: shop\r\ncontent-length: 1\r\n\r\nx").unwrap();
        // The router may connect for other reasons.
        let accepted = loop {
            let (mut accepted, _) = side_a.accept().unwrap();
            let (mut request, mut byte) = (Vec::new(), [0]);
            while !request.ends_with(b"\r\n\r\nx") && accepted.read(&mut byte).is_ok_and(|len| len == 1) {
                request.push(byte[0]);
            }
            if request.starts_with(b"POST") {
                break accepted;
            }
        };
        Self { accepted, _user: user }
    }

    fn end(mut self) {
        self.accepted.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
    }
}

#[test]
fn a_signal_within_a_fence_stops_the_driver_after_it_and_a_second_one_at_once() {
    let side_a = TcpListener::bind("127.0.0.1:0").unwrap();
    let scene = Scene::with_backend(&side_a.local_addr().unwrap().to_string());
    let text = std::fs::read_to_string(scene.spec()).unwrap();
    let limits = "[traffic]\nhold = { time = \"5m\", silence = \"5m\" }\n";
    std::fs::write(scene.spec(), text.replace("[traffic]\n", limits)).unwrap();
    scene.approved();
    let mut driver = scene.start();
    scene.reaches("tested");
    let write = WriteInFlight::new(&scene, &side_a);
    scene.succeeds(&["cut-over"]);
    scene.reaches("fence");
    driver.signal();
    driver.shows("another signal stops at once");
    assert_eq!(scene.state(), "fence");
    driver.signal();
    assert_eq!((driver.code(), scene.state().as_str()), (Some(130), "fence"));
    // Another driver continues the fence, and stops after it.
    let mut driver = scene.start();
    driver.shows("resumed");
    driver.signal();
    driver.shows("another signal stops at once");
    write.end();
    assert_eq!(driver.code(), Some(130));
    let state = scene.state();
    assert!(state == "switched" || state == "holding", "{state}");
}

#[test]
fn status_shows_the_question_and_the_lag() {
    let scene = Scene::new();
    scene.approved();
    let mut driver = scene.start();
    scene.reaches("tested");
    let status = scene.succeeds(&["status"]);
    assert!(status.contains("lag                  items: "), "{status}");
    std::fs::write(scene.at("b/early"), "kept").unwrap();
    driver.shows("needs a decision");
    driver.shows("early");
    let (code, out, err) = scene.run(&["status"]);
    assert!(code == 1 && out.contains("early") && out.contains("answer with `decide`"), "{code}: {out}{err}");
    drop(driver);
    let (_, out, _) = scene.run(&["status"]);
    assert!(out.contains("no driver runs"), "{out}");
}

#[test]
fn a_closed_pipe_and_a_wrong_state_end_without_a_panic() {
    let scene = Scene::new();
    let mut child = scene.command(&["status"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), ended.stderr.as_slice()), (Some(0), &b""[..]));
    let (code, _, err) = scene.run(&["run", "--until", "finished"]);
    assert!(code == 2 && err.contains("holding"), "{code}: {err}");
}
