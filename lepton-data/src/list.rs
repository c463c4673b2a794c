//! Listing the source ahead of the work, in strictly ascending order.

use futures_util::StreamExt as _;
use lepton_core::{
    EnvExt as _, Error, ErrorKind, HeadOptions, KeyPrefix, ListRequest, ObjectKey, ObjectMeta, Result, SharedStorage,
};
use std::sync::Arc;
use tokio::sync::mpsc;

use crate::run::Run;

/// Pages that are fetched ahead.
const AHEAD: usize = 2;

/// Objects of the source, page by page.
pub(crate) type Pages = mpsc::Receiver<Result<Vec<ObjectMeta>>>;

/// Starts listing what lies behind `after`. A page that fails is asked for again
/// from the last key seen.
pub(crate) fn start(run: &Arc<Run>, after: Option<ObjectKey>) -> Pages {
    let (send, receive) = mpsc::channel(AHEAD);
    let run = Arc::clone(run);
    drop(run.env.clone().spawn_task(async move {
        if let Err(error) = list(&run, after, &send).await {
            // The receiver is gone when the run has ended.
            let _ = send.send(Err(error)).await;
        }
    }));
    receive
}

async fn list(run: &Run, mut after: Option<ObjectKey>, send: &mpsc::Sender<Result<Vec<ObjectMeta>>>) -> Result<()> {
    let folder = run.options.source.folder();
    let nothing_before = after.is_none();
    let mut failures = 0;
    let mut found = false;
    loop {
        let before = after.clone();
        let Err(error) = pages(run, &folder, &mut after, &mut found, send).await else { break };
        if after != before {
            failures = 0;
        }
        failures += 1;
        let again = error.retry() != lepton_core::Retry::Never && failures < run.options.settings.attempts.get();
        if !again {
            return Err(crate::read::side(error));
        }
        run.counters.add(|c| &c.retries, 1);
        crate::retry::wait(run, failures, &error).await?;
    }
    if !found
        && nothing_before
        && let Some(object) = single(run, &folder).await?
    {
        // The receiver is gone when the run has ended.
        let _ = send.send(Ok(vec![object])).await;
    }
    Ok(())
}

/// Sends pages until the listing ends, noting the last key seen.
async fn pages(
    run: &Run,
    folder: &KeyPrefix,
    after: &mut Option<ObjectKey>,
    found: &mut bool,
    send: &mpsc::Sender<Result<Vec<ObjectMeta>>>,
) -> Result<()> {
    let mut request = ListRequest::new().prefix(folder.clone());
    if let Some(key) = after {
        request = request.start_after(key.to_bytes());
    }
    let mut pages = run.source().list(request);
    while let Some(page) = pages.next().await {
        let objects = page?.objects;
        for object in &objects {
            ascending(after.as_ref(), &object.key)?;
            *after = Some(object.key.clone());
        }
        *found |= !objects.is_empty();
        if !objects.is_empty() && send.send(Ok(objects)).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

fn ascending(before: Option<&ObjectKey>, key: &ObjectKey) -> Result<()> {
    match before {
        Some(before) if before >= key => {
            let message = format!("the source lists {key} after {before}: out of order or twice");
            Err(Error::new(ErrorKind::Unexpected, message).with_operation("list"))
        }
        _ => Ok(()),
    }
}

/// A source that names one object instead of a folder.
async fn single(run: &Run, folder: &KeyPrefix) -> Result<Option<ObjectMeta>> {
    if folder.is_empty() || run.options.source.path().ends_with(b"/") {
        return Ok(None);
    }
    let storage: &SharedStorage = run.source();
    match storage.head(&run.options.source.key()?, HeadOptions::new()).await {
        Ok(info) => Ok(Some(info.meta)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(crate::read::side(error)),
    }
}
