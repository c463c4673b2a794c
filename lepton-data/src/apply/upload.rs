//! Starts and gives up uploads.

use lepton_core::{CreateUploadOptions, Effect, Error, ErrorKind, Result, Upload};

use crate::apply::context::Context;
use crate::apply::reconcile::{Leftover, abort, abort_lost, reconcile};
use crate::digest::reader::Source;
use crate::ledger::note::{Note, UploadPlan};
use crate::ledger::resumed::OpenUpload;
use crate::types::entry::{Entry, Pin};
use crate::types::layout::Layout;

/// Starts an upload: records the intent, creates the upload, records the outcome.
pub(crate) async fn begin(cx: &Context, entry: &Entry, layout: Layout, options: CreateUploadOptions) -> Result<Upload> {
    let key = entry.source.key.clone();
    let plan = UploadPlan::new(entry.target.clone(), layout, Pin::of(&entry.source), cx.scheduler.env.now());
    cx.log.note_durably(&Note::UploadIntent { key: key.clone(), upload: plan.clone() }).await?;
    let options = options.size(layout.size);
    let multipart = cx.destination.multipart()?;
    let upload = cx
        .destination
        .retry(true, || async {
            let created = multipart.create(&entry.target, options.clone()).await;
            if created.as_ref().is_err_and(|error| error.effect() == Effect::Unknown) {
                abort_lost(cx, &plan).await?;
            }
            created
        })
        .await?;
    cx.log.note_durably(&Note::UploadBegun { key, id: upload.id.clone() }).await?;
    Ok(upload)
}

/// Aborts an upload that failed permanently; keeps one that may be of use to a later
/// run. Returns the error.
pub(crate) async fn abandon(cx: &Context, entry: &Entry, upload: &Upload, error: Error) -> Error {
    let useless = matches!(
        error.kind(),
        ErrorKind::SourceChanged
            | ErrorKind::ChecksumMismatch
            | ErrorKind::AlreadyExists
            | ErrorKind::PreconditionFailed
            | ErrorKind::UploadNotFound
            | ErrorKind::TooLarge
    );
    if useless
        && error.effect() != Effect::Unknown
        && let Err(failed) = abort(cx, upload, entry).await
    {
        tracing::warn!(key = %entry.target, error = %failed.full_message(), "an upload could not be aborted");
    }
    error
}

/// Aborts the upload that an earlier run left of an object that no longer needs it.
pub(crate) async fn give_up(cx: &Context, entry: &Entry, layout: Layout, open: OpenUpload) -> Result<()> {
    let source = Source::new(&cx.source, &entry.source);
    if let Leftover::Held(upload, _) = reconcile(cx, entry, &source, layout, None, open).await? {
        abort(cx, &upload, entry).await?;
    }
    Ok(())
}
