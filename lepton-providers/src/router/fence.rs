//! The commands: each reads or changes the register, and then the gate.
//!
//! A change is on disk before the gate changes, so that no request that was held is sent before
//! the decision is durable. All changes go through one lock, also the end of a hold that would
//! exceed one of its limits.

use std::sync::Arc;
use std::time::Duration;

use lepton_core::data_set::Side;
use lepton_core::traffic::{Backend, Hold, HoldId, HoldRequest, InFlight, InFlightPolicy, Route, Weights};
use lepton_core::{Effect, Error, ErrorKind, Result, RetryClass, RuntimeExt as _};
use tokio::sync::{Mutex, MutexGuard};

use super::config::{HoldScope, check_backends};
use super::register::{Folder, Stored, StoredHold};
use super::shared::Shared;
use super::timing::unless;

/// The time between two attempts to end a hold in the register.
const AGAIN: Duration = Duration::from_secs(1);

/// The register with its lock, and what follows from it.
#[derive(Debug)]
pub(super) struct Fence {
    shared: Arc<Shared>,
    register: Arc<Mutex<Register>>,
}

#[derive(Debug)]
struct Register {
    /// `None` once the router has ended.
    folder: Option<Arc<Folder>>,
    stored: Stored,
    /// The times of the hold, if there is one.
    times: Option<Times>,
    /// It is not known what the next start would read.
    unsure: bool,
    /// The hold whose drains have started a timer, and for which sides they have.
    cuts: Option<(HoldId, [bool; 2])>,
}

#[derive(Debug, Clone, Copy)]
struct Times {
    begun: Duration,
    renewed: Duration,
}

impl Fence {
    /// A hold that the register has is watched from now on.
    pub(super) fn new(shared: Arc<Shared>, folder: Folder, stored: Stored) -> Arc<Self> {
        let now = shared.env.uptime();
        let times = stored.hold.as_ref().map(|_| Times { begun: now, renewed: now });
        let register = Register { folder: Some(Arc::new(folder)), stored, times, unsure: false, cuts: None };
        Arc::new(Self { shared, register: Arc::new(Mutex::new(register)) })
    }

    pub(super) async fn get(&self) -> Result<Route> {
        let register = self.settled().await?;
        Ok(self.route(&register))
    }

    pub(super) async fn set(&self, side: Side, backends: Vec<Backend>, if_version: u64) -> Result<Route> {
        let mut register = self.settled().await?;
        if register.stored.version != if_version {
            return Err(refused(format!("the route has version {}, not {if_version}", register.stored.version)));
        }
        check_backends(&backends)?;
        let mut next = register.stored.clone();
        match side {
            Side::A => next.a = backends,
            Side::B => next.b = backends,
        }
        self.persist(&mut register, next).await?;
        self.shared.sides.set(side, register.stored.backends(side));
        Ok(self.route(&register))
    }

    pub(super) async fn hold(&self, request: HoldRequest) -> Result<Hold> {
        let mut register = self.settled().await?;
        if register.stored.hold.is_some() {
            return if register.stored.epoch == request.epoch {
                self.renewed(&mut register)
            } else {
                let message = format!("the fence of epoch {} holds", register.stored.epoch);
                Err(Error::new(ErrorKind::Conflict, message))
            };
        }
        if request.epoch <= register.stored.epoch {
            return Err(refused(format!("epoch {} is not above {}", request.epoch, register.stored.epoch)));
        }
        let all = request.all || self.shared.config.hold == HoldScope::All;
        let id = HoldId::new(format!("{}-{:016x}", request.epoch, self.shared.env.random()));
        let mut next = register.stored.clone();
        next.epoch = request.epoch;
        next.hold = Some(StoredHold { id, all, limits: request.limits.clone() });
        self.persist(&mut register, next).await?;
        let now = self.shared.env.uptime();
        register.times = Some(Times { begun: now, renewed: now });
        self.shared.gate.hold(all, request.limits);
        self.renewed(&mut register)
    }

    pub(super) async fn renew(&self, hold: &HoldId) -> Result<Hold> {
        let mut register = self.settled().await?;
        let epoch = register.stored.epoch;
        register.holding(hold, epoch)?;
        self.renewed(&mut register)
    }

