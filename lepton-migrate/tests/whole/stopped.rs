//! A driver that is stopped, as by SIGSTOP, between any two of its calls for longer than the timer
//! of the hold, and then continues.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use async_trait::async_trait;
use lepton_core::data_set::{Clearance, CopySummary, DataSet, DataVerdict, Lag, LagStream, Quiesced, Side};
use lepton_core::migration::{Command, Policy, State};
use lepton_core::traffic::{
    Counters, Hold, HoldId, HoldLimits, HoldRequest, InFlight, InFlightPolicy, Route, RouteChange, Traffic,
    TrafficCapabilities,
};
use lepton_core::{Result, SharedRuntime};
use lepton_migrate::Migration;

use crate::plan;
use crate::world::World;

const SILENCE: Duration = Duration::from_millis(300);

/// Stops everything at one call.
#[derive(Debug)]
struct Stop {
    world: World,
    env: SharedRuntime,
    /// The calls since the first hold; 0 before it.
    calls: AtomicU64,
    at: u64,
    stopped: AtomicBool,
    /// A side accepted writes that it did not own.
    two_writers: AtomicBool,
}

impl Stop {
    /// A moment before or after a call.
    async fn pass(&self) {
        let owner = self.world.traffic.get().await.unwrap().owner;
        if self.world.accepts(owner.other()) {
            // An effect has a task of its own, whose panic would be one more failure of the fence.
            self.two_writers.store(true, SeqCst);
        }
        if self.calls.load(SeqCst) == 0 {
            return;
        }
        if self.calls.fetch_add(1, SeqCst) == self.at {
            self.stopped.store(true, SeqCst);
            self.env.sleep(SILENCE * 2).await;
            self.stopped.store(false, SeqCst);
        }
        while self.stopped.load(SeqCst) {
            self.env.sleep(Duration::from_millis(2)).await;
        }
    }

    async fn around<T>(&self, call: impl Future<Output = T>) -> T {
        self.pass().await;
        let outcome = call.await;
        self.pass().await;
        outcome
    }
}

#[derive(Debug, Clone)]
struct Stopped<T>(T, Arc<Stop>);

#[async_trait]
impl<T: Traffic> Traffic for Stopped<T> {
    fn capabilities(&self) -> &TrafficCapabilities {
        self.0.capabilities()
    }

    fn url(&self) -> &str {
        self.0.url()
    }

    async fn get(&self) -> Result<Route> {
        self.1.around(self.0.get()).await
    }

    async fn set(&self, change: RouteChange, if_version: u64) -> Result<Route> {
        self.1.around(self.0.set(change, if_version)).await
    }

    async fn verify(&self) -> Result<Counters> {
        self.1.around(self.0.verify()).await
    }

    async fn hold(&self, request: HoldRequest) -> Result<Hold> {
        // The first hold is the first call that counts.
        let _ = self.1.calls.compare_exchange(0, 1, SeqCst, SeqCst);
        self.1.around(self.0.hold(request)).await
    }

    async fn renew(&self, hold: &HoldId) -> Result<Hold> {
        self.1.around(self.0.renew(hold)).await
    }

    async fn switch(&self, to: Clearance, hold: &HoldId, epoch: u64) -> Result<Route> {
        self.1.around(self.0.switch(to, hold, epoch)).await
    }

    async fn release(&self, hold: &HoldId, epoch: u64) -> Result<Route> {
        self.1.around(self.0.release(hold, epoch)).await
    }

    async fn drain(&self, side: Side, policy: InFlightPolicy) -> Result<InFlight> {
        self.1.around(self.0.drain(side, policy)).await
    }
}

#[async_trait]
impl<T: DataSet> DataSet for Stopped<T> {
    fn name(&self) -> &str {
        self.0.name()
    }

    async fn copy(&self, from: Side) -> Result<CopySummary> {
        self.0.copy(from).await
    }

    fn follow(&self, from: Side) -> LagStream {
        self.0.follow(from)
    }

    async fn lag(&self, from: Side) -> Result<Lag> {
        self.0.lag(from).await
    }

    async fn quiesce(&self, side: Side, deny: bool, epoch: u64) -> Result<Quiesced> {
        self.1.around(self.0.quiesce(side, deny, epoch)).await
    }

    async fn delta(&self, from: Side, epoch: u64) -> Result<DataVerdict> {
        self.1.around(self.0.delta(from, epoch)).await
    }

    async fn reverse(&self, from: Side, epoch: u64) -> Result<()> {
        self.1.around(self.0.reverse(from, epoch)).await
    }
}

/// Moves an application under its users with a driver that is stopped at this call; returns how
/// many calls the fences had.
async fn stopped_at(at: u64) -> u64 {
    let (world, folder) = (World::new().await, tempfile::tempdir().unwrap());
    let stop = Arc::new(Stop {
        world: world.clone(),
        env: world.env.clone(),
        calls: AtomicU64::new(0),
        at,
        stopped: AtomicBool::new(false),
        two_writers: AtomicBool::new(false),
    });
    let (end, users) = world.users();
    let mut limits = HoldLimits::default();
    limits.silence = SILENCE;
    let builder = Migration::builder(
        "shop",
        folder.path().join("migration"),
        Arc::new(Stopped(world.traffic.clone(), Arc::clone(&stop))),
    );
    let builder = builder.data_set(Stopped(world.objects(folder.path()), Arc::clone(&stop))).hold(limits);
    let mut migration = builder.policy(Policy::new().fences(1_000)).open().await.unwrap();
    plan(&mut migration).await;
    let rests = |state: &State| matches!(state, State::Tested | State::Holding);
    migration.run(rests, |_| {}).await.unwrap();
    let mut fences = 0;
    while *migration.state() != State::Holding {
        migration.command(Command::CutOver).await.unwrap();
        migration.run(rests, |_| {}).await.unwrap();
        let owner = world.traffic.get().await.unwrap().owner;
        assert_eq!(migration.machine().owner(), owner, "stopped at call {at}");
        fences += 1;
        assert!(fences < 50, "stopped at call {at}: {}", migration.state());
    }
    end.store(true, SeqCst);
    for user in users {
        user.join().await.unwrap();
    }
    world.check(Side::B).await;
    assert!(!stop.two_writers.load(SeqCst), "stopped at call {at}: a side accepted writes that it did not own");
    stop.calls.load(SeqCst)
}

/// `LEPTON_TEST_STOPS=all` stops the driver before and after every call, which takes minutes.
#[tokio::test(flavor = "multi_thread")]
async fn a_driver_that_is_stopped_between_two_calls_never_makes_two_owners() {
    let all = std::env::var("LEPTON_TEST_STOPS").is_ok_and(|stops| stops == "all");
    let (mut at, step) = (1, if all { 1 } else { 4 });
    while stopped_at(at).await > at {
        at += step;
    }
    assert!(at > 10, "a fence has more calls than {at}");
}
