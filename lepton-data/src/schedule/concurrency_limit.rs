//! A concurrency limit: it decides from observations how many units of work may be in flight.
//! It has no clock and no tasks of its own.
//!
//! The limit opens quickly as long as units do not queue, rises as long as more concurrency
//! increases the throughput, and stays when it does not. If a store throttles, the limit is
//! cut immediately, returns to its former value along a cubic curve, and then rises slowly
//! beyond it.

use std::time::Duration;

/// The smallest adaptive limit, however much a store throttles.
pub(crate) const FLOOR: usize = 4;

/// The initial limit, before any observation.
pub(crate) const START: usize = 16;

/// The initial limit for parts: more in flight evict each other from the processor's cache.
pub(crate) const START_LARGE: usize = FLOOR;

/// The shortest observation before a conclusion. A window also needs at least as many units
/// as the limit.
const WINDOW: Duration = Duration::from_millis(250);

/// The growth of throughput that a doubling must bring to be followed by another.
const DOUBLING_PAYS: f64 = 1.25;

/// The same while the limit opens, where a round is short and less reliable.
const OPENING_PAYS: f64 = 4.0 / 3.0;

/// The factor of one step up or down.
const STEP: f64 = 1.25;

/// The share of a step up by which the throughput must grow.
const WORTH: f64 = 0.4;

/// The loss of throughput that is acceptable for the shorter waits of a step down.
const LOSS: f64 = 0.03;

/// If units take this many times their shortest time, they are queueing.
const QUEUEING: f64 = 1.5;

/// The share of a limit that remains after the store throttled.
const CUT: f64 = 0.7;

/// The steepness of the cubic curve, in slots per second cubed.
const CUBIC: f64 = 0.4;

/// The factor beyond the ceiling at which the ceiling is forgotten.
const FORGOTTEN: f64 = 1.25;

/// The number of windows between two attempts to find a better limit; it doubles with each
/// failed attempt.
const PATIENCE: u32 = 2;
const MOST_PATIENCE: u32 = 16;

/// The number of slots that `running` units occupy. The `backing_off` ones among them wait for a
/// retry and keep a quarter of their slots. If they kept their whole slots, a fast store with
/// a low rate limit would be idle while all units wait; if they kept none, as many requests
/// would be refused as without a limit.
pub(crate) fn occupied(running: usize, backing_off: usize) -> usize {
    running.saturating_sub(backing_off * 3 / 4)
}

/// A unit of work that has ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unit {
    /// The work done, in any additive measure.
    pub(crate) work: u64,
    /// How long it took. `None` if it was retried, because its time is then meaningless.
    pub(crate) took: Option<Duration>,
    /// The number of units in flight, including this one.
    pub(crate) running: usize,
}

/// One concurrency limit.
#[derive(Debug)]
pub(crate) struct ConcurrencyLimit {
    start: usize,
    least: f64,
    most: f64,
    limit: f64,
    opening: Option<Opening>,
    phase: Phase,
    window: Window,
    /// The observation at the current best limit, to which trials are compared.
    known: Option<Seen>,
    /// The shortest average time of a unit in any window.
    shortest: f64,
    patience: u32,
    ceiling: Option<Ceiling>,
    /// The time of the last cut.
    cut: Option<Duration>,
}

/// The opening phase. The limit rises by one for each unit that ends, so that it doubles
/// within the time of one unit, as long as the throughput grows.
#[derive(Debug, Clone, Copy)]
struct Opening {
    /// The limit when the round began. The round ends after this many units.
    round: usize,
    /// The seconds that a unit of the previous round took, started under half the limit.
    before: Option<f64>,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    /// The limit doubles as long as the throughput grows.
    Doubling,
    /// The limit stays for this many windows.
    Resting(u32),
    /// A higher or lower limit is tried.
    Trying { from: f64 },
}

/// A limit at which the store throttled.
#[derive(Debug, Clone, Copy)]
struct Ceiling {
    at: f64,
    since: Duration,
    /// The seconds from the cut until the limit is back at the ceiling.
    back: f64,
}

impl Ceiling {
    fn limit(&self, now: Duration) -> f64 {
        let beyond = now.saturating_sub(self.since).as_secs_f64() - self.back;
        self.at + CUBIC * beyond.powi(3)
    }
}

/// The window that is being observed.
#[derive(Debug, Default)]
struct Window {
    /// When the unit before the first one of the window ended; `None` if none has ended.
    begun: Option<Duration>,
    /// The number of units to ignore, because they were started under another limit.
    skip: usize,
    ended: usize,
    work: f64,
    took: f64,
    timed: u32,
    /// The most units in flight.
    peak: usize,
}

/// The observation of a window.
#[derive(Debug, Clone, Copy)]
struct Seen {
    limit: f64,
    /// Work per second.
    rate: f64,
    /// Seconds per unit; `None` if all were retried.
    took: Option<f64>,
}

