//! `cargo xtask build-cost`: measures a user's first build and the first command of the README,
//! both cold, and writes the page of the book that records them.

use std::fmt::Write as _;
use std::fs;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::checks::{BUILDS, FACADE};
use crate::process::{machine, output, program, root, run};

const PAGE: &str = "docs/build-cost.md";

/// Seconds that the first command takes on two cores, from an empty folder to the end of its
/// demonstration.
const FIRST: u32 = 90;

pub(crate) fn command(arguments: &[&str]) -> Result<()> {
    if !arguments.is_empty() {
        bail!("build-cost takes no arguments");
    }
    run(&mut program("cargo", &["fetch", "--locked"]))?;
    let mut rows = String::new();
    let mut over = Vec::new();
    for build in &BUILDS {
        let arguments = ["build", "--quiet", "--locked", "--package", FACADE];
        let (crates, seconds) = (build.count()?, cold(&[&arguments[..], build.features].concat())?);
        println!("{}: {crates} crates, {seconds:.0} s", build.name);
        writeln!(rows, "| {} | {crates} | {} | {seconds:.0} | {} |", build.name, build.crates, build.seconds)?;
        if crates > build.crates || seconds > f64::from(build.seconds) {
            over.push(build.name);
        }
    }
    let first = cold(&["run", "--quiet", "--locked"])?;
    println!("the first command: {first:.0} s");
    if first > f64::from(FIRST) {
        over.push("the first command");
    }
    fs::write(root().join(PAGE), page(&rows, first)?).with_context(|| format!("cannot write {PAGE}"))?;
    println!("recorded in {PAGE}");
    if !over.is_empty() {
        bail!("over the limits: {}", over.join(", "));
    }
    Ok(())
}

/// Seconds that a Cargo command takes to build into an empty folder.
fn cold(arguments: &[&str]) -> Result<f64> {
    let target = std::env::temp_dir().join(format!("lepton-build-cost-{}", std::process::id()));
    let begin = Instant::now();
    let built = run(program("cargo", arguments).env("CARGO_TARGET_DIR", &target));
    let seconds = begin.elapsed().as_secs_f64();
    fs::remove_dir_all(&target).with_context(|| format!("cannot remove {}", target.display()))?;
    built.map(|()| seconds)
}

fn page(rows: &str, first: f64) -> Result<String> {
    let compiler = output(&mut program("rustc", &["--version"]))?;
    Ok(format!(
        "\
# Build cost

What the first build of a program that depends on `lepton-cloud` takes: a cold
debug build of the crate with its dependencies already downloaded. Crates are
counted with our own among them. `cargo xtask build-cost` measures and writes this
page; `cargo xtask test` holds the number of crates.

| build | crates | at most | seconds | at most, on 2 cores |
|---|---:|---:|---:|---:|
{rows}
The first command of the README, `cargo run`, compiles the program `migrate` and
the S3 server of its demonstration, and runs the demonstration: {first:.0} s from
an empty folder to its end, at most {FIRST} s.

Measured with {} on {}.
",
        compiler.trim(),
        machine()
    ))
}
