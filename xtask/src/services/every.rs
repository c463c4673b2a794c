//! Installing and starting all servers.

use anyhow::{Result, bail};

use super::server::Running;
use super::service::Service;
use super::{azurite, fake_gcs, minio, moto, nginx, versitygw};

/// The servers in the order in which they are built and started.
pub(super) const SERVICES: [Service; 6] =
    [moto::SERVICE, azurite::SERVICE, nginx::SERVICE, versitygw::SERVICE, fake_gcs::SERVICE, minio::SERVICE];

/// Installs every server that the cache lacks. The Go builds run one after the other, as each
/// keeps all cores busy; the Python installation mostly downloads.
pub(crate) fn build() -> Result<()> {
    std::thread::scope(|scope| {
        let python = scope.spawn(moto::SERVICE.install);
        let built = SERVICES.iter().filter(|service| service.name != "moto").try_for_each(|s| (s.install)().map(drop));
        let Ok(python) = python.join() else { bail!("the installation of moto panicked") };
        built.and(python.map(drop))
    })
}

/// Starts every server. The servers end when the returned values are dropped, or when this
/// process ends for any reason.
pub(crate) fn start() -> Result<Vec<Running>> {
    build()?;
    SERVICES.iter().map(Running::start).collect()
}
