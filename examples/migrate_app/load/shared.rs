//! The ledger of all users, and the names of their items.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::ledger::Ledger;

pub(super) type Shared = Arc<Mutex<Ledger>>;

pub(super) fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The name of an item that is written again and again. After a write without an answer its place
/// is taken by another item.
#[derive(Debug)]
pub(super) struct Items {
    prefix: String,
    generations: Vec<u64>,
}

impl Items {
    pub(super) fn new(prefix: impl Into<String>, count: usize) -> Self {
        Self { prefix: prefix.into(), generations: vec![0; count] }
    }

    fn place(&self, number: u64) -> usize {
        usize::try_from(number).unwrap_or_default() % self.generations.len()
    }

    pub(super) fn name(&self, number: u64) -> String {
        let place = self.place(number);
        format!("{}-{place}.{}", self.prefix, self.generations[place])
    }

    pub(super) fn leave(&mut self, number: u64) {
        let place = self.place(number);
        self.generations[place] += 1;
    }
}
