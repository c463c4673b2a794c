//! `cargo xtask build-cost`: what a user's first build takes, cold, and the page
//! of the book that records it.

use std::fmt::Write as _;
use std::fs;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::checks::{BUILDS, Build};
use crate::process::{machine, output, program, root, run};

const PAGE: &str = "docs/build-cost.md";

pub(crate) fn command(arguments: &[&str]) -> Result<()> {
    if !arguments.is_empty() {
        bail!("build-cost takes no arguments");
    }
    run(&mut program("cargo", &["fetch", "--locked"]))?;
    let mut rows = String::new();
    let mut over = Vec::new();
    for build in &BUILDS {
        let (crates, seconds) = (build.count()?, seconds(build)?);
        println!("{}: {crates} crates, {seconds:.0} s", build.name);
        writeln!(rows, "| {} | {crates} | {} | {seconds:.0} | {} |", build.name, build.crates, build.seconds)?;
        if crates > build.crates || seconds > f64::from(build.seconds) {
            over.push(build.name);
        }
    }
    fs::write(root().join(PAGE), page(&rows)?).with_context(|| format!("cannot write {PAGE}"))?;
    println!("recorded in {PAGE}");
    if !over.is_empty() {
        bail!("over the limits: {}", over.join(", "));
    }
    Ok(())
}

/// A debug build of the façade and nothing else into an empty folder.
fn seconds(build: &Build) -> Result<f64> {
    let target = std::env::temp_dir().join(format!("lepton-build-cost-{}", std::process::id()));
    let arguments = ["build", "--quiet", "--locked", "--package", "lepton"];
    let begin = Instant::now();
    let built = run(program("cargo", &arguments).args(build.features).env("CARGO_TARGET_DIR", &target));
    let seconds = begin.elapsed().as_secs_f64();
    fs::remove_dir_all(&target).with_context(|| format!("cannot remove {}", target.display()))?;
    built.map(|()| seconds)
}

fn page(rows: &str) -> Result<String> {
    let compiler = output(&mut program("rustc", &["--version"]))?;
    Ok(format!(
        "\
# Build cost

What the first build of a program that depends on `lepton` takes: a cold debug
build of the crate with its dependencies already downloaded. Crates are counted
with our own among them. `cargo xtask build-cost` measures and writes this page;
`cargo xtask test` holds the number of crates.

| build | crates | at most | seconds | at most, on 2 cores |
|---|---:|---:|---:|---:|
{rows}
Measured with {} on {}.
",
        compiler.trim(),
        machine()
    ))
}
