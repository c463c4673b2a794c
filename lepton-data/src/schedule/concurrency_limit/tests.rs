//! Tests the limit against simulated stores, on a clock that only the simulation advances.
//!
//! `docs/tuning.md` contains the results and must match them.
#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "test")]

use std::cmp::Reverse;

use std::collections::BinaryHeap;

use proptest::prelude::*;

use super::*;

const MOST: usize = 240;

/// The length of a simulated run, and the second from which its rate counts.
const SECONDS: usize = 30;
const FROM: usize = 3;

/// How long the S3 backend waits when a store throttles and does not state for how long.
const BACK_OFF: Duration = Duration::from_secs(1);

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Random numbers that are good enough for a simulation, and the same each time.
#[derive(Default)]
struct Dice(u64);

impl Dice {
    /// A time between half and one and a half times the mean.
    fn around(&mut self, mean: Duration) -> Duration {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        mean.mul_f64(0.5 + (self.0 >> 33) as f64 / (1u64 << 31) as f64)
    }
}

/// A store. It decides when it answers a request, and whether it serves it.
trait Store {
    fn answer(&mut self, now: Duration) -> (Duration, bool);
}

/// A store that serves a fixed number of requests concurrently, each for the service time; the
/// others wait.
struct Fast {
    free: BinaryHeap<Reverse<Duration>>,
    service: Duration,
    dice: Dice,
}

fn fast(at_once: usize, service: Duration) -> Box<dyn Store> {
    let free = std::iter::repeat_n(Reverse(Duration::ZERO), at_once).collect();
    Box::new(Fast { free, service, dice: Dice::default() })
}

impl Store for Fast {
    fn answer(&mut self, now: Duration) -> (Duration, bool) {
        let Reverse(free) = self.free.pop().unwrap();
        let done = free.max(now) + self.dice.around(self.service);
        self.free.push(Reverse(done));
        (done, true)
    }
}

/// A store that serves any number of requests concurrently, each after a delay, and immediately
/// refuses those above a rate per second.
struct Throttled {
    a_second: f64,
    /// The burst that is allowed: up to a tenth of the rate.
    tokens: f64,
    then: Duration,
    delay: Duration,
    dice: Dice,
}

fn throttled(a_second: f64, delay: Duration) -> Box<dyn Store> {
    Box::new(Throttled { a_second, tokens: a_second / 10.0, then: Duration::ZERO, delay, dice: Dice::default() })
}

impl Store for Throttled {
    fn answer(&mut self, now: Duration) -> (Duration, bool) {
        let gained = (now - self.then).as_secs_f64() * self.a_second;
        self.tokens = (self.tokens + gained).min(self.a_second / 10.0);
        self.then = now;
        if self.tokens < 1.0 {
            return (now + ms(5), false);
        }
        self.tokens -= 1.0;
        (now + self.dice.around(self.delay), true)
    }
}

/// A store that serves any number of requests concurrently, each after a delay; from some moment
/// on it refuses the next `refuses` requests.
struct Far {
    delay: Duration,
    refuses: usize,
    from: Duration,
    dice: Dice,
}

fn far(delay: Duration, refuses: usize, from: Duration) -> Box<dyn Store> {
    Box::new(Far { delay, refuses, from, dice: Dice::default() })
}

impl Store for Far {
    fn answer(&mut self, now: Duration) -> (Duration, bool) {
        let refused = now >= self.from && self.refuses > 0;
        self.refuses -= usize::from(refused);
        (now + self.dice.around(self.delay), !refused)
    }
}

/// The outcome of a run.
#[derive(Debug)]
struct Outcome {
    /// Units done in each second.
    done: Vec<usize>,
    /// The limit at the end of each second, and the least within it.
    limits: Vec<usize>,
    least: Vec<usize>,
    refused: usize,
}

impl Outcome {
    /// Units per second, once the limit has settled.
    fn rate(&self) -> f64 {
        self.done[FROM..].iter().sum::<usize>() as f64 / (SECONDS - FROM) as f64
    }
}

