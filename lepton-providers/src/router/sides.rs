//! The replicas of both sides: which one receives the next request, and which do not work.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use hyper::client::conn::http1::SendRequest;
use lepton_core::SharedRuntime;
use lepton_core::data_set::Side;
use lepton_core::traffic::Backend;

use super::bodies::Upload;
use super::limits::Health;
use super::pool::Pool;

/// The replicas of both sides.
#[derive(Debug)]
pub(super) struct Sides {
    env: SharedRuntime,
    health: Health,
    replicas: [RwLock<Vec<Arc<Replica>>>; 2],
    turn: AtomicUsize,
}

/// A replica.
#[derive(Debug)]
pub(super) struct Replica {
    pub(super) address: String,
    pub(super) pool: Pool,
    open: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The results of the last health checks: above 0 successes, below 0 failures, in a row.
    row: i64,
    /// The health checks have found that it does not work.
    down: bool,
    /// Failures of users' requests in a row.
    failed: u32,
    paused: Option<Duration>,
}

impl Sides {
    pub(super) fn new(env: SharedRuntime, health: Health) -> Self {
        Self { env, health, replicas: [RwLock::default(), RwLock::default()], turn: AtomicUsize::new(0) }
    }

    fn list(&self, side: Side) -> &RwLock<Vec<Arc<Replica>>> {
        &self.replicas[usize::from(side == Side::B)]
    }

    /// Replaces the replicas of a side. One that stays keeps its connections and its health.
    pub(super) fn set(&self, side: Side, backends: &[Backend]) {
        let mut list = self.list(side).write().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::take(&mut *list);
        let kept = |backend: &Backend| old.iter().find(|replica| replica.address == backend.address).cloned();
        *list = backends.iter().map(|backend| kept(backend).unwrap_or_else(|| Replica::new(backend))).collect();
    }

    pub(super) fn all(&self, side: Side) -> Vec<Arc<Replica>> {
        self.list(side).read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The replica with the fewest open requests, among those that work and were not tried yet.
    /// Where only replicas are left that pause, one of them.
    pub(super) fn choose(&self, side: Side, tried: &[Arc<Replica>]) -> Option<Lease> {
        let now = self.env.uptime();
        let list = self.list(side).read().unwrap_or_else(PoisonError::into_inner);
        let untried = |replica: &&Arc<Replica>| !tried.iter().any(|other| Arc::ptr_eq(other, replica));
        let up: Vec<_> = list.iter().filter(untried).filter(|replica| !replica.state().down).collect();
        let awake: Vec<_> = up.iter().copied().filter(|replica| !replica.pauses(now)).collect();
        let candidates = if awake.is_empty() { up } else { awake };
        // Among equals they take turns.
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let count = candidates.len();
        let rotated = (0..count).map(|place| candidates[(turn + place) % count]);
        let chosen = rotated.min_by_key(|replica| replica.open.load(Ordering::Relaxed))?;
        chosen.open.fetch_add(1, Ordering::Relaxed);
        Some(Lease(Arc::clone(chosen)))
    }

    /// A request of a user has failed before its answer.
    pub(super) fn failed(&self, replica: &Replica) {
        let mut state = replica.state();
        state.failed = state.failed.saturating_add(1);
        if state.failed >= self.health.passive_failures {
            state.paused = Some(self.env.uptime() + self.health.passive_pause);
        }
    }

    /// A request of a user was answered.
    pub(super) fn worked(&self, replica: &Replica) {
        let mut state = replica.state();
        (state.failed, state.paused) = (0, None);
    }

    /// Counts the outcome of a health check.
    pub(super) fn record_check(&self, replica: &Replica, works: bool) {
        let mut state = replica.state();
        state.row = if works { state.row.max(0) + 1 } else { state.row.min(0) - 1 };
        let was = state.down;
        if state.row >= i64::from(self.health.successes) {
            state.down = false;
        } else if -state.row >= i64::from(self.health.failures) {
            state.down = true;
        }
        if was != state.down {
            tracing::warn!(address = replica.address, down = state.down, "the health of a replica has changed");
        }
    }
}

impl Replica {
    fn new(backend: &Backend) -> Arc<Self> {
        Arc::new(Self {
            address: backend.address.clone(),
            pool: Pool::default(),
            open: AtomicUsize::new(0),
            state: Mutex::default(),
        })
    }

    /// Keeps a connection for the next request, as soon as it can take one.
    pub(super) fn give_back(self: Arc<Self>, mut connection: SendRequest<Upload>, env: &SharedRuntime) {
        if connection.is_ready() {
            return self.pool.put(connection, env.uptime());
        }
        let clock = Arc::clone(env);
        env.spawn(Box::pin(async move {
            if connection.ready().await.is_ok() {
                self.pool.put(connection, clock.uptime());
            }
        }));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pauses(&self, now: Duration) -> bool {
        self.state().paused.is_some_and(|until| now < until)
    }
}

/// A replica that has one more open request as long as this lives.
#[derive(Debug)]
pub(super) struct Lease(pub(super) Arc<Replica>);

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lepton_core::SystemRuntime;

    fn sides(health: Health) -> Sides {
        let sides = Sides::new(SystemRuntime::shared(), health);
        sides.set(Side::A, &[Backend::new("1", "one:1"), Backend::new("2", "two:2")]);
        sides
    }

    fn chosen(sides: &Sides) -> Option<String> {
        sides.choose(Side::A, &[]).map(|lease| lease.0.address.clone())
    }

    #[tokio::test]
    async fn the_replica_with_the_fewest_requests_is_chosen() {
        let sides = sides(Health::default());
        let first = sides.choose(Side::A, &[]).unwrap();
        for _ in 0..5 {
            let other = sides.choose(Side::A, &[]).unwrap();
            assert_ne!(other.0.address, first.0.address);
        }
        let both = [Arc::clone(&first.0), sides.choose(Side::A, &[]).unwrap().0.clone()];
        assert!(sides.choose(Side::A, &both).is_none(), "both were tried");
        assert!(sides.choose(Side::B, &[]).is_none(), "side B has none");
    }

    #[tokio::test]
    async fn a_replica_that_fails_pauses_unless_it_is_the_last() {
        let sides = sides(Health { passive_failures: 2, ..Health::default() });
        let [one, two] = &sides.all(Side::A)[..] else { panic!("two replicas") };
        sides.failed(one);
        sides.failed(one);
        assert!((0..4).all(|_| chosen(&sides).unwrap() == "two:2"));
        sides.record_check(two, false);
        assert!((0..4).all(|_| chosen(&sides).unwrap() == "two:2"), "one failure is not enough");
        sides.record_check(two, false);
        sides.record_check(two, false);
        assert!((0..4).all(|_| chosen(&sides).unwrap() == "one:1"), "one that pauses before one that is down");
        sides.record_check(two, true);
        sides.worked(one);
        assert!((0..8).any(|_| chosen(&sides).unwrap() == "two:2"));
    }
}
