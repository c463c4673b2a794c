//! The tests of the workspace: built once, then run in two lanes at the same time. The first
//! lane runs the tests that talk to the servers, which mostly wait; the second runs those that
//! need no servers, and then helps the first.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::parts::part;
use crate::process::{exists, program, root, shown};
use crate::{capture, failures};

/// The environment variables of the tests, with their values.
pub(crate) type Environment = Vec<(String, OsString)>;

/// How a binary is run.
type Run = fn(&mut Command) -> std::io::Result<ExitStatus>;

const TESTS: [&str; 4] = ["test", "--workspace", "--all-features", "--no-fail-fast"];

/// The folders of the packages whose tests talk to the servers.
const WITH_SERVERS: [&str; 3] = ["lepton-providers", "tests", "examples/object-store"];

/// A test binary that takes at most this many minutes is not listed at the end.
const SHORT: f64 = 0.3;

/// Runs every test, with these variables in the environment.
pub(crate) fn run(environment: &Environment) -> Result<()> {
    let built = part("build", build)?;
    let (servers, alone): (Vec<_>, Vec<_>) = built.tests.into_iter().partition(Test::needs_servers);
    // The slowest tests often come last by name: the second lane takes from the back.
    let servers = Mutex::new(servers.into_iter().collect::<VecDeque<_>>());
    let (mut results, others) = std::thread::scope(|scope| {
        let others = scope.spawn(|| {
            let mut results = part("run, without servers", || lane(&alone, environment, capture::whole));
            results.push(part("documentation", || documentation(environment)));
            results.extend(part("run, with servers, second lane", || {
                queue(|| take(&servers, VecDeque::pop_back), environment, capture::whole)
            }));
            results
        });
        let first = || queue(|| take(&servers, VecDeque::pop_front), environment, capture::status);
        (part("run, with servers", first), others.join())
    });
    let Ok(others) = others else { bail!("the lane without servers panicked") };
    results.extend(others);
    close(results)
}

/// Runs example programs as they were built with the tests, so that nothing is compiled for
/// them.
pub(crate) fn demonstrate(names: &[&str]) -> Result<()> {
    let built = part("build", build)?;
    for name in names {
        let found = built.programs.iter().find(|program| program.file_name().is_some_and(|file| file == *name));
        let found = found.with_context(|| format!("Cargo built no program {name}"))?;
        part(*name, || crate::process::run(&mut program::<&str>(found, &[])))?;
    }
    Ok(())
}

/// What Cargo built.
#[derive(Default)]
struct Built {
    tests: Vec<Test>,
    programs: Vec<PathBuf>,
}

struct Test {
    /// `tests/pairs`, or just the package for its unit tests.
    name: String,
    executable: PathBuf,
    /// The folder of the package, in which its tests run.
    folder: PathBuf,
}

/// How a binary ended.
struct Outcome {
    name: String,
    time: Duration,
    failure: Option<String>,
}

fn build() -> Result<Built> {
    let mut command = cargo(&TESTS);
    command.args(["--no-run", "--message-format", "json-render-diagnostics"]);
    println!("$ {}", shown(&command));
    let output = command.stderr(Stdio::inherit()).output().context("cannot run cargo")?;
    if !output.status.success() {
        bail!("the tests do not build");
    }
    let built = Built::parse(&String::from_utf8_lossy(&output.stdout));
    if built.tests.is_empty() {
        bail!("Cargo named no test that it built");
    }
    Ok(built)
}

/// Runs these tests one after the other.
fn lane(tests: &[Test], environment: &Environment, run: Run) -> Vec<Outcome> {
    tests.iter().map(|test| one(test, environment, run)).collect()
}

/// Runs the tests from `next` until it returns `None`.
fn queue(next: impl Fn() -> Option<Test>, environment: &Environment, run: Run) -> Vec<Outcome> {
    std::iter::from_fn(next).map(|test| one(&test, environment, run)).collect()
}

fn take(tests: &Mutex<VecDeque<Test>>, from: fn(&mut VecDeque<Test>) -> Option<Test>) -> Option<Test> {
    from(&mut tests.lock().unwrap_or_else(PoisonError::into_inner))
}

fn one(test: &Test, environment: &Environment, run: Run) -> Outcome {
    let mut command = Command::new(&test.executable);
    command.current_dir(&test.folder).env("CARGO_MANIFEST_DIR", &test.folder);
    outcome(&test.name, command, environment, run)
}

fn documentation(environment: &Environment) -> Outcome {
    let mut command = cargo(&TESTS);
    command.arg("--doc");
    outcome("documentation", command, environment, capture::whole)
}

