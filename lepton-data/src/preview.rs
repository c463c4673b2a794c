//! The dry run: what a transfer would do, object by object, without doing it.

use futures_core::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use lepton_core::{ErrorKind, HeadOptions, ListRequest, ObjectKey, ObjectMeta, Result};
use serde::Serialize;

use crate::options::{Existing, Options};
use crate::plan::{Layout, Names};
use crate::transfer::Transfer;

/// What a transfer would do with one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Planned {
    /// Its key at the source.
    pub source_key: ObjectKey,
    /// Its key at the destination.
    pub key: ObjectKey,
    /// Its size in bytes.
    pub size: u64,
    /// What would be done.
    pub action: PlannedAction,
}

/// What would be done with an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
#[non_exhaustive]
pub enum PlannedAction {
    /// It would be copied in so many parts; one is a single request.
    Copy {
        /// The number of parts.
        parts: u32,
        /// Their size in bytes, the last one's aside.
        part_size: u64,
    },
    /// It would be left as it is.
    Skip,
    /// It would fail.
    Refuse {
        /// Why.
        reason: String,
    },
}

impl Transfer {
    /// Streams what the transfer would do, in key order. Reads the source's
    /// listing and, unless existing objects are overwritten, asks the destination
    /// for each object; writes nothing anywhere and opens no journal.
    ///
    /// # Errors
    /// The stream ends with the first error of a listing or of the destination.
    pub fn plan(&self) -> BoxStream<'static, Result<Planned>> {
        let options = self.options.clone();
        let pages = options.source.storage().list(ListRequest::new().prefix(options.source.folder()));
        let mut names = Names::new(
            options.source.folder(),
            options.destination.folder(),
            options.destination.storage().capabilities(),
        );
        let objects = pages.map_ok(|page| futures_util::stream::iter(page.objects.into_iter().map(Ok))).try_flatten();
        let planned = objects.map_ok(move |object| {
            let (entry, verdict) = names.entry(object);
            (entry.source, entry.target, verdict)
        });
        let decided = planned.map_ok(move |(source, target, verdict)| {
            let options = options.clone();
            async move { decide(&options, source, target, verdict).await }
        });
        decided.try_buffered(16).boxed()
    }
}

async fn decide(options: &Options, source: ObjectMeta, key: ObjectKey, verdict: Result<()>) -> Result<Planned> {
    let target = options.destination.storage().capabilities();
    let layout = verdict.and_then(|()| Layout::choose(source.size, options.settings.part_size, target));
    let action = match layout {
        Err(error) => PlannedAction::Refuse { reason: error.report() },
        Ok(layout) => match (options.settings.existing, is_there(options, &key).await?) {
            (Existing::Skip, true) => PlannedAction::Skip,
            (Existing::Fail, true) => {
                PlannedAction::Refuse { reason: "the destination has an object of this key".into() }
            }
            _ => PlannedAction::Copy { parts: layout.parts(), part_size: layout.part_size },
        },
    };
    Ok(Planned { source_key: source.key, key, size: source.size, action })
}

async fn is_there(options: &Options, key: &ObjectKey) -> Result<bool> {
    if options.settings.existing == Existing::Overwrite {
        return Ok(false);
    }
    match options.destination.storage().head(key, HeadOptions::new()).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
