//! A folder in which programs are run, with a source and a destination in it.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::support::example;

/// Files of the source `s` and the destination `d`: name, content, and age in seconds.
const FILES: [(&str, &str, u64); 11] = [
    // The same on both sides.
    ("s/a", "=", 1000),
    ("d/a", "=", 1000),
    // Of a different size, and newer at the destination.
    ("s/b", "S+", 1000),
    ("d/b", "D", 0),
    ("s/c/d", "S", 0),
    // Only its content differs.
    ("s/e", "S", 1000),
    ("d/e", "D", 1000),
    // A little older at the destination.
    ("s/f", "S", 1000),
    ("d/f", "D", 1010),
    ("d/x", "D", 1000),
    // The encoded form of a name.
    ("k/p%25q", "S", 1000),
];

/// The folder, with a plan and a list of keys.
pub(crate) struct Scene(tempfile::TempDir);

impl Scene {
    pub(crate) fn new() -> Self {
        let scene = Self(tempfile::tempdir().unwrap());
        let now = SystemTime::now();
        for (name, content, age) in FILES {
            let path = scene.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, content).unwrap();
            let file = std::fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(now - Duration::from_secs(age)).unwrap();
        }
        std::fs::write(scene.path().join("list"), "b\n").unwrap();
        std::fs::write(scene.path().join("wrong.json"), "{").unwrap();
        let (code, said) = scene.run("sync plan s d --out plan.jsonl");
        assert_eq!(code, 0, "{said}");
        scene
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Runs a program, the first word, and returns its exit code and its output. Each run has
    /// its own state folder, so that none resumes another.
    pub(crate) fn run(&self, command: &str) -> (i32, String) {
        let state = tempfile::tempdir_in(self.path()).unwrap();
        let output = self.command(command).env("XDG_STATE_HOME", state.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code().unwrap(), said)
    }

    pub(crate) fn command(&self, command: &str) -> Command {
        let mut words = command.split_whitespace();
        let mut program = Command::new(example(words.next().unwrap()));
        program.args(words).current_dir(self.path()).env_remove("RUST_LOG");
        program.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
        program
    }

    /// Asserts that the command line is refused, and that the message names the option.
    pub(crate) fn refuses(&self, command: &str, option: &str) {
        let (code, said) = self.run(command);
        assert!(code == 2 && said.contains(option), "{command}: exit code {code}: {said}");
    }

    /// Every file below a folder, with its content.
    pub(crate) fn shows(&self, folder: &str) -> String {
        let folder = self.path().join(folder);
        let files = crate::support::journals::files(&folder);
        let show = |file: &std::path::PathBuf| {
            let name = file.strip_prefix(&folder).unwrap().display().to_string();
            format!("{name}:{}", std::fs::read_to_string(file).unwrap())
        };
        let mut shown: Vec<_> = files.iter().map(show).collect();
        shown.sort_unstable();
        shown.join(" ")
    }
}
