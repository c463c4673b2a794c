//! A world without real time, threads or chance: the same for the same seed.

#[path = "../../../tests/support/random.rs"]
mod random;

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use lepton_core::Runtime;
pub use random::Random;
use tokio::runtime::Builder;
use tokio::time::Instant;

/// The one thread that everything of a life runs on. Time passes only when nothing
/// else is to be done.
pub fn runtime() -> tokio::runtime::Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

/// The clock and the chance of a world, for the stores and for every life of the
/// process.
#[derive(Debug)]
pub struct Simulated {
    /// When the life began: on the wall, and by the runtime.
    begun: Mutex<(SystemTime, Instant)>,
    random: Mutex<Random>,
}

impl Simulated {
    pub fn new(seed: u64) -> Arc<Self> {
        let begun = Mutex::new((SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000), Instant::now()));
        Arc::new(Self { begun, random: Mutex::new(Random::new(seed)) })
    }

    /// Begins a life, a while after the last one. To be called in its runtime.
    pub fn begin_life(&self, later: Duration) {
        let mut begun = self.begun.lock().unwrap();
        *begun = (begun.0 + later, Instant::now());
    }
}

#[allow(clippy::disallowed_methods, reason = "this stands in for the system")]
impl Runtime for Simulated {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        tokio::spawn(task);
    }

    /// Work that blocks takes a moment, and is then done at once.
    fn spawn_cpu(&self, work: Box<dyn FnOnce() + Send>) {
        let moment = Duration::from_micros(self.random.lock().unwrap().below(3000));
        tokio::spawn(async move {
            tokio::time::sleep(moment).await;
            work();
        });
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }

    fn now(&self) -> SystemTime {
        let (wall, begun) = *self.begun.lock().unwrap();
        wall + begun.elapsed()
    }

    fn uptime(&self) -> Duration {
        self.begun.lock().unwrap().1.elapsed()
    }

    fn random(&self) -> u64 {
        self.random.lock().unwrap().next()
    }
}
