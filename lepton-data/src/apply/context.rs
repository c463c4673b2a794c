//! The shared state for moving objects to the destination: both sides, the journal, the
//! comparison of objects, and server-side copies.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use lepton_core::{Error, ObjectKey, Result, ServerCopy, UploadId};

use crate::compare::objects::Comparer;
use crate::ledger::journal::Log;
use crate::ledger::note::{Note, foreign_upload};
use crate::listing::lister::Lister;
use crate::names::case_folding::Folded;
use crate::schedule::endpoint::Endpoint;
use crate::schedule::lanes::Lane;
use crate::schedule::scheduler::Scheduler;
use crate::settings::transfer::TransferConfig;
use crate::types::layout::Layout;

/// Applies changes to the destination.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) settings: TransferConfig,
    pub(crate) source: Endpoint,
    pub(crate) destination: Endpoint,
    pub(crate) scheduler: Arc<Scheduler>,
    pub(crate) lister: Arc<Lister>,
    pub(crate) comparer: Comparer,
    pub(crate) log: Log,
    /// Only objects that the transfer is known to have written are replaced.
    pub(crate) guards: bool,
    /// The names of the source, if the destination does not distinguish upper and lower case.
    pub(crate) folded: OnceLock<Folded>,
    /// Uploads to our keys that another client started.
    foreign: Mutex<BTreeSet<String>>,
    no_server_copies: AtomicBool,
    server_copy_refused: Mutex<Option<String>>,
}

impl Context {
    pub(crate) fn new(
        settings: TransferConfig,
        lister: &Arc<Lister>,
        log: Log,
        foreign: BTreeSet<String>,
        guards: bool,
    ) -> Self {
        Self {
            comparer: Comparer::new(&settings, &lister.source, &lister.destination),
            settings,
            source: lister.source.clone(),
            destination: lister.destination.clone(),
            scheduler: Arc::clone(&lister.scheduler),
            lister: Arc::clone(lister),
            log,
            guards,
            folded: OnceLock::new(),
            foreign: Mutex::new(foreign),
            no_server_copies: AtomicBool::new(false),
            server_copy_refused: Mutex::default(),
        }
    }

    /// How an object of `size` bytes is sent.
    ///
    /// # Errors
    /// `too_large`.
    pub(crate) fn layout(&self, size: u64) -> Result<Layout> {
        Layout::choose(size, self.settings.part_size, self.destination.capabilities())
    }

    /// The lane of an object of `size` bytes.
    pub(crate) fn lane(&self, size: u64) -> Lane {
        Lane::of(size, self.settings.part_size, self.destination.capabilities())
    }

    /// Whether an object of the source has this name at the destination, where names that
    /// differ only in case are the same.
    pub(crate) fn is_a_name(&self, there: &ObjectKey) -> bool {
        self.folded.get().is_some_and(|folded| folded.holds(there))
    }

    /// The server-side copier, if the destination has one that can read the source.
    pub(crate) fn copier(&self) -> Option<&dyn ServerCopy> {
        let settings = &self.settings;
        let wanted = settings.server_copy && !settings.record_digest && !self.no_server_copies.load(Relaxed);
        self.copier_from(&self.source).filter(|_| wanted)
    }

    /// The server-side copier, if the destination has one that can read `from` and is allowed
    /// to. A copy on a local disk cannot keep a bandwidth limit, so it is not used if one is set.
    pub(crate) fn copier_from(&self, from: &Endpoint) -> Option<&dyn ServerCopy> {
        let url = from.storage().copy_url()?;
        let copier = self.destination.storage().server_copy().filter(|copier| copier.reaches(url))?;
        (!self.destination.capabilities().copies_locally || !self.scheduler.bandwidth.is_set()).then_some(copier)
    }

    /// Records why the store did not copy an object. With `for_good`, no other object is
    /// tried.
    pub(crate) fn refuse_server_copies(&self, error: &Error, for_good: bool) {
        if for_good {
            self.no_server_copies.store(true, Relaxed);
        }
        let mut first = self.server_copy_refused.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| error.full_message());
    }

    /// Why the store first refused to copy an object by itself.
    pub(crate) fn server_copy_refused(&self) -> Option<String> {
        self.server_copy_refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Records an upload to one of our keys that is left alone.
    pub(crate) fn note_foreign(&self, key: &ObjectKey, id: &UploadId) -> Result<()> {
        self.foreign.lock().unwrap_or_else(PoisonError::into_inner).insert(foreign_upload(key, id));
        self.log.note(&Note::ForeignUpload { key: key.clone(), id: id.clone() })
    }

    pub(crate) fn foreign_uploads(&self) -> Vec<String> {
        self.foreign.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}