fn outcome(name: &str, mut command: Command, environment: &Environment, run: Run) -> Outcome {
    println!("running {name}: {}", shown(&command));
    let begin = Instant::now();
    let failure = match run(command.envs(environment.iter().cloned())) {
        Ok(status) if status.success() => None,
        Ok(status) => {
            println!("{name} failed; {}", failures::machine());
            Some(format!("{name} ({status})"))
        }
        Err(error) => Some(format!("{name} (cannot be run: {error})")),
    };
    Outcome { name: name.to_owned(), time: begin.elapsed(), failure }
}

/// Lists the slowest binaries, and returns an error if any failed.
fn close(mut results: Vec<Outcome>) -> Result<()> {
    results.sort_by_key(|outcome| std::cmp::Reverse(outcome.time));
    println!("{} binaries; those that took more than {SHORT} minutes:", results.len());
    for outcome in &results {
        let minutes = outcome.time.as_secs_f64() / 60.0;
        if minutes > SHORT {
            println!("  {:<40} {minutes:5.1}", outcome.name);
        }
    }
    let failed: Vec<_> = results.into_iter().filter_map(|outcome| outcome.failure).collect();
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

impl Test {
    fn needs_servers(&self) -> bool {
        WITH_SERVERS.iter().any(|folder| self.folder == root().join(folder))
    }
}

impl Built {
    /// Reads Cargo's messages, one JSON object per line, without a JSON parser, which would
    /// dominate the build time of this program.
    fn parse(messages: &str) -> Self {
        let mut built = Self::default();
        for line in messages.lines().filter(|line| line.contains(r#""reason":"compiler-artifact""#)) {
            let field =
                |name: &str| line.split_once(&format!(r#""{name}":""#))?.1.split_once('"').map(|(value, _)| value);
            let (Some(executable), Some(manifest), Some(source)) =
                (field("executable"), field("manifest_path"), field("src_path"))
            else {
                continue; // a library
            };
            let folder = Path::new(manifest).parent().unwrap_or(Path::new("")).to_path_buf();
            // A program is a test where its profile says so; that its target has tests says nothing.
            let profile = line.split_once(r#""profile":{"#).and_then(|(_, rest)| rest.split_once('}'));
            if profile.is_some_and(|(profile, _)| profile.contains(r#""test":true"#)) {
                let source = Path::new(source);
                let name = source.strip_prefix(root()).unwrap_or(source).with_extension("");
                built.tests.push(Test { name: name.display().to_string(), executable: executable.into(), folder });
            } else {
                built.programs.push(executable.into());
            }
        }
        built
    }
}

/// Cargo with the fastest installed linker. On Linux x86-64 rustc links with its own LLD. A
/// linker chosen by the user is left alone.
fn cargo(arguments: &[&str]) -> Command {
    let mut command = program("cargo", arguments);
    let chosen = ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS"];
    let chosen = chosen.iter().any(|variable| std::env::var_os(variable).is_some());
    if cfg!(target_os = "linux") && !cfg!(target_arch = "x86_64") && !chosen {
        let linkers = [("mold", "-Clink-arg=-fuse-ld=mold"), ("ld.lld", "-Clink-arg=-fuse-ld=lld")];
        if let Some((_, flag)) = linkers.iter().find(|(name, _)| exists(name)) {
            command.env("RUSTFLAGS", flag);
        }
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGES: &str = concat!(
        r#"{"reason":"compiler-artifact","manifest_path":"/l/lepton-core/Cargo.toml","target":{"src_path":"/l/lepton-core/src/lib.rs"},"profile":{"debuginfo":1,"test":false},"executable":null}"#,
        "\n",
        r#"{"reason":"compiler-artifact","manifest_path":"/l/examples/Cargo.toml","target":{"src_path":"/l/examples/sync/main.rs","test":true},"profile":{"debuginfo":1,"test":false},"executable":"/t/debug/sync"}"#,
        "\n",
        r#"{"reason":"compiler-artifact","manifest_path":"/l/tests/Cargo.toml","target":{"src_path":"/l/tests/pairs.rs"},"profile":{"debuginfo":1,"test":true},"executable":"/t/debug/deps/pairs-1"}"#,
        "\n",
        r#"{"reason":"build-finished","success":true}"#,
    );

    #[test]
    fn tests_and_programs_are_told_apart() {
        let built = Built::parse(MESSAGES);
        assert_eq!(built.programs, [PathBuf::from("/t/debug/sync")]);
        let [test] = &built.tests[..] else { panic!("{}", built.tests.len()) };
        assert_eq!((&*test.name, &*test.folder), ("/l/tests/pairs", Path::new("/l/tests")));
        assert_eq!(test.executable, PathBuf::from("/t/debug/deps/pairs-1"));
    }
}
