//! Developer automation: `cargo xtask COMMAND`. This file is the map of commands.

mod bench;
mod binaries;
mod build_cost;
mod capture;
mod checks;
mod failures;
mod fuzz;
mod parts;
mod process;
mod services;
mod storm;
mod test;
mod tools;
mod transcript;

use std::process::ExitCode;

use anyhow::{Result, bail};

const HELP: &str = "\
cargo xtask COMMAND

  test [--quick] [SUITE…]
                  everything that has to hold, on real servers; --quick leaves
                  out what needs servers, tools or an optimised build
  services [build|start|stop|status|env]
                  real servers on loopback: MinIO, versitygw, moto, Azurite,
                  fake-gcs-server, nginx
                  build   install what is missing into the cache
                  start   start them and leave them running
                  stop    stop them and remove their data
                  status  which of them answer
                  env     print `export LEPTON_TEST_…` lines for a shell
  storm [--seed S] [--kills N] [--faults NAME,…]
                  random work between random stores, killed and harmed; 1,000
                  kills. The seed of a round plays it again
  bench transfer [--rounds N] [--set NAME]…
                  side by side with rclone, s5cmd, the AWS CRT and azcopy;
                  writes the tables in docs/benchmarks.md
  bench sync [--rounds N] [--objects N[@MS]]…
                  two buckets that are the same, side by side with rclone and
                  s5cmd; writes its table there too
  bench growth [--rounds N] [--objects N]…
                  Lepton moves more and more objects under a limit of memory;
                  writes its table there too
  fuzz [--seconds N] [TARGET…]
                  every parser under libFuzzer, 60 s each; what fails is kept
                  in fuzz/artifacts
  build-cost      cold builds of the façade against their limits; writes
                  docs/build-cost.md
  advisories      known vulnerabilities of dependencies (needs the network)

Servers and tools are cached in $LEPTON_TEST_CACHE, by default ~/.cache/lepton-test.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[String]) -> Result<()> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.split_first() {
        None | Some((&("help" | "--help" | "-h"), _)) => {
            print!("{HELP}");
            Ok(())
        }
        Some((&"test", rest)) => test::command(rest),
        Some((&"bench", rest)) => bench::command(rest),
        Some((&"fuzz", rest)) => fuzz::command(rest),
        Some((&"storm", rest)) => storm::command(rest),
        Some((&"build-cost", rest)) => build_cost::command(rest),
        Some((&"advisories", [])) => test::advisories(),
        Some((&"services", rest)) => services::command(rest),
        Some((unknown, _)) => bail!("no command {unknown:?}; `cargo xtask help` lists them"),
    }
}
