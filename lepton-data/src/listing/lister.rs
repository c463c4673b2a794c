//! What every listing needs: the two sides, the filters, the mapping of names, and where to sort
//! data that does not fit into memory.

use std::path::PathBuf;
use std::sync::Arc;

use lepton_core::{ObjectKey, ObjectMeta};

use crate::listing::external_sort::{Keyed, Sorter};
use crate::names::filter::Filter;
use crate::names::mapping::Mapping;
use crate::schedule::endpoint::Endpoint;
use crate::schedule::scheduler::Scheduler;
use crate::settings::transfer::TransferSettings;
use crate::types::side::Side;

/// Lists the two sides of a transfer.
#[derive(Debug)]
pub(crate) struct Lister {
    pub(crate) source: Endpoint,
    pub(crate) destination: Endpoint,
    pub(crate) scheduler: Arc<Scheduler>,
    pub(crate) filter: Filter,
    pub(crate) mapping: Arc<Mapping>,
    /// The folder for data that does not fit into memory.
    pub(crate) spill_folder: PathBuf,
    /// How many bytes one sorter may hold in memory.
    pub(crate) sort_memory: usize,
    /// Whether an empty source folder may be the key of one object. Not for a mirror, which
    /// deletes everything at the destination if its source is empty.
    pub(crate) source_may_be_one: bool,
}

impl Lister {
    pub(crate) fn new(
        settings: &TransferSettings,
        (source, destination): (&Endpoint, &Endpoint),
        (filter, mapping): (Filter, Arc<Mapping>),
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
        }
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
