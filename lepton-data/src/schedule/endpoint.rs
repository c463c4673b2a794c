//! One side of a transfer, whose requests go through the scheduler.

use std::sync::Arc;

use futures_core::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use lepton_core::{
    Capabilities, Error, ErrorKind, HeadOptions, KeyPrefix, ListPage, ListRequest, Location, Multipart, ObjectInfo,
    ObjectKey, PartInfo, Result, SharedStorage, Upload, UploadInfo,
};

use crate::schedule::lanes::{Lane, Slot};
use crate::schedule::scheduler::Scheduler;
use crate::types::side::Side;

/// The source or the destination. Its requests are retried, and their errors are marked with
/// the side that failed.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    side: Side,
    location: Arc<Location>,
    scheduler: Arc<Scheduler>,
}

impl Endpoint {
    pub(crate) fn new(side: Side, location: Location, scheduler: &Arc<Scheduler>) -> Self {
        Self { side, location: Arc::new(location), scheduler: Arc::clone(scheduler) }
    }

    /// The same side, with another scheduler.
    pub(crate) fn scheduled_by(&self, scheduler: &Arc<Scheduler>) -> Self {
        Self { side: self.side, location: Arc::clone(&self.location), scheduler: Arc::clone(scheduler) }
    }

    pub(crate) fn side(&self) -> Side {
        self.side
    }

    pub(crate) fn location(&self) -> &Location {
        &self.location
    }

    pub(crate) fn storage(&self) -> &SharedStorage {
        self.location.storage()
    }

    pub(crate) fn capabilities(&self) -> &Capabilities {
        self.storage().capabilities()
    }

    pub(crate) fn folder(&self) -> KeyPrefix {
        self.location.folder()
    }

    pub(crate) fn scheduler(&self) -> &Arc<Scheduler> {
        &self.scheduler
    }

    /// Sends any request to this side, as [`Scheduler::retry`].
    pub(crate) async fn retry<T, F>(&self, idempotent: bool, request: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        self.scheduler.retry(self.side, idempotent, request).await
    }

    /// Sends any request to this side, as [`Scheduler::retry_in`].
    pub(crate) async fn retry_in<T, F>(&self, slot: &Slot, idempotent: bool, request: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        self.scheduler.retry_in(self.side, slot, idempotent, request).await
    }

    /// Describes an object.
    pub(crate) async fn head(&self, key: &ObjectKey, options: HeadOptions) -> Result<ObjectInfo> {
        self.retry(true, || self.storage().head(key, options.clone())).await
    }

    /// Describes an object; `None` if there is none.
    pub(crate) async fn find(&self, key: &ObjectKey, options: HeadOptions) -> Result<Option<ObjectInfo>> {
        match self.head(key, options).await {
            Ok(info) => Ok(Some(info)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The next page of a listing, which is one request; `None` at its end. It is not retried:
    /// the caller resumes the listing from its last key.
    pub(crate) async fn next_page<T>(&self, pages: &mut BoxStream<'static, Result<T>>) -> Result<Option<T>> {
        self.scheduler.take_request().await;
        let asked = self.scheduler.env.uptime();
        pages.next().await.transpose().map_err(|error| {
            self.scheduler.throttled(Lane::Listing(self.side), self.side, asked, &error);
            self.side.mark(error)
        })
    }

    /// The first page of a listing; `None` if it has none.
    pub(crate) async fn first_page(&self, request: &ListRequest) -> Result<Option<ListPage>> {
        self.retry(true, || {
            let mut pages = self.storage().list(request.clone());
            async move { pages.next().await.transpose() }
        })
        .await
    }

    /// The facet for multipart uploads; a layout has parts only if there is one.
    pub(crate) fn multipart(&self) -> Result<&dyn Multipart> {
        let missing = || Error::unsupported(format!("the {} takes no uploads in parts", self.side.name()));
        self.storage().multipart().ok_or_else(missing)
    }

    /// The parts that an upload holds; `None` if the store does not know the upload.
    pub(crate) async fn list_parts(&self, upload: &Upload) -> Result<Option<Vec<PartInfo>>> {
        let multipart = self.multipart()?;
        match self.retry(true, || multipart.list_parts(upload).try_collect()).await {
            Ok(parts) => Ok(Some(parts)),
            Err(error) if error.kind() == ErrorKind::UploadNotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The open uploads of a key.
    pub(crate) async fn list_uploads(&self, key: &ObjectKey) -> Result<Vec<UploadInfo>> {
        let multipart = self.multipart()?;
        self.retry(true, || multipart.list_uploads(key).try_collect()).await
    }

    /// Aborts an upload, which may be gone already.
    pub(crate) async fn abort(&self, upload: &Upload) -> Result<()> {
        let multipart = self.multipart()?;
        self.retry(true, || multipart.abort(upload)).await
    }
}
