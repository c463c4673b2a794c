//! The dry run: reports what a transfer would do, object by object, without doing it.

use std::fmt;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};

use futures_core::Stream;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _, future, stream};
use lepton_core::{Error, PassedOver, Result, RuntimeExt as _, Unlisted};
use tokio::sync::mpsc;

use crate::apply::context::Context;
use crate::apply::decide::{Verdict, decide, look};
use crate::apply::object::find;
use crate::apply::outcome::Outcome;
use crate::digest::reader::bare;
use crate::ledger::plan_file::{BATCH, PLAN, PlanSummary};
use crate::ledger::planned::{Planned, PlannedAction};
use crate::ledger::resumed::Resumed;
use crate::ledger::sealed_lines::SealedWriter;
use crate::telemetry::counters::Counters;
use crate::transfer::builder::Transfer;
use crate::transfer::feed::{Feed, WorkItem};
use crate::transfer::overlap;
use crate::transfer::run::Run;
use crate::types::entry::{DestinationState, Entry};
use crate::types::file;
use crate::types::side::ends_the_run;

impl Transfer {
    /// Streams what the transfer would do, in the order of keys at the destination. Reads
    /// the listings of both sides; where these do not suffice, requests single objects as
    /// the run would. Writes nothing and opens no journal. The limits on deletes are not
    /// checked. Entries that could not be listed come last, as refused.
    ///
    /// # Errors
    /// The stream ends with the first error of a listing or of the destination. If the
    /// transfer deletes, an entry that could not be listed is such an error.
    pub fn plan(&self) -> PlanStream {
        self.planned(self.options.settings.delete)
    }

    /// The same; `whole` is whether an entry that could not be listed is an error.
    fn planned(&self, whole: bool) -> PlanStream {
        if self.options.settings.versions {
            let message = "versions does not go with a plan or a dry run: leave one of the two out";
            return PlanStream::failed(Error::invalid_input(message));
        }
        match Run::planning(self.options.clone(), Arc::clone(&self.env)) {
            Ok(run) => PlanStream::of(&Arc::new(run), whole),
            Err(error) => PlanStream::failed(error),
        }
    }
}

/// What a transfer would do, as [`Transfer::plan`] streams it.
#[must_use = "a plan is made only while its stream is read"]
pub struct PlanStream {
    planned: BoxStream<'static, Result<Planned>>,
    counters: Arc<Counters>,
}

impl PlanStream {
    fn failed(error: Error) -> Self {
        Self { planned: stream::once(future::err(error)).boxed(), counters: Arc::default() }
    }

    fn of(run: &Arc<Run>, whole: bool) -> Self {
        let at_once = run.options.settings.concurrency.get();
        let next = stream::try_unfold(None, {
            let run = Arc::clone(run);
            move |feed: Option<Feed>| {
                let run = Arc::clone(&run);
                async move {
                    let mut feed = match feed {
                        Some(feed) => feed,
                        None => {
                            overlap::check(&run, run.options.journal.as_deref()).await?;
                            run.look_at_names().await?;
                            Feed::new(&run, Resumed::default())
                        }
                    };
                    Ok(feed.next().await?.map(|next| (next, Some(feed))))
                }
            }
        });
        let unlisted = stream::once(future::lazy({
            let run = Arc::clone(run);
            move |_| unlisted(&run, whole)
        }));
        let counters = Arc::clone(&run.scheduler.counters);
        let run = Arc::clone(run);
        let planned = next.map_ok(move |next| {
            let run = Arc::clone(&run);
            async move { planned(&run, next).await }
        });
        Self { planned: planned.try_buffered(at_once).chain(unlisted.flat_map(stream::iter)).boxed(), counters }
    }

    /// What the listing of the source has passed over so far.
    pub fn passed_over(&self) -> PassedOver {
        self.counters.passed_over()
    }
}

impl Stream for PlanStream {
    type Item = Result<Planned>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Option<Self::Item>> {
        self.planned.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for PlanStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlanStream").field("passed_over", &self.passed_over()).finish_non_exhaustive()
    }
}

