//! The law of one limit: from what was seen to how many units of work may be on their
//! way at once. It has no clock and no tasks of its own.
//!
//! It opens quickly as long as nothing waits, climbs as long as more at once gets more
//! done, and stays where it does not. It gives way at once to a store that asks for less,
//! comes back to where that was along a cubic curve, and goes beyond it slowly.

use std::time::Duration;

/// The least that a store is pushed down to, whatever it answers.
pub(crate) const FLOOR: usize = 4;

/// Where a limit begins, before anything was seen.
pub(crate) const START: usize = 16;

/// The same for parts: more of them at once push each other out of the processor's cache.
pub(crate) const START_LARGE: usize = FLOOR;

/// How long is looked at least before anything is concluded, and for at least one
/// unit for each place.
const WINDOW: Duration = Duration::from_millis(250);

/// How much more must get done for a doubling to be followed by another.
const DOUBLING_PAYS: f64 = 1.25;

/// The same while the limit opens, where a round is short and shows less surely what it is.
const OPENING_PAYS: f64 = 4.0 / 3.0;

/// One step up, and down.
const STEP: f64 = 1.25;

/// The share of a step up that must show in what gets done.
const WORTH: f64 = 0.4;

/// What may be lost by a step down, which is worth its shorter waits.
const LOSS: f64 = 0.03;

/// Units that take so many times as long as they did are waiting for each other.
const QUEUEING: f64 = 1.5;

/// What is left of a limit that was too much for the store.
const CUT: f64 = 0.7;

/// How steep the way back is, in places for each second cubed.
const CUBIC: f64 = 0.4;

/// How far beyond the limit that was too much it is no longer taken for the limit.
const FORGOTTEN: f64 = 1.25;

/// Windows between two attempts to find a better limit: doubled each time that one
/// finds none.
const PATIENCE: u32 = 2;
const MOST_PATIENCE: u32 = 16;

/// How many places are taken by `running` units of which `resting` wait to be tried
/// again: those keep a quarter of theirs. Did they keep all, a store that is quick and
/// allows little would stand idle while all wait; did they keep none, as many would be
/// refused as without a limit.
pub(crate) fn occupied(running: usize, resting: usize) -> usize {
    running.saturating_sub(resting * 3 / 4)
}

/// A unit of work that came to its end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unit {
    /// What got done, in any measure that adds up.
    pub(crate) work: u64,
    /// How long it took. `None` if it was tried again: its time tells nothing.
    pub(crate) took: Option<Duration>,
    /// How many were on their way, it included.
    pub(crate) running: usize,
}

/// One limit.
#[derive(Debug)]
pub(crate) struct ConcurrencyLimit {
    start: usize,
    least: f64,
    most: f64,
    limit: f64,
    opening: Option<Opening>,
    phase: Phase,
    window: Window,
    /// What was seen at the limit to which those that are tried are compared.
    known: Option<Seen>,
    /// The shortest time of a unit, on the average of a window.
    shortest: f64,
    patience: u32,
    ceiling: Option<Ceiling>,
    /// When a refusal was acted upon last.
    cut: Option<Duration>,
}

/// The limit goes up by one for each unit that ends, so that it doubles within the time
/// of one, as long as that pays.
#[derive(Debug, Clone, Copy)]
struct Opening {
    /// The limit when the round began that ends with so many units.
    round: usize,
    /// Seconds that a unit of the round before took, begun under half the limit.
    before: Option<f64>,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    /// Twice as much, as long as it pays.
    Doubling,
    /// The limit stays for so many windows.
    Resting(u32),
    /// More, or less, is tried.
    Trying { from: f64 },
}

/// A limit that was too much for the store.
#[derive(Debug, Clone, Copy)]
struct Ceiling {
    at: f64,
    since: Duration,
    /// Seconds from the cut back to it.
    back: f64,
}

impl Ceiling {
    fn limit(&self, now: Duration) -> f64 {
        let beyond = now.saturating_sub(self.since).as_secs_f64() - self.back;
        self.at + CUBIC * beyond.powi(3)
    }
}

