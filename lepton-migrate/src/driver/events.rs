//! The events of a driver as a stream.

use futures_core::stream::BoxStream;
use futures_util::StreamExt as _;
use futures_util::stream;
use lepton_core::Result;
use lepton_core::migration::{Event, State};
use tokio::sync::mpsc;

use super::commander::Commander;
use super::drive::Observed;
use super::migration::Migration;

/// A recorded event with the state after it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recorded {
    /// The event.
    pub event: Event,
    /// The state after it.
    pub state: State,
}

impl Migration {
    /// Drives the migration in a task, as [`run`](Self::run) does, and returns a handle for
    /// commands with the stream of recorded events. The stream ends with the driver; an error of
    /// the journal is its last item. While the handle exists, the driver waits for commands.
    ///
    /// Dropping the stream stops the driver, as dropping the future of [`run`](Self::run) does.
    pub fn into_events(
        mut self,
        until: impl FnMut(&State) -> bool + Send + 'static,
    ) -> (Commander, BoxStream<'static, Result<Recorded>>) {
        let commander = self.commander();
        let (sender, receiver) = mpsc::unbounded_channel();
        let env = self.parts.env.clone();
        env.spawn(Box::pin(async move {
            let events = sender.clone();
            let observe = move |observed: Observed<'_>| {
                let recorded = Recorded { event: observed.event.clone(), state: observed.state.clone() };
                // A stream that was dropped ends the task.
                let _ = events.send(Ok(recorded));
            };
            tokio::select! {
                ended = self.run(until, observe) => if let Err(error) = ended {
                    let _ = sender.send(Err(error));
                },
                () = sender.closed() => {}
            }
        }));
        let events = stream::unfold(receiver, |mut receiver| async move {
            let event = receiver.recv().await?;
            Some((event, receiver))
        });
        (commander, events.boxed())
    }
}
