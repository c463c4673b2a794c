//! The router, with its register in the folder of the demonstration.

use lepton::providers::router::{Router, RouterConfig};
use lepton::{Error, Result};
use tokio::signal::unix::{SignalKind, signal};

use crate::site::Site;

/// The folder of the register.
pub(crate) const STATE: &str = "router";

pub(crate) fn config(site: &Site) -> RouterConfig {
    let mut config = RouterConfig::new(site.at(STATE));
    // One that was killed and is started again serves at the same address.
    let before = std::fs::read_to_string(site.address_file("router"));
    config.listen = before.unwrap_or_else(|_| "127.0.0.1:0".to_owned());
    config
}

/// Serves until SIGTERM.
pub(crate) async fn run(site: &Site) -> Result<()> {
    let mut end = signal(SignalKind::terminate()).map_err(|error| Error::io("cannot listen to signals", error))?;
    let router = Router::builder().config(config(site)).start().await?;
    site.publish("router", &router.address().to_string())?;
    end.recv().await;
    router.stop().await
}
