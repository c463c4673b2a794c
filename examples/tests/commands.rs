//! The commands of `migrate_app` on a specification, as a user types them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A specification between two folders of this disk, and its router.
struct Scene {
    folder: tempfile::TempDir,
    router: Child,
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
        let folder = tempfile::tempdir().unwrap();
        for (side, files) in [("a", 20), ("b", 0)] {
            std::fs::create_dir(folder.path().join(side)).unwrap();
            for file in 0..files {
                std::fs::write(folder.path().join(side).join(format!("{file:02}")), format!("file {file}")).unwrap();
            }
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_router"));
        command.args(["--listen", "127.0.0.1:0", "--a", "127.0.0.1:9", "--state"]).arg(folder.path().join("router"));
        let mut router = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(router.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let scene = Self { folder, router };
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
        Driver(self.command(&["run"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

/// A driver that runs.
struct Driver(Child);

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
    let plan: Value = serde_json::from_str(scene.succeeds(&["plan", "--json"]).lines().next().unwrap()).unwrap();
    scene.succeeds(&["approve", plan["hash"].as_str().unwrap()]);
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
