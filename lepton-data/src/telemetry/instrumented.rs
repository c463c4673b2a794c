//! A side of a run as the engine sees it: the store itself, with each request measured.

use std::sync::Arc;

use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt as _, stream};
use lepton_core::layer::{self, Layer, layered};
use lepton_core::{Location, Result, SharedRuntime};

use crate::telemetry::counters::Counters;
use crate::telemetry::operation::Operation;
use crate::types::side::Side;

#[derive(Debug, Clone)]
struct Instrumented {
    side: Side,
    env: SharedRuntime,
    counters: Arc<Counters>,
}

/// The same location, with its requests measured.
pub(crate) fn instrumented(location: &Location, side: Side, env: &SharedRuntime, counters: &Arc<Counters>) -> Location {
    let layer = Instrumented { side, env: Arc::clone(env), counters: Arc::clone(counters) };
    Location::new(layered(Arc::clone(location.storage()), layer), location.path())
}

impl Layer for Instrumented {
    type Held = ();

    fn keeps_bytes(&self) -> bool {
        true
    }

    async fn call<'a, T: Send + 'a>(
        &'a self,
        operation: layer::Operation,
        mut request: impl FnMut() -> BoxFuture<'a, Result<T>> + Send + 'a,
    ) -> Result<(T, ())> {
        let Some(class) = Operation::of(operation.name) else { return Ok((request().await?, ())) };
        let begun = self.env.uptime();
        let reply = request().await;
        let took = self.env.uptime().saturating_sub(begun);
        self.counters.metrics.request(self.side, class, took, reply.as_ref().err());
        let reply = reply?;
        self.counters.metrics.sent(operation.bytes);
        Ok((reply, ()))
    }

    fn stream<T: Send + 'static>(
        &self,
        operation: layer::Operation,
        mut open: impl FnMut() -> BoxStream<'static, Result<T>> + Send + 'static,
    ) -> BoxStream<'static, Result<T>> {
        let Some(class) = Operation::of(operation.name) else { return open() };
        let listing = (self.clone(), open());
        let measured = stream::unfold(listing, move |(this, mut pages)| async move {
            let begun = this.env.uptime();
            let page = pages.next().await?;
            let took = this.env.uptime().saturating_sub(begun);
            this.counters.metrics.request(this.side, class, took, page.as_ref().err());
            Some((page, (this, pages)))
        });
        measured.boxed()
    }
}