impl ConcurrencyLimit {
    /// A limit that adapts, from `start` on, up to `most`.
    pub(crate) fn adaptive(start: usize, most: usize) -> Self {
        Self::between(FLOOR.min(most), start.min(most), most)
    }

    /// A limit that never changes.
    pub(crate) fn fixed(limit: usize) -> Self {
        Self::between(limit, limit, limit)
    }

    #[allow(clippy::cast_precision_loss, reason = "limits are small")]
    fn between(least: usize, start: usize, most: usize) -> Self {
        Self {
            start,
            least: least as f64,
            most: most as f64,
            limit: start as f64,
            opening: Some(Opening { round: start, before: None }),
            phase: Phase::Doubling,
            window: Window::default(),
            known: None,
            shortest: f64::INFINITY,
            patience: PATIENCE,
            ceiling: None,
            cut: None,
        }
    }

    /// How many units may be in flight.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it lies between two numbers of places")]
    pub(crate) fn limit(&self) -> usize {
        self.limit as usize
    }

    /// Records a unit that succeeded.
    pub(crate) fn ended(&mut self, now: Duration, unit: Unit) {
        if self.least >= self.most {
            return;
        }
        if self.come_back(now, unit.running) {
            return;
        }
        if let Some(opening) = self.opening {
            self.open(now, unit, opening);
            return;
        }
        self.window.peak = self.window.peak.max(unit.running);
        if self.window.skip > 0 {
            self.window.skip -= 1;
            self.window.begun = Some(now);
            return;
        }
        let Some(begun) = self.window.begun else {
            self.window.begun = Some(now);
            return;
        };
        self.window.add(unit);
        let looked = now.saturating_sub(begun);
        if looked < WINDOW || self.window.ended < self.limit() {
            return;
        }
        let window = std::mem::replace(&mut self.window, Window::new(now));
        let seen = window.seen(self.limit, looked);
        // If something else limited the units, the observation is not of this limit.
        if window.peak >= self.limit() { self.conclude(seen, unit.running) } else { self.rest(self.tried_from()) }
    }

    /// Records that the store throttled a request sent at `asked`, while `running` units were
    /// in flight.
    ///
    /// A burst counts once: responses to requests sent before the last cut, or within a window
    /// after it, are ignored.
    #[allow(clippy::cast_precision_loss, reason = "limits are small")]
    pub(crate) fn throttled(&mut self, now: Duration, asked: Duration, running: usize) {
        if self.least >= self.most || self.cut.is_some_and(|cut| asked <= cut || now < cut.saturating_add(WINDOW)) {
            return;
        }
        // Units that ended while the limit opened were started when it was half of its value.
        let known = if self.opening.take().is_some() { self.start.max(running / 2).min(running) } else { running };
        let at = self.limit.min(known as f64).max(self.least);
        self.limit = (at * CUT).max(self.least);
        self.ceiling = Some(Ceiling { at, since: now, back: ((at - self.limit) / CUBIC).cbrt() });
        self.cut = Some(now);
        self.phase = Phase::Resting(0);
        self.patience = PATIENCE;
        self.known = None;
        self.window = Window::new(now);
    }

    /// Records a unit while the limit opens.
    #[allow(clippy::cast_precision_loss, reason = "limits are small")]
    fn open(&mut self, now: Duration, unit: Unit, opening: Opening) {
        if unit.running < self.limit() {
            return;
        }
        self.window.add(unit);
        self.limit = (self.limit + 1.0).min(self.most);
        if self.window.ended < opening.round {
            return;
        }
        let took = std::mem::replace(&mut self.window, Window::new(now)).took();
        self.shortest = self.shortest.min(took.unwrap_or(f64::INFINITY));
        let waits = opening.before.is_some_and(|before| took.is_some_and(|took| took * OPENING_PAYS > before * 2.0));
        let before = took.or(opening.before);
        self.opening = (!waits && self.limit < self.most).then_some(Opening { round: self.limit(), before });
        if waits {
            // The units that have ended were started a round ago.
            self.go_to((opening.round / 2).max(self.start) as f64, unit.running);
        } else if self.opening.is_none() {
            self.window.skip = unit.running;
        }
    }

    /// Raises the limit after a cut, back to the ceiling and slowly beyond; `false` if there
    /// is no ceiling.
    #[allow(clippy::cast_precision_loss, reason = "limits are small")]
    fn come_back(&mut self, now: Duration, running: usize) -> bool {
        let Some(ceiling) = self.ceiling else { return false };
        if running >= self.limit() {
            // Rise in steps of one, so that few requests are refused if it is too much again.
            let next = ceiling.limit(now).min(self.limit + 1.0).min(self.most);
            self.limit = self.limit.max(next);
        }
        let forgotten = self.limit >= (ceiling.at * FORGOTTEN).min(self.most);
        if forgotten {
            self.ceiling = None;
            self.phase = Phase::Doubling;
            self.window = Window::new(now);
        }
        true
    }