    /// Moves the ownership; `of` is the epoch of the clearance. The hold stays.
    pub(super) async fn switch(&self, to: Side, of: u64, hold: &HoldId, epoch: u64) -> Result<Route> {
        let mut register = self.settled().await?;
        register.holding(hold, epoch)?;
        let old = register.stored.owner;
        if of != epoch || to == old {
            return Err(refused(format!("the clearance is for side {to} in epoch {of}")));
        }
        let mut next = register.stored.clone();
        next.owner = to;
        self.persist(&mut register, next).await?;
        self.shared.gate.switch(to);
        // The side was proven to write no more, or there would be no clearance.
        self.shared.flights.proven(old);
        self.shared.flights.close(old, self.shared.flights.so_far());
        Ok(self.route(&register))
    }

    pub(super) async fn release(&self, hold: &HoldId, epoch: u64) -> Result<Route> {
        let mut register = self.settled().await?;
        register.holding(hold, epoch)?;
        self.end(&mut register).await?;
        Ok(self.route(&register))
    }

    pub(super) fn drain(&self, side: Side, policy: InFlightPolicy) -> InFlight {
        let flights = &self.shared.flights;
        let before = flights.so_far();
        flights.close(side, before);
        if let InFlightPolicy::Cut(after) = policy {
            self.cut(side, before, after);
        }
        flights.open(side)
    }

    /// Cuts off the writes of a side that began before this number, after this time and only if
    /// the hold of this moment has not ended by then. Of several drains during one hold, the first
    /// determines the time.
    fn cut(&self, side: Side, before: u64, after: Duration) {
        // The register is locked only while it is being changed, and then the timer waits for it.
        let begun = self.register.try_lock().ok().map(|mut register| register.begin_cut(side));
        if matches!(begun, Some(None)) {
            return;
        }
        let (shared, register) = (Arc::clone(&self.shared), Arc::clone(&self.register));
        self.shared.start(async move {
            let hold = match begun {
                Some(hold) => hold,
                None => register.lock().await.begin_cut(side),
            };
            let Some(hold) = hold else { return };
            shared.env.sleep(after).await;
            // The lock is kept until the writes are cut off, so that no release happens in between.
            let register = register.lock().await;
            if register.stored.hold.as_ref().is_some_and(|current| current.id == hold) {
                shared.flights.cut(side, before);
            }
        });
    }

    /// Ends each hold that would exceed one of its limits, as long as the router runs.
    pub(super) async fn watch(self: Arc<Self>) {
        loop {
            let due = match self.settled().await {
                Ok(register) => register.due(),
                Err(error) => {
                    tracing::error!("no hold can end in the register: {}", error.full_message());
                    self.shared.env.sleep(AGAIN).await;
                    continue;
                }
            };
            let changed = self.shared.gate.holds.notified();
            match due {
                Some(due) => {
                    let wait = due.saturating_sub(self.shared.env.uptime());
                    let _ = unless(self.shared.env.sleep(wait), changed).await;
                }
                None => changed.await,
            }
        }
    }

    /// The router has ended: from now on nothing changes on disk, and the lock is free.
    pub(super) async fn freeze(&self) {
        self.register.lock().await.folder = None;
    }

    /// The same, without waiting for a change that is being made.
    pub(super) fn try_freeze(&self) {
        if let Ok(mut register) = self.register.try_lock() {
            register.folder = None;
        }
    }

