//! `cargo xtask storm`: random work under faults and kills, on real servers.

use anyhow::{Context as _, Result, bail};

use crate::process::{program, run};
use crate::services;

/// The options, with the environment variables that the storm test reads.
const OPTIONS: [(&str, &str); 3] =
    [("--seed", "LEPTON_TEST_SEED"), ("--kills", "LEPTON_TEST_KILLS"), ("--faults", "LEPTON_TEST_FAULTS")];

/// Default number of kills.
const KILLS: &str = "1000";

/// `cargo xtask storm [--seed S] [--kills N] [--faults NAME,…]`
pub(crate) fn command(arguments: &[&str]) -> Result<()> {
    // The killed programs are the release builds that users run.
    let both = ["--release", "--package", "lepton-examples", "--package", "lepton-tests", "--all-features"];
    run(program("cargo", &["build", "--bins"]).args(both))?;
    let mut test = program("cargo", &["test", "--test", "storm"]);
    test.args(both).args(["--", "--nocapture"]);
    test.env("LEPTON_TEST_KILLS", KILLS).env("LEPTON_TEST_REQUIRED", "1");
    // A new seed for each run; the test prints it.
    test.env("LEPTON_TEST_SEED", std::process::id().to_string());
    for pair in arguments.chunks(2) {
        let &[option, value] = pair else { bail!("{} takes a value", pair[0]) };
        let Some((_, variable)) = OPTIONS.iter().find(|(name, _)| *name == option) else {
            bail!("no option {option:?}; there are {}", OPTIONS.map(|(name, _)| name).join(", "));
        };
        test.env(variable, value);
    }
    let servers = services::start()?;
    for running in &servers {
        test.env(running.server.variable, &running.server.endpoint);
    }
    run(&mut test).context("the storm left something wrong; the seed that it printed last repeats the round")
}
