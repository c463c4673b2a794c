//! What every listing needs: the two sides, the filters, the mapping of names, and where to sort
//! data that does not fit into memory.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use lepton_core::{KeyHandling, ListPage, ListRequest, ObjectKey, ObjectMeta, PassedOver, Unlisted, UnwantedFolders};

use crate::listing::external_sort::{Keyed, Sorter};
use crate::names::filter::Filter;
use crate::names::mapping::Mapping;
use crate::schedule::endpoint::Endpoint;
use crate::schedule::scheduler::Scheduler;
use crate::settings::transfer::TransferConfig;
use crate::types::side::Side;

/// Lists the two sides of a transfer.
#[derive(Debug)]
pub(crate) struct Lister {
    pub(crate) source: Endpoint,
    pub(crate) destination: Endpoint,
    pub(crate) scheduler: Arc<Scheduler>,
    pub(crate) filter: Arc<Filter>,
    pub(crate) mapping: Arc<Mapping>,
    /// The folder for data that does not fit into memory.
    pub(crate) spill_folder: PathBuf,
    /// How many bytes one sorter may hold in memory.
    pub(crate) sort_memory: usize,
    /// Whether an empty source folder may be the key of one object. Not for a mirror, which
    /// deletes everything at the destination if its source is empty.
    pub(crate) source_may_be_one: bool,
    /// Whether a folder of the source may have nothing in it.
    pub(crate) source_may_be_empty: bool,
    /// What could not be listed and was not taken yet.
    unlisted: Mutex<Vec<Unlisted>>,
}

impl Lister {
    pub(crate) fn new(
        settings: &TransferConfig,
        (source, destination): (&Endpoint, &Endpoint),
        (filter, mapping): (Arc<Filter>, Arc<Mapping>),
        spill_folder: PathBuf,
    ) -> Self {
        Self {
            source: source.clone(),
            destination: destination.clone(),
            scheduler: Arc::clone(source.scheduler()),
            filter,
            mapping,
            spill_folder,
            sort_memory: usize::try_from(settings.memory / 8).unwrap_or(usize::MAX),
            source_may_be_one: !settings.delete,
            source_may_be_empty: settings.allow_empty,
            unlisted: Mutex::default(),
        }
    }

    /// A request for a listing of a side. What cannot be listed does not end it, and folders
    /// that the filters exclude are left unread.
    pub(crate) fn request(&self, side: Side) -> ListRequest {
        let request = ListRequest::new().attributes(true).tolerant(true);
        if side == Side::Destination || !self.mapping.is_empty() {
            return request;
        }
        let (filter, folder) = (Arc::clone(&self.filter), self.source.folder());
        request.unwanted(Some(UnwantedFolders::new(move |key| {
            key.strip_prefix(folder.as_bytes()).is_some_and(|name| filter.excludes_below(name))
        })))
    }

    /// Records what a page could not list or passed over, before its objects are handed on.
    pub(crate) fn record_gaps(&self, side: Side, page: &mut ListPage) {
        if side == Side::Source {
            self.scheduler.counters.pass_over(page.passed_over);
        }
        let unlisted = page.unlisted.drain(..).map(|one| Unlisted::new(one.key, side.mark(one.error)));
        self.unlisted.lock().unwrap_or_else(PoisonError::into_inner).extend(unlisted);
    }

    /// Whether a listed object is passed over: a folder marker at the root of its side, which
    /// belongs to the folder and not to its content, or one that the destination cannot hold.
    pub(crate) fn passes_over(&self, side: Side, object: &ObjectMeta) -> bool {
        if object.size > 0 || !object.key.as_bytes().ends_with(b"/") {
            return false;
        }
        let handling = self.destination.capabilities().keys.trailing_slash;
        let refused = matches!(handling, KeyHandling::Refused | KeyHandling::Changed) && !self.mapping.encodes();
        (side == Side::Source && refused) || object.key.as_bytes() == self.endpoint(side).folder().as_bytes()
    }

    /// Counts folder markers of the source that are passed over.
    pub(crate) fn pass_over_markers(&self, count: usize) {
        let mut passed_over = PassedOver::default();
        passed_over.folder_markers = count as u64;
        self.scheduler.counters.pass_over(passed_over);
    }

    /// Whether something could not be listed.
    pub(crate) fn has_unlisted(&self) -> bool {
        !self.unlisted.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Forgets what a listing found that only looked at the names.
    pub(crate) fn forget(&self) {
        self.scheduler.counters.forget_passed_over();
        self.take_unlisted();
    }

    /// Takes what could not be listed since the last call. Everything before an object that was
    /// handed on is in it, or was.
    pub(crate) fn take_unlisted(&self) -> Vec<Unlisted> {
        std::mem::take(&mut self.unlisted.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn endpoint(&self, side: Side) -> &Endpoint {
        match side {
            Side::Source => &self.source,
            Side::Destination => &self.destination,
        }
    }

    pub(crate) fn sorter<T: Keyed>(&self) -> Sorter<T> {
        Sorter::new(&self.spill_folder, self.sort_memory)
    }

    /// Whether the filters include an object of the source.
    pub(crate) fn takes(&self, object: &ObjectMeta) -> bool {
        self.filter.takes(self.mapping.name(&object.key).as_bytes(), object)
    }

    /// Whether the filters include a key of the source, by its name alone.
    pub(crate) fn takes_name(&self, key: &ObjectKey) -> bool {
        self.filter.takes_name(self.mapping.name(key).as_bytes())
    }

    /// Subtracts an object from the totals of the listing, because it is already counted or
    /// will be counted elsewhere.
    pub(crate) fn uncount(&self, object: &ObjectMeta) {
        self.scheduler.counters.uncount(object.size);
    }
}
