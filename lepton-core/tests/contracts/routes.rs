//! The reference of routes, and the reference with one lie.

use std::sync::Arc;

use async_trait::async_trait;
use lepton_core::conformance::traffic::{Options, Subject, memory, run};
use lepton_core::data_set::{Clearance, Side};
use lepton_core::traffic::{
    Counters, Hold, HoldId, HoldRequest, InFlight, InFlightPolicy, Route, RouteChange, Traffic, TrafficCapabilities,
};
use lepton_core::{Result, SystemRuntime};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Lie {
    None,
    IgnoresVersions,
    ReusesEpochs,
    HoldsNothing,
    HasNoLimit,
    OutlivesItsDriver,
    IgnoresClearances,
    CountsNothing,
    ReleasesAnything,
    SwitchReleases,
}

#[derive(Debug)]
struct Lying {
    inner: Arc<dyn Traffic>,
    lie: Lie,
}

#[async_trait]
impl Traffic for Lying {
    fn capabilities(&self) -> &TrafficCapabilities {
        self.inner.capabilities()
    }

    fn url(&self) -> &str {
        self.inner.url()
    }

    async fn get(&self) -> Result<Route> {
        self.inner.get().await
    }

    async fn set(&self, change: RouteChange, if_version: u64) -> Result<Route> {
        let version = if self.lie == Lie::IgnoresVersions { self.inner.get().await?.version } else { if_version };
        self.inner.set(change, version).await
    }

    async fn verify(&self) -> Result<Counters> {
        if self.lie == Lie::CountsNothing { Ok(Counters::new()) } else { self.inner.verify().await }
    }

    async fn hold(&self, mut request: HoldRequest) -> Result<Hold> {
        match self.lie {
            Lie::ReusesEpochs => request.epoch = self.inner.get().await?.epoch + 1,
            Lie::HoldsNothing => request.limits.time = std::time::Duration::ZERO,
            Lie::HasNoLimit => {
                (request.limits.requests, request.limits.silence) = (usize::MAX, std::time::Duration::from_millis(200));
            }
            Lie::OutlivesItsDriver => {
                let hour = std::time::Duration::from_secs(3600);
                (request.limits.silence, request.limits.time) = (hour, hour);
            }
            _ => {}
        }
        self.inner.hold(request).await
    }

    async fn renew(&self, hold: &HoldId) -> Result<Hold> {
        self.inner.renew(hold).await
    }

    async fn switch(&self, to: Clearance, hold: &HoldId, epoch: u64) -> Result<Route> {
        match self.lie {
            Lie::IgnoresClearances => self.inner.release(hold, epoch).await,
            Lie::SwitchReleases => {
                self.inner.switch(to, hold, epoch).await?;
                self.inner.release(hold, epoch).await
            }
            _ => self.inner.switch(to, hold, epoch).await,
        }
    }

    async fn release(&self, hold: &HoldId, epoch: u64) -> Result<Route> {
        match (self.lie, self.inner.get().await?.hold) {
            (Lie::ReleasesAnything, Some(hold)) => self.inner.release(&hold.id, hold.epoch).await,
            _ => self.inner.release(hold, epoch).await,
        }
    }

    async fn drain(&self, side: Side, policy: InFlightPolicy) -> Result<InFlight> {
        self.inner.drain(side, policy).await
    }
}

#[tokio::test]
async fn the_reference_passes_and_each_lie_is_found() {
    for (lie, found) in [
        (Lie::None, ""),
        (Lie::IgnoresVersions, "a_change_needs_the_version"),
        (Lie::ReusesEpochs, "an_epoch_is_used_once"),
        (Lie::HoldsNothing, "writes_wait_and_reads_do_not"),
        (Lie::HasNoLimit, "a_request_past_the_limit_ends_the_hold"),
        (Lie::OutlivesItsDriver, "a_silent_driver_ends_the_hold"),
        (Lie::IgnoresClearances, "a_clearance_is_of_one_epoch_and_side"),
        (Lie::CountsNothing, "a_side_without_weight_gets_nothing"),
        (Lie::ReleasesAnything, "a_release_needs_its_hold_and_epoch"),
        (Lie::SwitchReleases, "a_switch_keeps_the_hold"),
    ] {
        let env = SystemRuntime::shared();
        let make = async || {
            let subject = memory(&env);
            let traffic = Arc::new(Lying { inner: subject.traffic, lie });
            Ok(Subject::new(traffic, subject.user, env.clone()))
        };
        let options = if lie == Lie::None { Options::new() } else { Options::new().only(found) };
        let report = run(options, make).await;
        let failed = super::failed(&report);
        assert!(if lie == Lie::None { failed.is_empty() } else { failed == [found] }, "{lie:?}: {report}");
    }
}
