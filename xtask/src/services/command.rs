//! The command line of the servers.

use anyhow::{Result, bail};

use super::detached;
use super::every::build;

/// `cargo xtask services …`
pub(crate) fn command(arguments: &[&str]) -> Result<()> {
    match arguments {
        [] | ["status"] => detached::status(),
        ["build"] => build(),
        ["start"] => detached::start(),
        ["stop"] => detached::stop(),
        ["env"] => detached::env(),
        _ => bail!("services takes one of build, start, stop, status, env; not {:?}", arguments.join(" ")),
    }
}