/// What is being looked at.
#[derive(Debug, Default)]
struct Window {
    /// When the unit before the first one ended; `None` if none has.
    begun: Option<Duration>,
    /// Units that were begun under another limit: they are let pass.
    skip: usize,
    ended: usize,
    work: f64,
    took: f64,
    timed: u32,
    /// The most that were on their way.
    peak: usize,
}

/// What a window showed.
#[derive(Debug, Clone, Copy)]
struct Seen {
    limit: f64,
    /// Work a second.
    rate: f64,
    /// Seconds for a unit; none if all were tried again.
    took: Option<f64>,
}

impl ConcurrencyLimit {
    /// A limit that is found, from `start` on, of at most `most`.
    pub(crate) fn adaptive(start: usize, most: usize) -> Self {
        Self::between(FLOOR.min(most), start.min(most), most)
    }

    /// A limit that stays as it is.
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

    /// How many may be on their way at once.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it lies between two numbers of places")]
    pub(crate) fn limit(&self) -> usize {
        self.limit as usize
    }

    /// Takes in a unit that came to a good end.
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
        // Where something else held them back, this limit is not what was seen.
        if window.peak >= self.limit() { self.conclude(seen, unit.running) } else { self.rest(self.tried_from()) }
    }

    /// Takes in that the store asked for less, in answer to a request of the time
    /// `asked`, while so many were on their way.
    ///
    /// A burst counts once: what was asked before the last cut has nothing new to say,
    /// nor has what comes within a window of it.
    #[allow(clippy::cast_precision_loss, reason = "limits are small")]
    pub(crate) fn throttled(&mut self, now: Duration, asked: Duration, running: usize) {
        if self.least >= self.most || self.cut.is_some_and(|cut| asked <= cut || now < cut.saturating_add(WINDOW)) {
            return;
        }
        // What ended while the limit opened was begun when it was half of what it is.
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

    /// Takes in a unit while the limit opens.
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
            // What has ended was begun a round ago.
            self.go_to((opening.round / 2).max(self.start) as f64, unit.running);
        } else if self.opening.is_none() {
            self.window.skip = unit.running;
        }
    }

    /// The way back after a cut, and slowly beyond; `false` where there was none, or it
    /// is over.
    #[allow(clippy::cast_precision_loss, reason = "limits are small")]
    fn come_back(&mut self, now: Duration, running: usize) -> bool {
        let Some(ceiling) = self.ceiling else { return false };
        if running >= self.limit() {
            // One at a time, so that little is refused when it is too much again.
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

    /// Acts upon what a window showed at the limit.
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
                    // What was known stays: losses of many steps shall not add up.
                    self.known = Some(Seen { rate: known.rate, ..seen });
                    self.phase = Phase::Resting(PATIENCE);
                } else {
                    self.does_not_pay(known.limit, running);
                }
            }
            Phase::Resting(windows) => self.look_around(known.with(seen), windows, running),
        }
    }

    /// Rests, and then tries what is next: less where units wait for each other, else
    /// more.
    fn look_around(&mut self, known: Seen, windows: u32, running: usize) {
        self.known = Some(known);
        if windows > 0 {
            self.phase = Phase::Resting(windows - 1);
            return;
        }
        let queueing = known.took.is_some_and(|took| took > self.shortest * QUEUEING);
        // It may be that the store has become slower for good.
        self.shortest *= 1.01;
        let bound = if queueing { self.least } else { self.most };
        if self.limit == bound {
            self.phase = Phase::Resting(self.patience);
            return;
        }
        self.phase = Phase::Trying { from: self.limit };
        self.go_to(if queueing { self.limit / STEP } else { self.limit * STEP }, running);
    }

    /// The limit that was tried is better than what was known.
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

    /// Goes back to what was known, for longer than the last time.
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

    /// Gives up what was tried, if anything was.
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
    /// What is known after one more window at the same limit.
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
