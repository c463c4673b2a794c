//! The nightly mirror and the program with a progress display, as a user runs them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use support::example;

/// A mirror of a folder with twenty files.
struct Mirror {
    folder: tempfile::TempDir,
}

impl Mirror {
    fn new() -> Self {
        let mirror = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir_all(mirror.source()).unwrap();
        (0..20).for_each(|number| fs::write(mirror.source().join(number.to_string()), "x").unwrap());
        mirror
    }

    fn source(&self) -> PathBuf {
        self.folder.path().join("source")
    }

    fn copy(&self) -> PathBuf {
        self.folder.path().join("copy")
    }

    /// The exit code of a night, and its report.
    fn night(&self, options: &[&str]) -> (i32, Value) {
        let copy = format!("file://{}?create_root=true", self.copy().display());
        let mut command = Command::new(example("nightly_mirror"));
        command.arg(format!("file://{}?symlinks=error", self.source().display())).arg(copy).args(options);
        command.arg("--json").arg("--state").arg(self.folder.path().join("state"));
        let output = command.output().unwrap();
        let report = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        (output.status.code().unwrap(), report)
    }

    fn is_the_same(&self) -> bool {
        names(&self.source()) == names(&self.copy())
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_mirror_converges_unattended() {
    let mirror = Mirror::new();
    let (code, report) = mirror.night(&[]);
    assert_eq!((code, &report["objects"], &report["verification"]["failed"]), (0, &20.into(), &0.into()), "{report}");

    // Something that cannot be read, a change, and a deletion.
    symlink("nowhere", mirror.source().join("bad")).unwrap();
    fs::write(mirror.source().join("0"), "changed").unwrap();
    fs::remove_file(mirror.source().join("1")).unwrap();
    for _ in 0..2 {
        assert_eq!(mirror.night(&[]).0, 1);
        assert_eq!(fs::read_to_string(mirror.copy().join("0")).unwrap(), "changed");
        assert!(mirror.copy().join("1").exists(), "deleted although not everything was listed");
    }
    fs::remove_file(mirror.source().join("bad")).unwrap();
    let (code, report) = mirror.night(&[]);
    assert_eq!((code, &report["deleted"]), (0, &1.into()), "{report}");
    assert!(mirror.is_the_same());

    // The disk of the source is not mounted.
    fs::rename(mirror.source(), mirror.folder.path().join("elsewhere")).unwrap();
    assert_eq!(mirror.night(&[]).0, 3);
    fs::create_dir(mirror.source()).unwrap();
    assert_eq!(mirror.night(&[]).0, 7);
    assert_eq!(names(&mirror.copy()).len(), 19);
    fs::remove_dir(mirror.source()).unwrap();
    fs::rename(mirror.folder.path().join("elsewhere"), mirror.source()).unwrap();
    assert_eq!(mirror.night(&[]).0, 0);
    // Each night that came to its end has left a report.
    assert!(!names(&mirror.folder.path().join("state/reports")).is_empty());
}

#[test]
fn what_a_mirror_replaces_or_deletes_is_kept() {
    let mirror = Mirror::new();
    let keep = ["--keep", "old/", "--max-delete-percent", "100"];
    assert_eq!(mirror.night(&keep).0, 0);
    fs::remove_file(mirror.source().join("1")).unwrap();
    let (code, report) = mirror.night(&keep);
    assert_eq!((code, &report["deleted"]), (0, &1.into()), "{report}");
    assert!(mirror.copy().join("old/1").exists() && !mirror.copy().join("1").exists());
    assert_eq!(mirror.night(&keep).0, 0);
    assert!(mirror.copy().join("old/1").exists());
}

#[test]
fn a_dry_run_writes_nothing_and_says_what_a_run_would_refuse() {
    let mirror = Mirror::new();
    let new = mirror.folder.path().join("new/deep%20er");
    let run = |arguments: &[&str], to: &str| {
        let mut command = Command::new(example(arguments[0]));
        command.args(&arguments[1..]).arg(mirror.source()).arg(to).arg("--json").current_dir(mirror.folder.path());
        let output = command.output().unwrap();
        let last = String::from_utf8(output.stdout).unwrap().lines().last().map(str::to_owned);
        (output.status.code().unwrap(), serde_json::from_str::<Value>(&last.unwrap()).unwrap())
    };
    let places = [
        new.to_str().unwrap().to_owned(),
        format!("FILE://{}?empty_directories=marker", new.display()),
        "new/deeper/still".to_owned(),
    ];
    for to in &places {
        for command in [&["migrate", "--dry-run"][..], &["sync", "plan"], &["sync", "run", "--dry-run"]] {
            let (code, plan) = run(command, to);
            assert_eq!(
                (code, &plan["copies"], &plan["refused_deletes"]),
                (0, &20.into(), &Value::Null),
                "{to}: {plan}"
            );
            assert!(!mirror.folder.path().join("new").exists(), "{to}");
        }
    }
    fs::create_dir(mirror.copy()).unwrap();
    (0..50).for_each(|number| fs::write(mirror.copy().join(format!("extra{number}")), "x").unwrap());
    let (_, plan) = run(&["sync", "plan", "--delete"], mirror.copy().to_str().unwrap());
    assert_eq!(plan["deletes"], 50);
    assert!(plan["refused_deletes"].as_str().unwrap().contains("max_delete_percent"), "{plan}");
}

#[test]
fn a_program_with_its_own_display_copies_and_tells() {
    let mirror = Mirror::new();
    let run = || {
        let mut command = Command::new(example("progress_ui"));
        command.arg(mirror.source()).arg(format!("file://{}?create_root=true", mirror.copy().display()));
        command.arg("--json").arg("--journal").arg(mirror.folder.path().join("journal"));
        let output = command.output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code().unwrap(), report["objects"].clone(), report["unchanged"].clone())
    };
    assert_eq!(run(), (0, 20.into(), 0.into()));
    assert_eq!(run(), (0, 0.into(), 20.into()));
    assert!(mirror.is_the_same());
}