    /// The register, after a hold that would exceed one of its limits was ended in it.
    async fn settled(&self) -> Result<MutexGuard<'_, Register>> {
        let mut register = self.register.lock().await;
        if register.unsure {
            return Err(unsure());
        }
        let due = register.due();
        if due.is_some_and(|due| self.shared.env.uptime() >= due || self.shared.gate.exceeded()) {
            tracing::warn!(
                epoch = register.stored.epoch,
                "a hold has ended by itself: it was full, too long, or not renewed"
            );
            if let Err(error) = self.end(&mut register).await {
                // What waits has waited long enough.
                self.shared.gate.close();
                return Err(error);
            }
        }
        Ok(register)
    }

    /// Ends the hold in the register, and then opens the gate to the owner.
    async fn end(&self, register: &mut Register) -> Result<()> {
        let mut next = register.stored.clone();
        next.hold = None;
        self.persist(register, next).await?;
        register.times = None;
        self.shared.gate.open(register.stored.owner);
        Ok(())
    }

    /// Makes the next state durable. If that fails and it is not known which state is on disk,
    /// everything is refused until the router has been started again.
    async fn persist(&self, register: &mut Register, mut next: Stored) -> Result<()> {
        let gone = || Error::new(ErrorKind::Cancelled, "the router stops");
        let folder = register.folder.clone().ok_or_else(gone)?;
        next.version += 1;
        let copy = next.clone();
        // It stays so if this future is dropped.
        register.unsure = true;
        let written =
            self.shared.env.run_blocking(move || folder.write(&copy)).join().await.and_then(|written| written);
        match written {
            Ok(()) => {
                (register.stored, register.unsure) = (next, false);
                Ok(())
            }
            Err(error) if error.effect() == Effect::None && error.kind() != ErrorKind::Unexpected => {
                register.unsure = false;
                Err(error)
            }
            Err(error) => {
                self.shared.gate.close();
                Err(error.with_effect(Effect::Unknown))
            }
        }
    }

    /// Renews the hold, and returns it.
    fn renewed(&self, register: &mut Register) -> Result<Hold> {
        if let Some(times) = &mut register.times {
            times.renewed = self.shared.env.uptime();
        }
        self.hold_of(register).ok_or_else(|| refused("the hold has ended".to_owned()))
    }

    fn hold_of(&self, register: &Register) -> Option<Hold> {
        let (stored, times) = (register.stored.hold.as_ref()?, register.times?);
        let mut hold = Hold::new(stored.id.clone(), register.stored.epoch);
        (hold.waiting, hold.age) = (self.shared.gate.waiting(), self.shared.env.uptime().saturating_sub(times.begun));
        Some(hold)
    }

    fn route(&self, register: &Register) -> Route {
        let stored = &register.stored;
        let mut route = Route::new();
        (route.version, route.epoch, route.owner) = (stored.version, stored.epoch, stored.owner);
        route.weights = Weights::owned_by(stored.owner);
        (route.a, route.b) = (stored.a.clone(), stored.b.clone());
        route.hold = self.hold_of(register);
        route
    }
}

impl Register {
    /// When the hold ends by itself.
    fn due(&self) -> Option<Duration> {
        let (hold, times) = (self.stored.hold.as_ref()?, self.times?);
        let longest = times.begun.saturating_add(hold.limits.time);
        Some(longest.min(times.renewed.saturating_add(hold.limits.silence)))
    }

    /// The hold for which a timer is to be started at this side; `None` if there is no hold, or if
    /// this hold has one.
    fn begin_cut(&mut self, side: Side) -> Option<HoldId> {
        let hold = self.stored.hold.as_ref()?.id.clone();
        if self.cuts.as_ref().is_none_or(|(of, _)| *of != hold) {
            self.cuts = Some((hold.clone(), [false; 2]));
        }
        let (_, sides) = self.cuts.as_mut()?;
        let begun = std::mem::replace(&mut sides[usize::from(side == Side::B)], true);
        (!begun).then_some(hold)
    }

    /// Whether this hold is on, and of this epoch.
    fn holding(&self, id: &HoldId, epoch: u64) -> Result<()> {
        if self.stored.hold.as_ref().is_none_or(|hold| hold.id != *id) {
            return Err(refused(format!("the hold {id} has ended")));
        }
        match self.stored.epoch {
            its if its == epoch => Ok(()),
            its => Err(refused(format!("the hold {id} is of epoch {its}, not {epoch}"))),
        }
    }
}

fn refused(why: String) -> Error {
    Error::new(ErrorKind::PreconditionFailed, why).with_retry(RetryClass::Never)
}

fn unsure() -> Error {
    let message = "a change of the register has failed, and it is not known whether it is on disk; \
                   the router refuses everything until it is started again";
    Error::new(ErrorKind::Unavailable, message)
}
