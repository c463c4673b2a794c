//! Real servers on loopback for the tests: installed into the cache, started
//! on free ports with their data in memory where the machine has `/dev/shm`.
//!
//! - `minio`, `versitygw`, `moto`, `azurite`, `fake_gcs`, `nginx`: one recipe each
//! - `server`: starting, waiting and stopping one of them
//! - `detached`: those left running by `cargo xtask services start`

mod azurite;
mod detached;
mod fake_gcs;
mod minio;
mod moto;
mod nginx;
mod server;
mod versitygw;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

pub(crate) use server::Running;

/// The credentials of every test server.
pub(crate) const ACCESS_KEY: &str = "lepton-test-key";
pub(crate) const SECRET_KEY: &str = "lepton-test-secret";

/// What no test may print, by name.
pub(crate) const SECRETS: [(&str, &str); 3] = [
    ("the servers' secret", SECRET_KEY),
    ("Azurite's key", "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="),
    ("the token of fake-gcs", "lepton-test-token"),
];

/// In the order in which they are built and started.
const SERVICES: [Service; 6] =
    [moto::SERVICE, azurite::SERVICE, nginx::SERVICE, versitygw::SERVICE, fake_gcs::SERVICE, minio::SERVICE];

/// How one server is installed, started and asked whether it is ready.
pub(crate) struct Service {
    pub(crate) name: &'static str,
    /// The environment variable that tells the tests its endpoint; the same with
    /// `_PROGRAM` behind it tells what runs, with `_DATA` where its data is.
    pub(crate) variable: &'static str,
    /// A path, and with which status it is answered once requests are served.
    ready: (&'static str, u16),
    /// Returns its folder of the cache, built when it is not there yet.
    install: fn() -> Result<PathBuf>,
    command: fn(Place<'_>) -> Command,
}

/// Where a server finds itself.
struct Place<'a> {
    installed: &'a Path,
    /// An empty folder with the empty folders `objects` and `versions` in it.
    data: &'a Path,
    /// Host and port.
    address: &'a str,
}

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

/// Installs every server that the cache lacks. The Go builds come one after
/// the other, as each keeps all cores busy; the Python one mostly downloads.
pub(crate) fn build() -> Result<()> {
    std::thread::scope(|scope| {
        let python = scope.spawn(moto::SERVICE.install);
        let built = SERVICES.iter().filter(|service| service.name != "moto").try_for_each(|s| (s.install)().map(drop));
        let Ok(python) = python.join() else { bail!("the installation of moto panicked") };
        built.and(python.map(drop))
    })
}

/// Starts every server. They end with the returned values, or with this process
/// however it ends.
pub(crate) fn start() -> Result<Vec<Running>> {
    build()?;
    SERVICES.iter().map(Running::start).collect()
}
