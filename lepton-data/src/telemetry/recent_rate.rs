//! The rate of the last seconds.

use std::collections::VecDeque;
use std::time::Duration;

/// The time that the rate covers.
const SPAN: Duration = Duration::from_secs(10);
/// The least time between two samples.
const EVERY: Duration = Duration::from_millis(250);

/// Samples of a growing number, taken whenever the rate is asked for.
#[derive(Debug, Default)]
pub(crate) struct RecentRate(VecDeque<(Duration, u64)>);

impl RecentRate {
    /// The growth per second up to now, at which the number is `count`. Time starts at zero, and
    /// so does the number.
    pub(crate) fn at(&mut self, now: Duration, count: u64) -> f64 {
        if self.0.is_empty() {
            self.0.push_back((Duration::ZERO, 0));
        }
        // The oldest sample that remains is the last one that is at least as old as the span.
        while self.0.get(1).is_some_and(|(taken, _)| now.saturating_sub(*taken) >= SPAN) {
            self.0.pop_front();
        }
        let (begin, before) = self.0.front().copied().unwrap_or_default();
        if self.0.back().is_some_and(|(taken, _)| now.saturating_sub(*taken) >= EVERY) {
            self.0.push_back((now, count));
        }
        #[allow(clippy::cast_precision_loss, reason = "a rate for people")]
        let grown = count.saturating_sub(before) as f64;
        grown / now.saturating_sub(begin).as_secs_f64().max(1e-3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(rate: f64, expected: f64) {
        assert!((rate - expected).abs() <= expected * 0.11 + 0.01, "{rate}, not {expected}");
    }

    #[test]
    fn it_forgets_what_is_long_ago() {
        let mut rate = RecentRate::default();
        let second = Duration::from_secs;
        for now in 1..=30 {
            close(rate.at(second(now), now * 100), 100.0);
        }
        for now in 31..=40 {
            rate.at(second(now), 3000);
        }
        close(rate.at(second(41), 3000), 0.0);
        // A caller that asks rarely gets the rate since it asked before.
        close(rate.at(second(141), 103_000), 1000.0);
    }

    #[test]
    fn samples_are_bounded() {
        let mut rate = RecentRate::default();
        for now in 0..100_000 {
            rate.at(Duration::from_millis(now), now);
        }
        assert!(rate.0.len() <= 42, "{}", rate.0.len());
    }
}
