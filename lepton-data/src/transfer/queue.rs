//! Objects that were found and not yet started, small and large ones in separate queues:
//! a long row of one kind does not delay the other kind after it.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::apply::outcome::Earlier;
use crate::schedule::lanes::Lane;
use crate::schedule::scheduler::Scheduler;
use crate::types::entry::Entry;

/// Objects in flight per slot: enough that a slot never waits for the next object.
const OBJECTS_PER_SLOT: usize = 2;

/// Objects of one kind that may wait while the other kind is looked for. This bounds
/// their memory.
const AHEAD: usize = 1000;

/// An object that may be started.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) entry: Box<Entry>,
    pub(crate) earlier: Earlier,
    /// Its number in the tracker, if it comes in listing order.
    pub(crate) number: Option<u64>,
}

/// Objects that wait to be started.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    small: VecDeque<Pending>,
    large: VecDeque<Pending>,
}

/// An object in flight; lets another start when dropped.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Scheduler>, Lane);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.lanes.close(self.1);
    }
}

impl Queue {
    pub(crate) fn push(&mut self, lane: Lane, ready: Pending) {
        match lane {
            Lane::Parts => self.large.push_back(ready),
            _ => self.small.push_back(ready),
        }
    }

    /// The next object whose lane has capacity.
    pub(crate) fn next(&mut self, scheduler: &Arc<Scheduler>) -> Option<(Pending, InFlight)> {
        for (lane, waiting) in [(Lane::Small, &mut self.small), (Lane::Parts, &mut self.large)] {
            if !waiting.is_empty() && scheduler.lanes.open(lane, OBJECTS_PER_SLOT) {
                let open = InFlight(Arc::clone(scheduler), lane);
                return waiting.pop_front().map(|ready| (ready, open));
            }
        }
        None
    }

    pub(crate) fn has_room(&self) -> bool {
        self.small.len() < AHEAD && self.large.len() < AHEAD
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.small.is_empty() && self.large.is_empty()
    }
}
