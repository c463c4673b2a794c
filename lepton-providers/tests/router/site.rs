//! A router with one replica, or more, at each side.

use std::net::SocketAddr;

use lepton_core::data_set::{Clearance, DataVerdict, Side, Verdict};
use lepton_core::traffic::{Counters, Hold, HoldRequest, InFlight, InFlightPolicy, Route, Traffic as _};
use lepton_core::{Error, ErrorKind};
use lepton_providers::router::{Router, RouterConfig, RouterTraffic, RunningRouter};
use tempfile::TempDir;

use crate::application::Application;
use crate::user::eventually;

/// A router with its replicas. The first replica of each side is `a` and `b`.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) a: Application,
    pub(crate) b: Application,
    _folder: TempDir,
    pub(crate) config: RouterConfig,
    router: Option<RunningRouter>,
    pub(crate) traffic: RouterTraffic,
    pub(crate) address: SocketAddr,
}

impl Site {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut RouterConfig)) -> Self {
        let (a, b) = (Application::start(Side::A).await, Application::start(Side::B).await);
        let folder = tempfile::tempdir().unwrap();
        let mut config = RouterConfig::new(folder.path().join("state"));
        "127.0.0.1:0".clone_into(&mut config.listen);
        (config.a, config.b) = (vec![a.backend()], vec![b.backend()]);
        change(&mut config);
        let router = Router::builder().config(config.clone()).start().await.unwrap();
        let (traffic, address) = (router.traffic(), router.address());
        Self { a, b, _folder: folder, config, router: Some(router), traffic, address }
    }

    pub(crate) fn router(&self) -> &RunningRouter {
        self.router.as_ref().unwrap()
    }

    /// Ends the router as if its process had been killed.
    pub(crate) fn kill(&mut self) {
        self.router = None;
    }

    pub(crate) async fn stop(&mut self) {
        self.router.take().unwrap().stop().await.unwrap();
    }

    /// Starts a router on what the last one left.
    pub(crate) async fn again(&mut self) {
        // The last one keeps its lock as long as it still writes.
        let mut started = Err(Error::invalid_input("not yet"));
        eventually("the lock is free", async || {
            started = Router::builder().config(self.config.clone()).start().await;
            !matches!(&started, Err(error) if error.kind() == ErrorKind::Locked)
        })
        .await;
        let router = started.unwrap();
        (self.traffic, self.address) = (router.traffic(), router.address());
        self.router = Some(router);
    }

    pub(crate) async fn hold(&self, epoch: u64) -> Hold {
        self.traffic.hold(HoldRequest::new(epoch)).await.unwrap()
    }

    pub(crate) async fn waiting(&self, hold: &Hold, count: u64) {
        eventually("requests that wait", async || self.traffic.renew(&hold.id).await.unwrap().waiting == count).await;
    }

    pub(crate) async fn back(&self, hold: &Hold) -> Route {
        self.traffic.release(&hold.id, hold.epoch).await.unwrap()
    }

    pub(crate) async fn forward(&self, hold: &Hold, to: Side) -> Route {
        let clearance = cleared(to, hold.epoch);
        self.traffic.switch(clearance, &hold.id, hold.epoch).await.unwrap();
        self.traffic.release(&hold.id, hold.epoch).await.unwrap()
    }

    pub(crate) async fn counters(&self) -> Counters {
        self.traffic.verify().await.unwrap()
    }

    pub(crate) async fn drain(&self, side: Side) -> InFlight {
        self.traffic.drain(side, InFlightPolicy::Wait).await.unwrap()
    }
}

pub(crate) fn cleared(to: Side, epoch: u64) -> Clearance {
    let verdict = DataVerdict::new("objects", epoch, to.other(), Verdict::Pass);
    Clearance::new(to, epoch, &["objects".to_owned()], &[verdict]).unwrap()
}
