//! `cargo xtask fuzz`: runs every parser of external input under libFuzzer.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::process::{exists, program, root, run};
use crate::tools;

/// Default run time of each target.
const SECONDS: u32 = 60;

/// Run time of each target as part of `cargo xtask test`.
const SECONDS_OF_THE_SUITE: u32 = 10;

/// `cargo xtask fuzz [--seconds N] [TARGET…]`
pub(crate) fn command(arguments: &[&str]) -> Result<()> {
    let (seconds, named) = match arguments {
        ["--seconds", seconds, named @ ..] => (seconds.parse().context("--seconds takes a number of seconds")?, named),
        named => (SECONDS, named),
    };
    let targets = targets()?;
    if let Some(unknown) = named.iter().find(|name| !targets.iter().any(|target| target == **name)) {
        bail!("no fuzz target {unknown:?}; there are {}", targets.join(", "));
    }
    let wanted = |target: &&String| named.is_empty() || named.contains(&target.as_str());
    targets.iter().filter(wanted).try_for_each(|target| fuzz(target, seconds))
}

/// The suite of `cargo xtask test`: runs every target briefly.
pub(crate) fn suite() -> Result<()> {
    // The tool would otherwise silently rewrite the lock file.
    let fetch = ["fetch", "--locked", "--manifest-path", "fuzz/Cargo.toml"];
    run(&mut program("cargo", &fetch)).context("without --locked this writes fuzz/Cargo.lock anew")?;
    targets()?.iter().try_for_each(|target| fuzz(target, SECONDS_OF_THE_SUITE))
}

/// The names of the files in `fuzz/targets`.
fn targets() -> Result<Vec<String>> {
    let folder = root().join("fuzz/targets");
    let files = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let name = |file: std::io::Result<fs::DirEntry>| Some(file.ok()?.path().file_stem()?.to_str()?.to_owned());
    let mut names: Vec<String> = files.filter_map(name).collect();
    names.sort();
    Ok(names)
}

/// Runs one target on the seeds in the tree and on the inputs that earlier runs found. An input
/// that fails is saved in `fuzz/artifacts`, and the command that reproduces it is printed.
fn fuzz(target: &str, seconds: u32) -> Result<()> {
    let cargo_fuzz = tools::cargo_fuzz()?;
    if !exists("c++") {
        tools::debian(&["g++"])?;
    }
    println!("fuzzing {target} for {seconds} s");
    let corpus = format!("fuzz/corpus/{target}");
    fs::create_dir_all(root().join(&corpus)).with_context(|| format!("cannot create {corpus}"))?;
    // Coverage guides the search on any toolchain; sanitizers need a nightly toolchain, and the
    // fuzzed code contains no `unsafe`.
    let mut command = program(cargo_fuzz, &["run", "--sanitizer", "none", target, &corpus]);
    command.arg(format!("fuzz/seeds/{target}"));
    command.args(["--", &format!("-max_total_time={seconds}"), "-timeout=10", "-print_final_stats=1", "-verbosity=0"]);
    let memory = Path::new("/dev/shm");
    if memory.exists() {
        command.env("TMPDIR", memory);
    }
    run(command.current_dir(root())).with_context(|| format!("the fuzz target {target} failed"))
}
