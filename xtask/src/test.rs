//! `cargo xtask test`: every check that must pass, suite after suite. The remaining suites
//! still run after one has failed. The output of a suite is captured and must not contain
//! secrets.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::binaries::Environment;
use crate::parts::{part, take};
use crate::process::{exists, output, program, run};
use crate::{binaries, checks, failures, fuzz, services, tools, transcript};

struct Suite {
    name: &'static str,
    /// Whether `--quick` includes it: it needs no servers, no tools and no optimised build.
    quick: bool,
    run: fn() -> Result<()>,
}

/// The suites in the order in which they run: those that fail fast come first.
const SUITES: [Suite; 12] = [
    Suite { name: "toolchain", quick: true, run: toolchain },
    Suite { name: "fmt", quick: true, run: fmt },
    Suite { name: "graph", quick: true, run: checks::graph },
    Suite { name: "sizes", quick: true, run: checks::sizes },
    Suite { name: "clippy", quick: true, run: clippy },
    Suite { name: "doc", quick: true, run: doc },
    Suite { name: "deny", quick: false, run: licences },
    Suite { name: "book", quick: false, run: book },
    Suite { name: "services", quick: false, run: services::build },
    Suite { name: "tests", quick: false, run: tests },
    Suite { name: "examples", quick: false, run: examples },
    Suite { name: "fuzz", quick: false, run: fuzz::suite },
];

/// The suite that `--quick` runs instead of `tests`.
const TESTS_WITHOUT_SERVERS: Suite = Suite { name: "tests", quick: true, run: || binaries::run(&Environment::new()) };

/// Programs that need no arguments and end by themselves.
const RUN_EXAMPLES: [&str; 2] = ["custom_backend", "migrate"];

/// `cargo xtask test [--quick] [SUITE…]`
pub(crate) fn command(arguments: &[&str]) -> Result<()> {
    let (options, names): (Vec<&str>, Vec<&str>) = arguments.iter().copied().partition(|word| word.starts_with('-'));
    let quick = match options[..] {
        [] => false,
        ["--quick"] => true,
        _ => bail!("test takes --quick and names of suites, not {}", options.join(" ")),
    };
    let suites = select(quick, &names)?;
    let mut results = Vec::new();
    for suite in &suites {
        println!("\n== {} ==", suite.name);
        let begin = Instant::now();
        let result = transcript::kept(suite.name, suite.run);
        if let Err(error) = &result {
            println!("{}: {error:#}", suite.name);
        }
        results.push(Outcome { name: suite.name, time: begin.elapsed(), passed: result.is_ok(), parts: take() });
    }
    close(&results)
}

fn select(quick: bool, names: &[&str]) -> Result<Vec<Suite>> {
    let tests = quick.then_some(TESTS_WITHOUT_SERVERS);
    let all: Vec<Suite> = SUITES.into_iter().filter(|suite| suite.quick || !quick).chain(tests).collect();
    if let Some(unknown) = names.iter().find(|name| !all.iter().any(|suite| suite.name == **name)) {
        let known: Vec<_> = all.iter().map(|suite| suite.name).collect();
        bail!("no suite {unknown:?}; there are {}", known.join(", "));
    }
    Ok(all.into_iter().filter(|suite| names.is_empty() || names.contains(&suite.name)).collect())
}

/// How a suite ended, and how long its parts took.
struct Outcome {
    name: &'static str,
    time: Duration,
    passed: bool,
    parts: Vec<(String, Duration)>,
}

/// Prints the closing table, and returns an error if a suite failed.
fn close(results: &[Outcome]) -> Result<()> {
    let minutes = |time: &Duration| time.as_secs_f64() / 60.0;
    println!("\n{:24} {:>8}", "suite", "minutes");
    for Outcome { name, time, passed, parts } in results {
        println!("{name:24} {:>8.1}  {}", minutes(time), if *passed { "passed" } else { "FAILED" });
        for (part, time) in parts {
            println!("  {part:22} {:>8.1}", minutes(time));
        }
    }
    let total: Duration = results.iter().map(|outcome| outcome.time).sum();
    println!("{:24} {:>8.1}", "all", minutes(&total));
    for outcome in results.iter().filter(|outcome| !outcome.passed) {
        for failure in failures::repeated(&transcript::of(outcome.name)) {
            println!("\n{failure}");
        }
    }
    let failed = results.iter().filter(|outcome| !outcome.passed).count();
    println!("suites: {} passed, {failed} failed", results.len() - failed);
    if failed > 0 {
        bail!("{failed} of {} suites failed", results.len());
    }
    Ok(())
}

