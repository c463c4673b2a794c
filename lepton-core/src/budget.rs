//! The memory budget: a semaphore that counts bytes.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The granularity of the count in bytes, so that large budgets fit the semaphore.
const UNIT: u64 = 1024;

/// A byte-weighted semaphore that bounds what a run holds in memory.
///
/// Each unit of work acquires once, before it starts, and holds at most a quarter of
/// the budget, so some unit can always proceed and nothing can deadlock. Waiting
/// units are served in order.
#[derive(Debug, Clone)]
pub struct MemoryBudget {
    semaphore: Arc<Semaphore>,
    units: u32,
}

impl MemoryBudget {
    /// The default budget: 128 MiB.
    pub const DEFAULT: u64 = 128 << 20;

    /// A budget of this many bytes, at least 4 KiB.
    pub fn new(bytes: u64) -> Self {
        let limit = u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX);
        let units = u32::try_from(bytes / UNIT).unwrap_or(limit).clamp(4, limit);
        Self { semaphore: Arc::new(Semaphore::new(units as usize)), units }
    }

    /// The most that one unit of work can hold, in bytes: a quarter of the budget.
    pub fn largest(&self) -> u64 {
        u64::from(self.units / 4) * UNIT
    }

    /// The number of bytes that are free at the moment.
    pub fn available(&self) -> u64 {
        self.semaphore.available_permits() as u64 * UNIT
    }

    /// Waits for `bytes`, or for [`largest`](Self::largest) if that is less.
    ///
    /// Cancellation safe: dropping the future leaves the queue.
    pub async fn acquire(&self, bytes: u64) -> Permit {
        let units = self.units(bytes);
        // The semaphore is never closed. If it were, the work would run correctly, but unbounded.
        Permit { held: Arc::clone(&self.semaphore).acquire_many_owned(units).await.ok() }
    }

    /// Acquires `bytes`, or [`largest`](Self::largest) if that is less, if they are free
    /// at the moment.
    pub fn try_acquire(&self, bytes: u64) -> Option<Permit> {
        let held = Arc::clone(&self.semaphore).try_acquire_many_owned(self.units(bytes)).ok()?;
        Some(Permit { held: Some(held) })
    }

    fn units(&self, bytes: u64) -> u32 {
        let most = self.units / 4;
        u32::try_from(bytes.div_ceil(UNIT)).map_or(most, |units| units.min(most))
    }
}

/// A share of the budget, returned when dropped.
#[derive(Debug)]
pub struct Permit {
    held: Option<OwnedSemaphorePermit>,
}

impl Permit {
    /// The number of bytes held.
    pub fn bytes(&self) -> u64 {
        self.held.as_ref().map_or(0, |held| held.num_permits() as u64 * UNIT)
    }

    /// Splits a share off; `None` if less than that is held.
    pub fn split(&mut self, bytes: u64) -> Option<Permit> {
        let units = usize::try_from(bytes.div_ceil(UNIT)).ok()?;
        Some(Permit { held: Some(self.held.as_mut()?.split(units)?) })
    }

    /// Bytes that carry this permit and return it when the last of their clones and
    /// slices is dropped.
    pub fn attach(self, bytes: Vec<u8>) -> Bytes {
        struct Paid(Vec<u8>, #[allow(dead_code, reason = "held for its drop")] Permit);
        impl AsRef<[u8]> for Paid {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
        Bytes::from_owner(Paid(bytes, self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[tokio::test]
    async fn bytes_give_their_permit_back_with_the_last_slice() {
        let budget = MemoryBudget::new(1 << 20);
        let permit = budget.acquire(100_000).await;
        assert_eq!(permit.bytes(), 98 * 1024);
        let bytes = permit.attach(vec![1; 100_000]);
        let slice = bytes.slice(5..10);
        drop(bytes);
        assert_eq!(budget.available(), (1 << 20) - 98 * 1024);
        drop(slice);
        assert_eq!(budget.available(), 1 << 20);
    }

    #[tokio::test]
    async fn four_units_of_any_size_always_fit() {
        let budget = MemoryBudget::new(1 << 20);
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(budget.acquire(u64::MAX).await);
        }
        assert_eq!(budget.available(), 0);
        let mut fifth = Box::pin(budget.acquire(1));
        assert!(fifth.as_mut().now_or_never().is_none());
        assert!(budget.try_acquire(1).is_none());
        held.pop();
        assert_eq!(fifth.await.bytes(), 1024);
        assert_eq!(budget.try_acquire(1).map(|permit| permit.bytes()), Some(1024));
    }
}
