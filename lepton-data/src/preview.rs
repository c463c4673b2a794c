//! The dry run: what a transfer would do, object by object, without doing it.

use std::sync::Arc;

use futures_core::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _, future, stream};
use lepton_core::{Error, ErrorKind, ObjectKey, ObjectMeta, Result};
use serde::{Deserialize, Serialize};

use crate::compare::Basis;
use crate::diff::{Reason, Verdict, decide, look};
use crate::feed::{Feed, Next};
use crate::mapping::Mapping;
use crate::merge::Found;
use crate::object::{Outcome, find};
use crate::plan::{Entry, Layout, There};
use crate::read::bare;
use crate::resume::Resumed;
use crate::run::{Run, ends_the_run};
use crate::transfer::{Transfer, look_at_names, places};

/// What a transfer would do with one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Planned {
    /// Its key at the source; of an object that only the destination has, the key
    /// that it would have there, were no name changed.
    pub source_key: ObjectKey,
    /// Its key at the destination.
    pub key: ObjectKey,
    /// Its size in bytes.
    pub size: u64,
    /// What would be done.
    #[serde(flatten)]
    pub action: PlannedAction,
    /// The object at the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<ObjectMeta>,
    /// The object at the destination, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<ObjectMeta>,
}

/// What would be done with an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
#[non_exhaustive]
pub enum PlannedAction {
    /// It would be copied in so many parts; one is a single request.
    Copy {
        /// Why.
        reason: Reason,
        /// The number of parts.
        parts: u32,
        /// Their size in bytes, the last one's aside.
        part_size: u64,
    },
    /// It is the same on both sides.
    Unchanged {
        /// By what.
        by: Basis,
    },
    /// It would be left as it is.
    Skip,
    /// It would be deleted at the destination.
    Delete,
    /// It would fail.
    Refuse {
        /// Why.
        reason: String,
    },
}

impl Planned {
    /// Where it comes in order.
    pub(crate) fn place(&self, mapping: &Mapping) -> ObjectKey {
        self.source.as_ref().map_or_else(|| self.source_key.clone(), |source| mapping.place(&source.key))
    }

    /// What was found when it was planned, and what is to be done with it; `None`
    /// for an object that neither side has.
    pub(crate) fn found(self) -> Option<Found> {
        let there = self.destination.map_or(There::Absent, |there| There::Present(Box::new(there)));
        match (self.source, there) {
            (Some(source), there) => Some(Found::Source(source, there, Some(self.action))),
            (None, There::Present(there)) => Some(Found::Extra(*there)),
            (None, _) => None,
        }
    }
}

impl Transfer {
    /// Streams what the transfer would do, in the order of keys at the destination. Reads the listings of
    /// both sides; where these do not tell, asks for single objects as the run
    /// would. Writes nothing anywhere and opens no journal. Whether so much may be
    /// deleted is not looked at.
    ///
    /// # Errors
    /// The stream ends with the first error of a listing or of the destination.
    pub fn plan(&self) -> BoxStream<'static, Result<Planned>> {
        if self.options.settings.versions {
            let message = "versions does not go with a plan or a dry run: leave one of the two out";
            return stream::once(future::err(Error::invalid_input(message))).boxed();
        }
        let run = match Run::planning(self.options.clone(), Arc::clone(&self.env)) {
            Ok(run) => Arc::new(run),
            Err(error) => return stream::once(future::err(error)).boxed(),
        };
        let at_once = run.options.settings.concurrency.get();
        let next = stream::try_unfold(None, {
            let run = Arc::clone(&run);
            move |feed: Option<Feed>| {
                let run = Arc::clone(&run);
                async move {
                    let mut feed = match feed {
                        Some(feed) => feed,
                        None => {
                            places(&run, run.options.journal.as_deref()).await?;
                            look_at_names(&run).await?;
                            Feed::new(&run, Resumed::default())
                        }
                    };
                    Ok(feed.next().await?.map(|next| (next, Some(feed))))
                }
            }
        });
        let planned = next.map_ok(move |next| {
            let run = Arc::clone(&run);
            async move { planned(&run, next).await }
        });
        planned.try_buffered(at_once).boxed()
    }
}

async fn planned(run: &Run, next: Next) -> Result<Planned> {
    let (entry, action) = match next {
        Next::Object { mut entry, .. } => match action(run, &mut entry).await {
            Ok(action) => (entry, action),
            Err(error) if ends_the_run(&error) => return Err(error),
            Err(error) => (entry, refuse(&error)),
        },
        Next::Settled { key, outcome: Outcome::Extra(there), .. } => {
            let (key_there, size) = (there.key.clone(), there.size);
            let (action, destination) = (PlannedAction::Delete, Some(bare(*there)));
            return Ok(Planned { source_key: key, key: key_there, size, action, source: None, destination });
        }
        Next::Settled { entry: Some(entry), outcome, .. } => match outcome {
            Outcome::Failed(error) => (entry, refuse(&error)),
            Outcome::Unchanged(line) => {
                (entry, line.unchanged.map_or(PlannedAction::Skip, |by| PlannedAction::Unchanged { by }))
            }
            _ => (entry, PlannedAction::Skip),
        },
        Next::Settled { outcome: Outcome::Failed(error), .. } => return Err(error),
        Next::Settled { .. } => {
            return Err(Error::new(ErrorKind::Unexpected, "an object was settled without an entry"));
        }
    };
    let destination = if let There::Present(there) = entry.there { Some(bare(*there)) } else { None };
    let (source_key, size) = (entry.source.key.clone(), entry.source.size);
    Ok(Planned { source_key, key: entry.target, size, action, source: Some(bare(entry.source)), destination })
}

fn refuse(error: &Error) -> PlannedAction {
    PlannedAction::Refuse { reason: error.report() }
}

async fn action(run: &Run, entry: &mut Entry) -> Result<PlannedAction> {
    if !entry.known && !find(run, entry).await? {
        return Ok(PlannedAction::Skip);
    }
    look(run, entry).await?;
    let layout = Layout::choose(entry.source.size, run.options.settings.part_size, run.target())?;
    Ok(match decide(run, entry, layout, false).await? {
        Verdict::Copy { reason, .. } => {
            PlannedAction::Copy { reason, parts: layout.parts(), part_size: layout.part_size }
        }
        Verdict::Unchanged(by, _) => PlannedAction::Unchanged { by },
        Verdict::Skip => PlannedAction::Skip,
    })
}