fn cargo(arguments: &[&str]) -> Result<()> {
    run(&mut program("cargo", arguments))
}

/// Checks the stated `rust-version`: either everything here already runs on that version, or
/// the workspace is checked with it.
fn toolchain() -> Result<()> {
    let stated = output(&mut program("cargo", &["metadata", "--no-deps", "--format-version", "1"]))?;
    let stated = stated.split(r#""rust_version":""#).nth(1).and_then(|rest| rest.split('"').next());
    let stated = stated.context("Cargo.toml states no rust-version")?;
    let installed = output(&mut program("rustc", &["--version"]))?;
    println!("stated: {stated}, installed: {}", installed.trim());
    let version = installed.split_whitespace().nth(1).context("rustc told no version")?;
    if version == stated || version.starts_with(&format!("{stated}.")) {
        return Ok(());
    }
    let toolchain = format!("+{stated}");
    let check = [&toolchain, "check", "--workspace", "--all-features", "--target-dir", "target/rust-version"];
    run(&mut program("cargo", &check)).with_context(|| format!("the rust-version {stated} is not shown to be true"))
}

/// The fuzz targets are a separate workspace.
fn fmt() -> Result<()> {
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"])
}

/// Runs with every feature, and with each provider's feature alone: a provider must not depend
/// on code that only another provider's feature enables.
fn clippy() -> Result<()> {
    part("each provider alone", || {
        ["", "local", "s3", "azure", "gcs", "http", "process", "router"].iter().try_for_each(|provider| {
            let alone = ["-p", "lepton-providers", "--no-default-features", "--features", provider];
            cargo(&[&["clippy"], &alone[..], &["--", "-D", "warnings"]].concat())
        })
    })?;
    let everything = ["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"];
    part("everything", || cargo(&everything))
}

fn doc() -> Result<()> {
    let mut command = program("cargo", &["doc", "--workspace", "--all-features", "--no-deps"]);
    // A module that describes private modules links to them; these links become plain text.
    run(command.env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private-intra-doc-links"))
}

/// Licences are read from the crates of every platform, and a build for this platform alone
/// does not fetch them all.
fn licences() -> Result<()> {
    cargo(&["fetch", "--locked"])?;
    deny(&["--offline"], &["bans", "licenses", "sources"])
}

/// `cargo xtask advisories`: needs the advisory database from the network, so `test` leaves it
/// out.
pub(crate) fn advisories() -> Result<()> {
    deny(&[], &["advisories"])
}

fn deny(options: &[&str], checks: &[&str]) -> Result<()> {
    let mut command = program(tools::cargo_deny()?, &["--workspace", "--all-features", "--locked"]);
    run(command.args(options).args(["check", "--hide-inclusion-graph"]).args(checks))
}

/// mdBook only logs its warnings, so the log is checked.
fn book() -> Result<()> {
    checks::pages()?;
    let built = program(tools::mdbook()?, &["build", "docs"]).output().context("cannot run mdbook")?;
    let log = String::from_utf8_lossy(&built.stderr);
    print!("{log}");
    if !built.status.success() || log.contains("WARN") || log.contains("ERROR") {
        bail!("the book in docs/ does not build without warnings");
    }
    Ok(())
}

fn tests() -> Result<()> {
    for (tool, package) in [("strace", "strace"), ("mkfs.xfs", "xfsprogs")] {
        if cfg!(target_os = "linux") && !exists(tool) {
            tools::debian(&[package])?;
        }
    }
    let servers = part("servers", services::start)?;
    // With every server running, a skipped test is a failed test.
    let mut environment = Environment::from([("LEPTON_TEST_REQUIRED".into(), "1".into())]);
    environment.push(("LEPTON_TEST_LARGE".into(), "1".into()));
    for running in &servers {
        let server = &running.server;
        println!("{} at {}", server.name, server.endpoint);
        environment.push((server.variable.into(), server.endpoint.clone().into()));
        environment.push((format!("{}_PROGRAM", server.variable), server.program.clone().into()));
        environment.push((format!("{}_DATA", server.variable), server.data.clone().into()));
    }
    binaries::run(&environment)
}

/// The examples are built with the tests, in the profile of the README's demonstration.
fn examples() -> Result<()> {
    binaries::demonstrate(&RUN_EXAMPLES)
}
