//! The loop over events.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::{AbortHandle, abortable};
use futures_util::stream::FuturesUnordered;
use lepton_core::migration::{Event, Intent, State};
use lepton_core::{Result, Retry};

use super::intents::carry_out;
use super::migration::Migration;

/// The first pause before an intent is tried again, and the longest one.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(10));

/// Something that the driver has recorded.
#[derive(Debug)]
#[non_exhaustive]
pub struct Observed<'a> {
    /// The event.
    pub event: &'a Event,
    /// The state after it.
    pub state: &'a State,
}

impl Migration {
    /// Drives the migration until `until` says that it is far enough, or until it can go on only
    /// with a command: in `Draft`, `Planned`, `Tested`, `Holding`, `Paused`, `NeedsDecision` and
    /// at its ends. `observe` sees each event after it was recorded.
    ///
    /// The future may be dropped at any moment; another driver on the same folder goes on.
    ///
    /// # Errors
    /// Errors of the journal. What fails elsewhere is tried again, gives the fence up, or becomes
    /// a question.
    pub async fn run(
        &mut self,
        mut until: impl FnMut(&State) -> bool,
        mut observe: impl FnMut(Observed<'_>),
    ) -> Result<()> {
        self.ask_register(&mut observe).await?;
        let mut running: BTreeMap<Intent, AbortHandle> = BTreeMap::new();
        let mut outcomes = FuturesUnordered::new();
        let mut tries: BTreeMap<Intent, u32> = BTreeMap::new();
        while !until(self.machine.state()) {
            let wanted = self.machine.intents();
            running.retain(|intent, handle| {
                let keep = wanted.contains(intent);
                if !keep {
                    handle.abort();
                }
                keep
            });
            for intent in wanted {
                if running.contains_key(&intent) {
                    continue;
                }
                if !is_background(&intent) {
                    self.record.intent(&intent).await?;
                }
                let pause = tries.get(&intent).map(|tries| backoff(*tries));
                let (future, handle) = abortable(self.start(intent.clone(), pause));
                running.insert(intent.clone(), handle);
                outcomes.push(async move { (intent, future.await) });
            }
            let Some((intent, outcome)) = outcomes.next().await else { return Ok(()) };
            let Ok(outcome) = outcome else { continue };
            running.remove(&intent);
            let event = match outcome {
                Ok(event) => event,
                Err(error) if error.retry() != Retry::Never => {
                    tracing::warn!("{} is tried again: {error}", intent.name());
                    *tries.entry(intent).or_default() += 1;
                    continue;
                }
                Err(error) => Event::Failed { what: intent.name().to_owned(), why: error.to_string() },
            };
            if self.record_event(event, &mut observe).await? {
                tries.remove(&intent);
            } else {
                // Nothing has changed: it is tried again, but not at once.
                *tries.entry(intent).or_default() += 1;
            }
        }
        Ok(())
    }

    /// Starts an intent; it owns all that it needs.
    fn start(&self, intent: Intent, pause: Option<Duration>) -> impl Future<Output = Result<Event>> + use<> {
        let parts = Arc::clone(&self.parts);
        let clearance = match &intent {
            Intent::ReleaseForward { to, .. } => self.machine.clearance(*to).map(Some),
            _ => Ok(None),
        };
        let epoch = self.machine.epoch();
        async move {
            if let Some(pause) = pause {
                parts.env.sleep(pause).await;
            }
            carry_out(parts, intent, epoch, clearance?).await
        }
    }

    /// After a crash within a fence the register is read before anything is done: it decides.
    async fn ask_register(&mut self, observe: &mut impl FnMut(Observed<'_>)) -> Result<()> {
        let (State::Fence(fence) | State::RollingBack(fence)) = self.machine.state() else { return Ok(()) };
        let epoch = fence.epoch;
        let mut pause = PAUSE.0;
        loop {
            match self.parts.traffic.get().await {
                Ok(route) => {
                    let holding = route.hold.is_some_and(|hold| hold.epoch == epoch);
                    let event = Event::Register { owner: route.owner, epoch: route.epoch, holding };
                    return self.record_event(event, observe).await.map(drop);
                }
                Err(error) => {
                    tracing::warn!("the route does not answer, and who owns the writes is not guessed: {error}");
                    self.parts.env.sleep(pause).await;
                    pause = (pause * 2).min(PAUSE.1);
                }
            }
        }
    }

    /// Records an event that changes the state, and applies it; returns whether it does.
    async fn record_event(&mut self, event: Event, observe: &mut impl FnMut(Observed<'_>)) -> Result<bool> {
        let mut next = self.machine.clone();
        if let Err(error) = next.apply(event.clone()) {
            // It comes from something that was begun in an earlier state.
            tracing::debug!("{} is out of date: {error}", event.name());
            return Ok(false);
        }
        if next == self.machine {
            tracing::debug!("nothing has changed: {event:?}");
            return Ok(false);
        }
        self.record.event(&event).await?;
        self.machine = next;
        observe(Observed { event: &event, state: self.machine.state() });
        Ok(true)
    }
}

/// What goes on until the state changes; it has no effect that must be found again.
fn is_background(intent: &Intent) -> bool {
    matches!(intent, Intent::Follow { .. } | Intent::WatchLag | Intent::KeepHold { .. })
}

fn backoff(tries: u32) -> Duration {
    (PAUSE.0 * 2_u32.saturating_pow(tries.min(20))).min(PAUSE.1)
}
