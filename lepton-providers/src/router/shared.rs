//! What the parts of a running router share.

use std::sync::Arc;

use lepton_core::SharedRuntime;
use tokio::sync::watch;

use super::config::RouterConfig;
use super::flight::Flights;
use super::gate::Gate;
use super::shadow::Shadows;
use super::sides::Sides;
use super::timing::unless;

/// How far a router is on its way to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Running,
    /// No more connections; open requests end.
    Stopping,
    /// Everything ends where it is.
    Killed,
}

/// What the parts of a running router share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) env: SharedRuntime,
    pub(super) config: RouterConfig,
    pub(super) gate: Arc<Gate>,
    pub(super) flights: Arc<Flights>,
    pub(super) sides: Sides,
    pub(super) shadows: Shadows,
    pub(super) phase: watch::Receiver<Phase>,
}

impl Shared {
    /// Starts a task that ends with the router at the latest.
    pub(super) fn start(&self, task: impl Future<Output = ()> + Send + 'static) {
        let killed = self.reached(Phase::Killed);
        self.env.spawn(Box::pin(async move {
            let _: Option<()> = unless(killed, task).await;
        }));
    }

    /// Resolves when the router is in this phase or a later one.
    pub(super) fn reached(&self, wanted: Phase) -> impl Future<Output = ()> + Send + 'static {
        let mut phase = self.phase.clone();
        async move {
            // Without its sender the router has ended.
            let _ = phase.wait_for(|phase| *phase >= wanted).await;
        }
    }
}
