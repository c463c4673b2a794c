//! Carries out one intent.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use lepton_core::data_set::{Clearance, Side};
use lepton_core::migration::{Event, Intent};
use lepton_core::{Error, ErrorKind, Result, RetryClass};

use super::parts::{LOOK, Parts};

/// The pause after a fence that was given up, for each one in a row.
const AGAIN: Duration = Duration::from_secs(5);

/// Carries out an intent and returns what happened. An intent of the background returns only when
/// it has ended by itself. `clearance` exists for the switch only.
pub(super) async fn carry_out(
    parts: Arc<Parts>,
    intent: Intent,
    epoch: u64,
    clearance: Option<Clearance>,
) -> Result<Event> {
    match intent {
        Intent::Copy { data_set } => {
            // What its application writes at side B before the switch would differ from side A.
            parts.deny(&data_set, Side::B, true, epoch).await?;
            parts.data_set(&data_set)?.provider.copy(Side::A).await?;
            Ok(Event::Copied { data_set })
        }
        Intent::Follow { data_set, from } => follow(&parts, data_set, from).await,
        Intent::WatchLag => parts.watch_lag().await,
        Intent::Deploy => parts.deploy(epoch).await,
        Intent::KeepBackends => parts.keep_backends().await,
        Intent::Test => Ok(parts.test().await),
        Intent::StartCutOver { given_up } => {
            parts.env.sleep(AGAIN.saturating_mul(given_up)).await;
            Ok(Event::CutOver)
        }
        Intent::Hold { epoch } => parts.hold(epoch).await,
        Intent::KeepHold { epoch } => parts.keep_hold(epoch).await,
        Intent::Drain { side } => parts.drain(side).await,
        Intent::Quiesce { data_set, side } => parts.quiesce(data_set, side, epoch).await,
        Intent::LastDelta { data_set, from, epoch } => {
            Ok(Event::Verdict(parts.data_set(&data_set)?.provider.delta(from, epoch).await?))
        }
        Intent::Switch { epoch, .. } => match clearance {
            Some(clearance) => parts.register(Some(clearance), epoch).await,
            None => Err(Error::new(ErrorKind::Unexpected, "a switch without a clearance")),
        },
        Intent::Allow { data_set, side } => parts.allow(data_set, side, epoch).await,
        Intent::Release { epoch } => parts.register(None, epoch).await,
        Intent::Reverse { data_set, from } => match parts.data_set(&data_set)?.provider.reverse(from, epoch).await {
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(conflict(data_set, &error)),
            reversed => reversed.map(|()| Event::Reversed { data_set }),
        },
        Intent::Start => parts.start().await,
        Intent::Undo => parts.undo(epoch).await,
        Intent::Decommission => parts.decommission().await,
        other => Err(Error::unsupported(format!("this driver does not know the intent {}", other.name()))),
    }
}

fn conflict(data_set: String, error: &Error) -> Event {
    Event::ReverseConflict { data_set, items: vec![error.to_string()] }
}

/// Follows until another writer has changed the follower, or until rounds fail for good.
async fn follow(parts: &Parts, data_set: String, from: Side) -> Result<Event> {
    let mut rounds = parts.data_set(&data_set)?.provider.follow(from);
    while let Some(round) = rounds.next().await {
        match round {
            Err(error) if error.kind() == ErrorKind::Conflict && from == Side::B => {
                return Ok(conflict(data_set, &error));
            }
            Err(error) if error.retry() == RetryClass::Never => return Err(error),
            Err(error) => tracing::warn!(data_set, "a round failed, the next one follows: {error}"),
            Ok(lag) => tracing::debug!(data_set, items = lag.items, bytes = lag.bytes, "followed"),
        }
    }
    Err(Error::new(ErrorKind::Unexpected, "the follower has ended by itself").with_context("data set", data_set))
}

impl Parts {
    async fn watch_lag(&self) -> Result<Event> {
        loop {
            let mut behind = false;
            for set in &self.data_sets {
                let lag = set.provider.lag(Side::A).await?;
                behind |= lag.rounds == 0 || lag.age > self.lag;
            }
            if !behind {
                return Ok(Event::CaughtUp);
            }
            self.env.sleep(LOOK).await;
        }
    }

    async fn test(&self) -> Event {
        for test in &self.tests {
            if let Err(error) = test.run().await {
                return Event::TestsFailed { why: format!("{}: {error}", test.name()) };
            }
        }
        Event::TestsPassed
    }
}
