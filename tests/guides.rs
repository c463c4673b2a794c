//! Runs every command of the guides, in the order of the pages.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

mod support;

use std::path::Path;
use std::process::Command;

use lepton::TransferConfig;
use support::*;

/// The commands of a page, each with the exit code that the page states.
fn commands(page: &str) -> Vec<(&str, i32)> {
    let blocks = page.split("```console\n").skip(1).filter_map(|block| block.split_once("```"));
    let lines = blocks.flat_map(|(block, _)| block.lines()).filter_map(|line| line.strip_prefix("$ "));
    let told = |line: &str| Some(line.split_once("# exit code ")?.1.split(':').next()?.trim().parse().unwrap());
    lines.map(|line| (line, told(line).unwrap_or(0))).collect()
}

/// Runs the commands of a page in its own folder, with `photos` in it.
fn follow(page: &str, least: usize) {
    let folder = tempfile::tempdir().unwrap();
    for (number, name) in ["a.jpg", "b.jpg", "c.jpg"].into_iter().enumerate() {
        std::fs::create_dir_all(folder.path().join("photos")).unwrap();
        std::fs::write(folder.path().join("photos").join(name), bytes(number as u64, 3 * KIB)).unwrap();
    }
    let commands = commands(page);
    assert!(commands.len() >= least, "{commands:?}");
    for (command, code) in commands {
        run(folder.path(), command, code);
    }
}

fn run(folder: &Path, command: &str, code: i32) {
    let programs = example("sync").parent().unwrap().to_owned();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).current_dir(folder).env("PATH", path).env("XDG_STATE_HOME", folder.join("state"));
    let output = shell.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{command}\n{said}");
}

/// The programs parse sizes with their own units.
#[test]
fn programs_have_the_defaults_of_the_library() {
    let output = Command::new(example("migrate")).arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let defaults = TransferConfig::default();
    for (option, default) in [
        ("concurrency", defaults.concurrency.to_string()),
        ("part-size", format!("{}MiB", defaults.part_size / MIB as u64)),
        ("memory", format!("{}MiB", defaults.memory / MIB as u64)),
        ("max-failures", defaults.max_failures.to_string()),
        ("attempts", defaults.attempts.to_string()),
    ] {
        let told = help.split(&format!("--{option} <")).nth(1).and_then(|rest| rest.split("[default: ").nth(1));
        assert_eq!(told.and_then(|told| told.split(']').next()), Some(&default[..]), "--{option}");
    }
}

#[test]
fn resuming() {
    follow(include_str!("../docs/resuming.md"), 8);
}

#[test]
fn verifying() {
    follow(include_str!("../docs/verifying.md"), 7);
}

#[test]
fn deleting() {
    follow(include_str!("../docs/deleting.md"), 12);
}