/// An event of a unit: its time, the unit's number, when the unit was started and when it was
/// last requested, and whether it is served; `None` when it is requested again.
type Event = (Duration, usize, Duration, Duration, Option<bool>);

/// Runs a limit against a store, with unlimited work. Units that wait for a retry keep a share
/// of their slots, as in the engine.
fn simulate(mut limit: ConcurrencyLimit, mut store: Box<dyn Store>) -> Outcome {
    let end = Duration::from_secs(SECONDS as u64);
    let mut seen =
        Outcome { done: vec![0; SECONDS], limits: vec![0; SECONDS], least: vec![usize::MAX; SECONDS], refused: 0 };
    let mut events: BinaryHeap<Reverse<Event>> = BinaryHeap::new();
    let (mut running, mut backing_off, mut number, mut now, mut dice) = (0, 0, 0, Duration::ZERO, Dice::default());
    loop {
        while running < limit.most as usize && occupied(running, backing_off) < limit.limit() {
            (running, number) = (running + 1, number + 1);
            let (then, served) = store.answer(now);
            events.push(Reverse((then, number, now, now, Some(served))));
        }
        let Reverse((then, unit, begun, asked, answer)) = events.pop().unwrap();
        if then >= end {
            return seen;
        }
        now = then;
        let second = now.as_secs() as usize;
        match answer {
            Some(true) => {
                seen.done[second] += 1;
                let took = (asked == begun).then(|| now - begun);
                limit.ended(now, Unit { work: 1, took, running: occupied(running, backing_off) });
                running -= 1;
            }
            Some(false) => {
                seen.refused += 1;
                limit.throttled(now, asked, occupied(running, backing_off));
                backing_off += 1;
                events.push(Reverse((now + BACK_OFF.max(dice.around(BACK_OFF)), unit, begun, asked, None)));
            }
            None => {
                backing_off -= 1;
                let (then, served) = store.answer(now);
                events.push(Reverse((then, unit, begun, now, Some(served))));
            }
        }
        seen.least[second] = seen.least[second].min(limit.limit());
        seen.limits[second] = limit.limit();
    }
}

/// The smallest fixed limit whose rate is within one per cent of the best, and the best rate.
fn best_fixed(store: &dyn Fn() -> Box<dyn Store>) -> (usize, f64) {
    let limits = (2..=64).step_by(2).chain((80..=MOST).step_by(16));
    let rates = limits.map(|limit| (limit, simulate(ConcurrencyLimit::fixed(limit), store()).rate()));
    let rates: Vec<_> = rates.collect();
    let best = rates.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
    let limit = rates.iter().find(|(_, rate)| *rate >= best * 0.99).unwrap().0;
    (limit, best)
}

/// Asserts that the book has this line.
fn told(line: &str) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/tuning.md");
    // The crate may be tested without the book.
    let Ok(book) = std::fs::read_to_string(path) else { return };
    assert!(book.lines().any(|told| told == line), "docs/tuning.md has not this line:\n{line}");
}

#[test]
fn each_kind_of_store_is_found_within_three_seconds() {
    type Make = fn() -> Box<dyn Store>;
    let stores: [(&str, Make, f64); 6] = [
        ("fast: 8 at a time, 4 ms each", || fast(8, ms(4)), 0.97),
        ("fast: 40 at a time, 20 ms each", || fast(40, ms(20)), 0.97),
        ("throttled: 1,000 a second, 50 ms each", || throttled(1000.0, ms(50)), 0.95),
        ("throttled: 300 a second, 40 ms each", || throttled(300.0, ms(40)), 0.93),
        ("throttled: 100 a second, 10 ms each", || throttled(100.0, ms(10)), 0.93),
        ("far: any number, 100 ms each", || far(ms(100), 0, ms(0)), 0.97),
    ];
    for (name, make, share) in stores {
        let (limit, best) = best_fixed(&make);
        let found = simulate(ConcurrencyLimit::adaptive(START, MOST), make());
        let most = simulate(ConcurrencyLimit::fixed(MOST), make());
        let mut limits = found.limits[FROM..].to_vec();
        limits.sort_unstable();
        let (rate, refused, at_most) = (found.rate(), found.refused, most.rate());
        let middle = limits[limits.len() / 2];
        let refused_at_most = most.refused;
        told(&format!(
            "| {name} | {limit} | {best:.0} | {middle} | {rate:.0} | {refused} | {at_most:.0} | {refused_at_most} |"
        ));
        assert!(rate >= best * share, "{name}: {found:?} instead of {best}");
        assert!(most.refused == 0 || refused * 3 < most.refused, "{name}: {found:?}");
    }
}

