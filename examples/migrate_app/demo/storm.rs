//! The moments at which the driver and the router are killed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::random::Numbers;

/// The events of the way there and of the way back after which a kill can be.
const THERE: &[&str] = &[
    "approved",
    "approved",
    "copied",
    "caught_up",
    "deployed",
    "tests_passed",
    "cut_over",
    "held",
    "drained",
    "quiesced",
    "verdict",
    "allowed",
    "register",
];
const BACK: &[&str] = &["rollback", "held", "drained", "quiesced", "verdict", "allowed", "register"];

/// The longest time between an event and a kill, in milliseconds.
const LATEST: u64 = 400;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Driver,
    Router,
}

/// A kill after an event.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) target: Target,
    pub(super) after: &'static str,
    delay: Duration,
}

/// The kills of one direction that are still to come.
#[derive(Debug)]
pub(super) struct Storm {
    moments: Vec<Moment>,
    /// When each event was seen first.
    seen: BTreeMap<&'static str, Instant>,
    last: Instant,
}

impl Storm {
    /// One kill of the driver while it copies.
    pub(super) fn usual() -> Self {
        let moment = Moment { target: Target::Driver, after: "approved", delay: Duration::from_millis(400) };
        Self { moments: vec![moment], seen: BTreeMap::new(), last: Instant::now() }
    }

    pub(super) fn new(numbers: &mut Numbers, back: bool, driver: usize, router: usize) -> Self {
        let events = if back { BACK } else { THERE };
        let targets = std::iter::repeat_n(Target::Driver, driver).chain(std::iter::repeat_n(Target::Router, router));
        let moments = targets.map(|target| {
            let event = numbers.below(events.len() as u64);
            let after = usize::try_from(event).ok().and_then(|event| events.get(event)).copied().unwrap_or_default();
            // Half of them follow their event at once.
            let latest = if numbers.below(2) == 0 { LATEST / 20 } else { LATEST };
            Moment { target, after, delay: Duration::from_millis(numbers.below(latest)) }
        });
        Self { moments: moments.collect(), seen: BTreeMap::new(), last: Instant::now() }
    }

    pub(super) fn saw(&mut self, event: &'static str) {
        self.seen.entry(event).or_insert_with(Instant::now);
    }

    /// A kill whose moment has come.
    pub(super) fn due(&mut self) -> Option<Moment> {
        let now = Instant::now();
        let due = |moment: &Moment| {
            let seen = self.seen.get(moment.after);
            seen.is_some_and(|seen| now >= self.last.max(*seen) + moment.delay)
        };
        let place = self.moments.iter().position(due)?;
        self.last = now;
        Some(self.moments.swap_remove(place))
    }

    /// Adds kills of the way there whose event did not come, at the beginning of the way back.
    pub(super) fn add(&mut self, missed: Vec<Moment>) {
        self.moments.extend(missed.into_iter().map(|moment| Moment { after: BACK[0], ..moment }));
    }

    /// The kills whose moment has not come.
    pub(super) fn rest(&mut self) -> Vec<Moment> {
        std::mem::take(&mut self.moments)
    }
}

impl Moment {
    pub(super) fn delay(&self) -> Duration {
        self.delay
    }
}