    /// Acts on the observation of a window at the limit.
    fn conclude(&mut self, seen: Seen, running: usize) {
        let took = seen.took.unwrap_or(f64::INFINITY);
        self.shortest = self.shortest.min(took);
        let Some(known) = self.known else {
            return match self.phase {
                Phase::Doubling => self.pays(seen, 2.0, running),
                _ => self.known = Some(seen),
            };
        };
        match self.phase {
            Phase::Doubling if seen.rate >= known.rate * DOUBLING_PAYS => self.pays(seen, 2.0, running),
            Phase::Doubling => self.does_not_pay(known.limit, running),
            Phase::Trying { .. } if seen.limit > known.limit => {
                let due = 1.0 + WORTH * (seen.limit / known.limit - 1.0);
                if seen.rate >= known.rate * due {
                    self.patience = PATIENCE;
                    self.pays(seen, STEP, running);
                } else {
                    self.does_not_pay(known.limit, running);
                }
            }
            Phase::Trying { .. } => {
                let shorter = known.took.is_some_and(|before| took < before);
                if seen.rate >= known.rate * (1.0 - LOSS) && shorter {
                    // The known rate stays, so that the losses of many steps do not add up.
                    self.known = Some(Seen { rate: known.rate, ..seen });
                    self.phase = Phase::Resting(PATIENCE);
                } else {
                    self.does_not_pay(known.limit, running);
                }
            }
            Phase::Resting(windows) => self.look_around(known.with(seen), windows, running),
        }
    }

    /// Rests, and then tries another limit: a lower one if units are queueing, otherwise a
    /// higher one.
    fn look_around(&mut self, known: Seen, windows: u32, running: usize) {
        self.known = Some(known);
        if windows > 0 {
            self.phase = Phase::Resting(windows - 1);
            return;
        }
        let queueing = known.took.is_some_and(|took| took > self.shortest * QUEUEING);
        // The store may have become permanently slower.
        self.shortest *= 1.01;
        let bound = if queueing { self.least } else { self.most };
        if self.limit == bound {
            self.phase = Phase::Resting(self.patience);
            return;
        }
        self.phase = Phase::Trying { from: self.limit };
        self.go_to(if queueing { self.limit / STEP } else { self.limit * STEP }, running);
    }

    /// Keeps the limit that was tried, which is better than the known one, and tries the next.
    fn pays(&mut self, seen: Seen, step: f64, running: usize) {
        self.known = Some(seen);
        let next = (self.limit * step).min(self.most);
        if next <= self.limit {
            self.phase = Phase::Resting(self.patience);
            return;
        }
        if !matches!(self.phase, Phase::Doubling) {
            self.phase = Phase::Trying { from: self.limit };
        }
        self.go_to(next, running);
    }

    /// Returns to the known limit, for longer than the last time.
    fn does_not_pay(&mut self, from: f64, running: usize) {
        self.phase = Phase::Resting(self.patience);
        self.patience = (self.patience * 2).min(MOST_PATIENCE);
        self.go_to(from, running);
    }

    fn go_to(&mut self, limit: f64, running: usize) {
        let whole = if limit > self.limit { limit.ceil() } else { limit.floor() };
        self.limit = whole.clamp(self.least, self.most);
        self.window.skip = running;
    }

    fn tried_from(&self) -> Option<f64> {
        if let Phase::Trying { from } = self.phase { Some(from) } else { None }
    }

    /// Gives up a trial, if there is one.
    fn rest(&mut self, from: Option<f64>) {
        if let Some(from) = from {
            self.limit = from;
            self.phase = Phase::Resting(self.patience);
        }
    }
}

impl Window {
    fn new(begun: Duration) -> Self {
        Self { begun: Some(begun), ..Self::default() }
    }

    #[allow(clippy::cast_precision_loss, reason = "a measure need not be exact")]
    fn add(&mut self, unit: Unit) {
        self.ended += 1;
        self.work += unit.work as f64;
        if let Some(took) = unit.took {
            self.took += took.as_secs_f64();
            self.timed += 1;
        }
    }

    fn took(&self) -> Option<f64> {
        (self.timed > 0).then(|| self.took / f64::from(self.timed))
    }

    fn seen(&self, limit: f64, looked: Duration) -> Seen {
        Seen { limit, rate: self.work / looked.as_secs_f64(), took: self.took() }
    }
}

impl Seen {
    /// The known observation after one more window at the same limit.
    fn with(self, seen: Seen) -> Self {
        let both = |old: f64, new: f64| old + (new - old) * 0.3;
        let took = match (self.took, seen.took) {
            (Some(old), Some(new)) => Some(both(old, new)),
            (old, new) => new.or(old),
        };
        Self { limit: seen.limit, rate: both(self.rate, seen.rate), took }
    }
}

#[cfg(test)]
mod tests;
