//! Which of the users' reads side B gets a copy of.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use lepton_core::{Error, Result};
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Copies of the users' `GET` requests that side B gets while side A owns the writes and no fence
/// has begun. Users do not wait for them, and their answers are discarded; they are counted as tests
/// of side B, and those that fail or have a status of 500 and above as its errors. A request for
/// which a route says that it writes is never copied.
///
/// A copy has the cookies and the credentials of its user, and the header `x-lepton-shadow: 1`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Shadow {
    /// How many of a hundred reads are copied, from 1 to 100.
    pub percent: u32,
    /// The most copies that are open at a time; a read that finds no place is not copied.
    pub open: usize,
}

impl Default for Shadow {
    fn default() -> Self {
        Self { percent: 100, open: 64 }
    }
}

impl Shadow {
    /// Copies of this many of a hundred reads.
    pub fn new(percent: u32) -> Self {
        Self { percent, ..Self::default() }
    }

    pub(super) fn check(&self) -> Result<()> {
        if !(1..=100).contains(&self.percent) {
            return Err(Error::invalid_input("shadow.percent is between 1 and 100"));
        }
        if !(1..=10_000).contains(&self.open) {
            return Err(Error::invalid_input("shadow.open is between 1 and 10000"));
        }
        Ok(())
    }
}

/// Which reads are copied.
#[derive(Debug)]
pub(super) struct Shadows {
    percent: u32,
    /// The reads so far.
    reads: AtomicU32,
    /// Places for copies that are open.
    places: Arc<Semaphore>,
}

impl Shadows {
    pub(super) fn new(settings: Option<&Shadow>) -> Self {
        let (percent, open) = settings.map_or((0, 0), |shadow| (shadow.percent, shadow.open));
        Self { percent, reads: AtomicU32::new(0), places: Arc::new(Semaphore::new(open)) }
    }

    /// A place for a copy of the next read, if it is one of those to copy.
    pub(super) fn place(&self) -> Option<OwnedSemaphorePermit> {
        if self.percent == 0 || !self.next() {
            return None;
        }
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// Whether the next read is one of those to copy.
    fn next(&self) -> bool {
        let number = self.reads.fetch_add(1, Ordering::Relaxed) % 100;
        // Spread evenly over each hundred.
        (number * self.percent) % 100 + self.percent >= 100
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hundred_reads_have_their_share_spread_evenly() {
        for percent in [0, 1, 10, 33, 50, 99, 100] {
            let shadows = Shadows::new(Some(&Shadow { percent, open: 1 }));
            let copied: Vec<bool> = (0..300).map(|_| shadows.next()).collect();
            for hundred in copied.chunks(100) {
                assert_eq!(hundred.iter().filter(|copied| **copied).count(), percent as usize);
            }
            if percent == 50 {
                assert!(copied.windows(2).all(|pair| pair[0] != pair[1]), "{copied:?}");
            }
        }
    }
}
