//! Refuses a source and a destination that overlap, even under different names: a run
//! would read what it writes, and a mirror would delete what it reads.
//!
//! If the names of the two locations suffice, no request is sent. Two buckets with one
//! name on different hosts can be the same bucket. Then one page of each is compared. If
//! the pages are equal, an upload decides that is started through one address and listed
//! through the other.

use std::path::Path;
use std::sync::Arc;

use lepton_core::{
    CreateUploadOptions, Error, ErrorKind, HeadOptions, KeyHandling, KeyPrefix, ListRequest, ObjectKey, ObjectMeta,
    Overlap, PhysicalLocation, Result, RuntimeExt as _,
};

use crate::apply::reconcile::abort;
use crate::apply::upload::begin;
use crate::listing::own_files::OwnFiles;
use crate::schedule::endpoint::Endpoint;
use crate::transfer::run::Run;
use crate::types::entry::{DestinationState, Entry, Mode};
use crate::types::layout::Layout;

/// The number of objects compared to see whether two addresses may be of one bucket.
const SAMPLE: usize = 10;

/// Refuses locations that overlap, and finds out whether the journal is inside one of them.
pub(crate) async fn check(run: &Arc<Run>, journal: Option<&Path>) -> Result<()> {
    let source_there = refuse(run).await?;
    is_no_object(run).await?;
    let own = match journal {
        Some(journal) => own_files(run, journal).await?,
        None => OwnFiles::default(),
    };
    run.own_files.get_or_init(|| OwnFiles { source_there, ..own });
    Ok(())
}

/// Refuses a destination that is an object, in a store that cannot hold others below it: a file on
/// a disk.
///
/// # Errors
/// `invalid_input`, naming it.
async fn is_no_object(run: &Run) -> Result<()> {
    let (place, endpoint) = (&run.options.destination, &run.context.destination);
    let beside = endpoint.capabilities().keys.file_beside_folder == KeyHandling::Kept;
    if beside || place.path().is_empty() || place.path().ends_with(b"/") {
        return Ok(());
    }
    let key = place.key()?;
    if endpoint.find(&key, HeadOptions::new()).await?.is_none() {
        return Ok(());
    }
    let message = "the destination is a file; name a folder, into which the objects are copied under their names";
    Err(Error::invalid_input(message).with_context("key", key))
}

/// Refuses locations that overlap, before anything is listed to be moved. A source inside
/// the destination is harmless if nothing is deleted and nothing is written into it, as
/// when a backup is restored; then returns the path of the source there.
///
/// # Errors
/// `invalid_input`, naming both locations.
async fn refuse(run: &Arc<Run>) -> Result<Option<ObjectKey>> {
    let (source, destination) = (&run.options.source, &run.options.destination);
    let ours = source.storage().physical_location(&source.folder()).await?;
    let theirs = destination.storage().physical_location(&destination.folder()).await?;
    if let Some(overlap) = ours.overlap(&theirs) {
        let folder = destination.folder();
        let there = theirs.path_to(&ours).filter(|path| overlap == Overlap::Inside && !path.is_empty());
        return match there {
            Some(path) if run.options.only_adds() => ObjectKey::new([folder.as_bytes(), &path].concat()).map(Some),
            _ => Err(refusal(run, overlap, "")),
        };
    }
    if let Some(overlap) = ours.may_overlap(&theirs)
        && look_the_same(run, overlap).await
    {
        decide(run, overlap).await?;
    }
    Ok(None)
}

/// Finds out whether the files of the journal are inside the source or the destination.
async fn own_files(run: &Run, journal: &Path) -> Result<OwnFiles> {
    let folder = journal.to_owned();
    let located = run.scheduler.env.run_blocking(move || PhysicalLocation::of_folder(&folder)).join().await?;
    let journal = located.map_err(|error| Error::io("the journal's folder cannot be located", error))?;
    let inside = async |location: &lepton_core::Location| -> Result<Option<ObjectKey>> {
        let folder = location.folder();
        let physical = location.storage().physical_location(&folder).await?;
        Ok(physical.path_to(&journal).and_then(|path| ObjectKey::new([folder.as_bytes(), &path].concat()).ok()))
    };
    let (source, destination) = (inside(&run.options.source).await?, inside(&run.options.destination).await?);
    Ok(OwnFiles { source, destination, source_there: None })
}