#[test]
fn where_nothing_waits_the_limit_is_reached_within_ten_round_trips() {
    let found = simulate(ConcurrencyLimit::adaptive(START, MOST), far(ms(100), 0, ms(0)));
    assert_eq!(found.limits[0], MOST, "{found:?}");
}

#[test]
fn a_burst_of_refusals_is_one_sign_and_is_overcome() {
    // A burst larger than the number in flight is refused in several rounds.
    for (most, burst, cuts) in [(64, 1, 1), (64, 64, 1), (256, 200, 1), (64, 200, 9)] {
        let found = simulate(ConcurrencyLimit::adaptive(START, most), far(ms(100), burst, Duration::from_secs(10)));
        let limits: Vec<String> = found.limits[9..17].iter().map(usize::to_string).collect();
        told(&format!(
            "| {burst}{} | {most} | {} |",
            if cuts > 1 { ", in four rounds" } else { "" },
            limits.join(", ")
        ));
        assert_eq!((found.limits[9], found.refused), (most, burst));
        let least = *found.least[10..].iter().min().unwrap();
        assert!(least as f64 >= (most as f64 * CUT.powi(cuts)).floor().max(FLOOR as f64), "{found:?}");
        assert_eq!(found.limits[16], most, "{found:?}");
        assert!(found.done[16] as f64 >= found.done[9] as f64 * 0.9, "{found:?}");
    }
}

#[test]
fn a_limit_that_something_else_holds_back_stays() {
    let mut limit = ConcurrencyLimit::adaptive(START, MOST);
    for i in 1..10_000 {
        limit.ended(ms(i), Unit { work: 1, took: Some(ms(3)), running: 3 });
    }
    assert_eq!(limit.limit(), START);
}

#[test]
fn a_fixed_limit_stays_whatever_comes() {
    let mut limit = ConcurrencyLimit::fixed(7);
    for i in 1..10_000 {
        limit.ended(ms(i), Unit { work: i, took: Some(ms(i)), running: 7 });
        limit.throttled(ms(i), ms(i), 7);
    }
    assert_eq!(limit.limit(), 7);
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Ended { after: u64, work: u64, took: Option<u64>, running: usize },
    Throttled { after: u64, asked: u64, running: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let after = || prop_oneof![0..5u64, 0..2_000u64, any::<u32>().prop_map(u64::from)];
    let running = || prop_oneof![0..100usize, any::<usize>()];
    prop_oneof![
        8 => (after(), any::<u64>(), any::<Option<u32>>(), running()).prop_map(|(after, work, took, running)| {
            Step::Ended { after, work, took: took.map(u64::from), running }
        }),
        1 => (after(), any::<u32>(), running())
            .prop_map(|(after, asked, running)| Step::Throttled { after, asked: asked.into(), running }),
    ]
}

proptest! {
    #[test]
    fn whatever_comes_the_limit_stays_between_its_bounds(
        most in 1..300usize,
        steps in proptest::collection::vec(step(), 1..600),
    ) {
        let mut limit = ConcurrencyLimit::adaptive(START, most);
        let mut now = Duration::ZERO;
        for step in steps {
            match step {
                Step::Ended { after, work, took, running } => {
                    now = now.saturating_add(ms(after));
                    limit.ended(now, Unit { work, took: took.map(ms), running });
                }
                Step::Throttled { after, asked, running } => {
                    now = now.saturating_add(ms(after));
                    limit.throttled(now, ms(asked), running);
                }
            }
            prop_assert!(limit.limit() >= FLOOR.min(most) && limit.limit() <= most, "{limit:?}");
        }
    }
}