/// What the listings could not list.
fn unlisted(run: &Run, whole: bool) -> Vec<Result<Planned>> {
    let refused = |Unlisted { key, error, .. }: Unlisted| {
        if whole {
            let message = "what cannot be listed cannot be planned; make it readable, or exclude it";
            return Err(Error::new(error.kind(), message).with_context("key", &key).with_source(error));
        }
        let (source_key, action) = (key.clone(), refuse(&error));
        Ok(Planned { source_key, key, size: 0, action, source: None, destination: None })
    };
    run.lister.take_unlisted().into_iter().map(refused).collect()
}

pub(crate) async fn planned(run: &Run, next: WorkItem) -> Result<Planned> {
    let (entry, action) = match next {
        WorkItem::Object { mut entry, .. } => match action(&run.context, &mut entry).await {
            Ok(action) => (entry, action),
            Err(error) if ends_the_run(&error) => return Err(error),
            Err(error) => (entry, refuse(&error)),
        },
        WorkItem::Extraneous { sort_key, there } => {
            let (key, size) = (there.key.clone(), there.size);
            let (action, destination) = (PlannedAction::Delete, Some(bare(*there)));
            return Ok(Planned { source_key: sort_key, key, size, action, source: None, destination });
        }
        WorkItem::Settled { entry, outcome, .. } => match outcome {
            Outcome::Failed(error) => (entry, refuse(&error)),
            Outcome::Unchanged(line) => {
                (entry, line.unchanged.map_or(PlannedAction::Skip, |by| PlannedAction::Unchanged { by }))
            }
            _ => (entry, PlannedAction::Skip),
        },
    };
    let destination = if let DestinationState::Present(there) = entry.there { Some(bare(*there)) } else { None };
    let (source_key, size) = (entry.source.key.clone(), entry.source.size);
    Ok(Planned { source_key, key: entry.target, size, action, source: Some(bare(entry.source)), destination })
}

fn refuse(error: &Error) -> PlannedAction {
    PlannedAction::Refuse { reason: error.full_message() }
}

pub(crate) async fn action(cx: &Context, entry: &mut Entry) -> Result<PlannedAction> {
    if entry.is_named() && !find(cx, entry).await? {
        return Ok(PlannedAction::Skip);
    }
    look(cx, entry).await?;
    let layout = cx.layout(entry.source.size)?;
    Ok(match decide(cx, entry, layout, false).await? {
        Verdict::Copy { reason, .. } => {
            PlannedAction::Copy { reason, parts: layout.parts(), part_size: layout.part_size }
        }
        Verdict::Unchanged(by, _) => PlannedAction::Unchanged { by },
        Verdict::Skip => PlannedAction::Skip,
    })
}

impl Transfer {
    /// Writes what [`plan`](Self::plan) streams to a file, which
    /// [`TransferBuilder::saved_plan`](crate::TransferBuilder::saved_plan) carries
    /// out later. The file appears when it is complete; memory use does not depend on
    /// its length.
    ///
    /// # Errors
    /// As [`plan`](Self::plan), and if the file cannot be written.
    pub async fn save_plan(&self, file: &Path) -> Result<PlanSummary> {
        let header = self.options.plan_header();
        let path = file.to_owned();
        self.env.check()?;
        file::check(&self.env, path.clone(), "plan").await?;
        let (send, mut receive) = mpsc::channel::<Vec<Planned>>(2);
        let writing = self.env.run_blocking(move || {
            let mut writer = SealedWriter::create(&path, PLAN, &header)?;
            let mut complete = false;
            while let Some(batch) = receive.blocking_recv() {
                // The last batch is empty; if it never comes, the plan is incomplete.
                complete = batch.is_empty();
                for planned in batch {
                    writer.add(&file::to_json(&planned)?, planned.size)?;
                }
            }
            if complete { writer.finish() } else { Ok(()) }
        });
        let mut summary = PlanSummary::default();
        let mut batches = self.planned(true).try_chunks(BATCH);
        // If the writer stops receiving, its own error is the one to return.
        while let Some(batch) = batches.try_next().await.map_err(|error| error.1)? {
            batch.iter().for_each(|planned| summary.add(planned));
            if send.send(batch).await.is_err() {
                break;
            }
        }
        summary.passed_over = batches.get_ref().passed_over();
        let _ = send.send(Vec::new()).await;
        drop(send);
        writing.join().await??;
        Ok(summary)
    }
}