fn refusal(run: &Run, overlap: Overlap, how: &str) -> Error {
    let how_they_lie = match overlap {
        Overlap::Same => "are the same place",
        Overlap::Inside => "overlap: the source lies inside the destination",
        Overlap::Contains => "overlap: the destination lies inside the source",
    };
    let [source, destination] = [&run.options.source, &run.options.destination].map(|location| {
        let folder = location.folder();
        if folder.is_empty() {
            location.storage().url().to_owned()
        } else {
            format!("{} (folder {folder})", location.storage().url())
        }
    });
    let message = format!("the source {source} and the destination {destination} {how_they_lie}{how}");
    Error::invalid_input(message)
}

/// Whether the first objects of the common folder are equal on both sides, including
/// their times. `false` if one side cannot be listed.
async fn look_the_same(run: &Run, overlap: Overlap) -> bool {
    let inner = match overlap {
        Overlap::Contains => run.options.destination.folder(),
        _ => run.options.source.folder(),
    };
    let (Some(ours), Some(theirs)) =
        (first(&run.context.source, &inner).await, first(&run.context.destination, &inner).await)
    else {
        return false;
    };
    let same = |(ours, theirs): (&ObjectMeta, &ObjectMeta)| {
        let (mine, other) = (ours.last_modified, theirs.last_modified);
        ours.key == theirs.key && ours.size == theirs.size && ours.etag == theirs.etag && mine == other
    };
    !ours.is_empty() && ours.len() == theirs.len() && ours.iter().zip(&theirs).all(same)
}

async fn first(endpoint: &Endpoint, prefix: &KeyPrefix) -> Option<Vec<ObjectMeta>> {
    let request = ListRequest::new().prefix(prefix.clone()).page_size(SAMPLE);
    let mut objects = endpoint.first_page(&request).await.ok()?.map_or_else(Vec::new, |page| page.objects);
    objects.truncate(SAMPLE);
    Some(objects)
}

/// Starts an upload at the destination and looks for it at the source.
async fn decide(run: &Arc<Run>, overlap: Overlap) -> Result<()> {
    let listed = if run.is_planning() { None } else { is_seen(run).await };
    match listed {
        Some(false) => Ok(()),
        Some(true) => Err(refusal(run, overlap, "; both addresses are of one bucket")),
        // If both are the same location nothing can be lost, and copies made at the same time
        // look equal too.
        None if overlap == Overlap::Same => {
            tracing::warn!("source and destination may be one bucket under two addresses; nothing tells");
            Ok(())
        }
        None => Err(refusal(
            run,
            overlap,
            " if both addresses are of one bucket, and their first objects are the same, with their times; \
             name both by one address",
        )),
    }
}

/// Whether an upload started at the destination is listed at the source; `None` if
/// that cannot be found out. The upload is aborted.
async fn is_seen(run: &Arc<Run>) -> Option<bool> {
    let source = &run.context.source;
    source.storage().multipart()?;
    run.context.destination.storage().multipart()?;
    let name = ObjectKey::try_from(format!("lepton-probe-{:016x}", run.scheduler.env.random()).as_str()).ok()?;
    let key = name.prefixed(&run.options.destination.folder());
    let meta = ObjectMeta::new(key.clone(), 0);
    let entry = Entry { source: meta, target: key.clone(), there: DestinationState::Absent, mode: Mode::Listed };
    let layout = Layout { size: 0, part_size: 1 << 20, multipart: true };
    let upload = begin(&run.context, &entry, layout, CreateUploadOptions::new()).await.ok()?;
    let seen = source.list_uploads(&key).await;
    if let Err(error) = abort(&run.context, &upload, &entry).await {
        // The journal has a record of it, so the next run aborts it.
        tracing::warn!(%key, error = %error.full_message(), "the upload of a probe could not be aborted");
    }
    match seen {
        Ok(uploads) => Some(uploads.iter().any(|info| info.upload.id == upload.id)),
        Err(error) if error.kind() == ErrorKind::NotFound => Some(false),
        Err(_) => None,
    }
}
