//! The router, with its register in the folder of the demonstration.

use lepton::providers::router::Router;
use lepton::{Error, Result};
use tokio::signal::unix::{SignalKind, signal};

use crate::site::Site;

/// Serves until SIGTERM.
pub(crate) async fn run(site: &Site) -> Result<()> {
    let mut end = signal(SignalKind::terminate()).map_err(|error| Error::io("cannot listen to signals", error))?;
    let router = Router::builder().config(site.router()).start().await?;
    site.publish("router", &router.address().to_string())?;
    end.recv().await;
    router.stop().await
}
