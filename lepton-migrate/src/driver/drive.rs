//! The loop over events.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::{AbortHandle, Aborted, abortable};
use futures_util::stream::FuturesUnordered;
use lepton_core::migration::{Event, Intent, State};
use lepton_core::{Result, RetryClass};

use super::commander::Request;
use super::intents::carry_out;
use super::journal::Note;
use super::migration::Migration;

/// The first pause before an intent is retried, and the longest one.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(10));

/// A recorded event.
#[derive(Debug)]
#[non_exhaustive]
pub struct Observed<'a> {
    /// The event.
    pub event: &'a Event,
    /// The state after it.
    pub state: &'a State,
}

/// The outcome of an intent.
type Outcome = (Intent, Result<Result<Event>, Aborted>);

impl Migration {
    /// Drives the migration until `until` returns true, or until no intent is left and no
    /// [`Commander`](super::Commander) can send a command: in `Draft`, `Planned`, `Paused`, and at
    /// the ends. In `Tested` and `Holding` it keeps following until `until` returns true. `observe`
    /// sees each event after it was recorded.
    ///
    /// The future may be dropped at any moment. A change that it was making ends in the
    /// background, and until then the journal stays locked; another driver on the same folder
    /// resumes after that.
    ///
    /// # Errors
    /// Errors of the journal. Other failures are retried, give the fence up, or become a question.
    pub async fn run(
        &mut self,
        mut until: impl FnMut(&State) -> bool,
        mut observe: impl FnMut(Observed<'_>),
    ) -> Result<()> {
        self.read_register(&mut observe).await?;
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
            tries.retain(|intent, _| wanted.contains(intent));
            for intent in wanted {
                if running.contains_key(&intent) {
                    continue;
                }
                if !intent.is_background() {
                    let (name, details) = (intent.name().to_owned(), format!("{intent:?}"));
                    self.record.note(&Note::Intent { intent: name, details }).await?;
                }
                let pause = tries.get(&intent).map(|tries| backoff(*tries));
                let (future, handle) = abortable(self.start(intent.clone(), pause));
                running.insert(intent.clone(), handle);
                outcomes.push(async move { (intent, future.await) });
            }
            tokio::select! {
                Some(outcome) = outcomes.next() => {
                    if let Some(intent) = self.outcome(outcome, &mut running, &mut observe).await? {
                        *tries.entry(intent).or_default() += 1;
                    }
                }
                Some(request) = self.commands.recv(), if self.waits_for_commands(running.is_empty()) => {
                    self.requested(request, &mut observe).await?;
                }
                else => return Ok(()),
            }
        }
        Ok(())
    }

    /// Whether a command may arrive. The migration itself has one sender.
    fn waits_for_commands(&self, idle: bool) -> bool {
        !idle || self.sender.strong_count() > 1
    }

    /// Takes the outcome of an intent; returns the intent if it is to be retried.
    async fn outcome(
        &mut self,
        (intent, outcome): Outcome,
        running: &mut BTreeMap<Intent, AbortHandle>,
        observe: &mut impl FnMut(Observed<'_>),
    ) -> Result<Option<Intent>> {
        let Ok(outcome) = outcome else { return Ok(None) };
        running.remove(&intent);
        let event = match outcome {
            Ok(event) => event,
            Err(error) if error.retry() != RetryClass::Never => {
                tracing::warn!("{} is retried: {error}", intent.name());
                return Ok(Some(intent));
            }
            Err(error) => {
                // Some states ignore the event, and the cause must be visible in each of them.
                tracing::warn!("{} failed: {error}", intent.name());
                Event::Failed { what: intent.name().to_owned(), why: error.to_string() }
            }
        };
        // If nothing has changed, it is retried after a pause.
        Ok((!self.record_event(event, observe).await?).then_some(intent))
    }

    /// Takes a command and replies to its sender. A command whose sender no longer waits is not
    /// executed: the sender may have acted on its failure since.
    async fn requested(&mut self, (command, reply): Request, observe: &mut impl FnMut(Observed<'_>)) -> Result<()> {
        if reply.is_closed() {
            tracing::debug!("a command whose sender has left is ignored: {command:?}");
            return Ok(());
        }
        let event = Event::from(command);
        let mut next = self.machine.clone();
        let answer = match next.apply(event.clone()) {
            Ok(()) => {
                self.record.event(&event).await?;
                self.machine = next;
                observe(Observed { event: &event, state: self.machine.state() });
                Ok(self.machine.state().clone())
            }
            Err(refused) => Err(refused),
        };
        // The sender may have left.
        let _ = reply.send(answer);
        Ok(())
    }

    /// Starts an intent; it owns all that it needs.
    fn start(&self, intent: Intent, pause: Option<Duration>) -> impl Future<Output = Result<Event>> + use<> {
        let parts = Arc::clone(&self.parts);
        let clearance = match &intent {
            Intent::Switch { to, .. } => self.machine.clearance(*to).map(Some),
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

    /// After a crash within a fence, reads the register before anything else: the register decides.
    async fn read_register(&mut self, observe: &mut impl FnMut(Observed<'_>)) -> Result<()> {
        let (State::Fence(fence) | State::RollingBack(fence)) = self.machine.state() else { return Ok(()) };
        let epoch = fence.epoch;
        let mut pause = PAUSE.0;
        loop {
            match self.parts.traffic().get().await {
                Ok(route) => {
                    let holding = route.hold.is_some_and(|hold| hold.epoch == epoch);
                    let event = Event::Register { owner: route.owner, epoch: route.epoch, holding };
                    return self.record_event(event, observe).await.map(drop);
                }
                Err(error) => {
                    tracing::warn!("the route does not answer, and the owner of the writes is not guessed: {error}");
                    self.parts.env.sleep(pause).await;
                    pause = (pause * 2).min(PAUSE.1);
                }
            }
        }
    }

    /// Records an event that changes the machine, and applies it; returns whether it does.
    async fn record_event(&mut self, event: Event, observe: &mut impl FnMut(Observed<'_>)) -> Result<bool> {
        let mut next = self.machine.clone();
        if let Err(error) = next.apply(event.clone()) {
            // It comes from an intent of an earlier state.
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

fn backoff(tries: u32) -> Duration {
    (PAUSE.0 * 2_u32.saturating_pow(tries.min(20))).min(PAUSE.1)
}
