//! What every listing needs: the two sides, which objects take part and under which names, and
//! where to sort what does not fit into memory.

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
    /// Where to put what does not fit into memory.
    pub(crate) spill_folder: PathBuf,
    /// How many bytes may be sorted in memory at once.
    pub(crate) sort_memory: usize,
    /// Whether a source folder that is empty may be the key of one object. For a mirror it is
    /// not: of an empty source it would leave nothing.
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

    /// Whether the filters take an object of the source.
    pub(crate) fn takes(&self, object: &ObjectMeta) -> bool {
        self.filter.takes(self.mapping.name(&object.key).as_bytes(), object)
    }

    /// Whether the filters take a key of the source, by its name alone.
    pub(crate) fn takes_name(&self, key: &ObjectKey) -> bool {
        self.filter.takes_name(self.mapping.name(key).as_bytes())
    }

    /// Takes an object out of the totals that the listing counted into them: an earlier run
    /// has counted it.
    pub(crate) fn uncount(&self, object: &ObjectMeta) {
        self.scheduler.counters.listed_objects.sub(1);
        self.scheduler.counters.listed_bytes.sub(object.size);
    }
}
