//! What all stages of one run share.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use lepton_core::{
    Capabilities, Error, Location, Multipart, ObjectKey, Result, ServerCopy, SharedEnv, SharedStorage, UploadId,
};

use crate::compare::rules::Rules;
use crate::ledger::journal::{Log, Note, foreign};
use crate::listing::own_files::OwnFiles;
use crate::names::case_folding::Folded;
use crate::names::filter::Filter;
use crate::names::mapping::Mapping;
use crate::schedule::control::{Control, Pool};
use crate::schedule::lanes::{Lane, Lanes};
use crate::schedule::rate_limit::Pace;
use crate::telemetry::counters::Counters;
use crate::telemetry::instrumented::measured;
use crate::telemetry::progress::Progress;
use crate::transfer::options::Options;
use crate::types::entry::Layout;
use crate::types::side::Side;

/// One run of a transfer.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) options: Options,
    pub(crate) env: SharedEnv,
    pub(crate) log: Log,
    pub(crate) pool: Pool,
    pub(crate) control: Control,
    pub(crate) counters: Arc<Counters>,
    /// Uploads of our keys that somebody else has begun.
    pub(crate) foreign: Mutex<BTreeSet<String>>,
    pub(crate) begun: Duration,
    /// Bytes that are read of the source.
    pub(crate) bandwidth: Arc<Pace>,
    pub(crate) requests: Arc<Pace>,
    pub(crate) filter: Filter,
    pub(crate) mapping: Arc<Mapping>,
    /// The names of the source, where the destination does not tell upper from lower case.
    pub(crate) folded: OnceLock<Folded>,
    /// How the listings of the two sides compare.
    pub(crate) rules: Rules,
    /// Where the journal lies, if inside of one of the sides.
    pub(crate) own_files: OnceLock<OwnFiles>,
    /// What runs before this one left, which compares the lists anew.
    pub(crate) relists: bool,
    /// A run before this one came to the end of its listings: what it brought is the
    /// same by now, and not a part of this run.
    pub(crate) follows_an_end: bool,
    planning: bool,
    no_server_copies: AtomicBool,
    server_copy_refused: Mutex<Option<String>>,
}

impl Run {
    /// A run that only looks.
    pub(crate) fn planning(options: Options, env: SharedEnv) -> Result<Self> {
        Ok(Self { planning: true, ..Self::new(options, env, Log::default(), BTreeSet::new())? })
    }

    /// Whether the run only looks.
    pub(crate) fn is_planning(&self) -> bool {
        self.planning
    }

    /// Whether this key of the source is a file of the run's own journal.
    pub(crate) fn is_own_file(&self, key: &ObjectKey) -> bool {
        self.own_files.get().is_some_and(|own| own.in_source(key))
    }

    /// Whether this key of the destination lies inside the source.
    pub(crate) fn is_inside_source(&self, key: &ObjectKey) -> bool {
        self.own_files.get().is_some_and(|own| own.is_source(key))
    }

    /// The same of a key of the destination.
    pub(crate) fn is_own_file_there(&self, key: &ObjectKey) -> bool {
        self.own_files.get().is_some_and(|own| own.in_destination(key))
    }

    /// Where to put what does not fit into memory.
    pub(crate) fn spill_folder(&self) -> PathBuf {
        self.options.journal.clone().filter(|_| !self.planning).unwrap_or_else(std::env::temp_dir)
    }

    /// How many bytes may be sorted in memory at once.
    pub(crate) fn sort_memory(&self) -> usize {
        usize::try_from(self.options.settings.memory / 8).unwrap_or(usize::MAX)
    }

    /// Who copies without the bytes passing through here, if somebody does.
    pub(crate) fn copier(&self) -> Option<&dyn ServerCopy> {
        let settings = &self.options.settings;
        let wanted = settings.server_copy && !settings.record_digest && !self.no_server_copies.load(Relaxed);
        self.copier_from(self.source()).filter(|_| wanted)
    }

    /// Who copies from there to the destination, if somebody does and the source allows
    /// it. A disk of this machine keeps to no bandwidth, so that where one is set nobody
    /// is asked.
    pub(crate) fn copier_from(&self, from: &SharedStorage) -> Option<&dyn ServerCopy> {
        let url = from.copy_url()?;
        let copier = self.destination().server_copy().filter(|copier| copier.reaches(url))?;
        (!self.target().copies_here || !self.bandwidth.is_set()).then_some(copier)
    }

    /// Notes why the store did not copy an object, and whether it is to be asked
    /// again for others.
    pub(crate) fn refuse_server_copies(&self, error: &Error, for_good: bool) {
        if for_good {
            self.no_server_copies.store(true, Relaxed);
        }
        let mut first = self.server_copy_refused.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| error.report());
    }

    /// Why the store did not copy by itself, the first time.
    pub(crate) fn server_copy_refused(&self) -> Option<String> {
        self.server_copy_refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether what is at the destination matters, so that it is listed too.
    pub(crate) fn compares_listings(&self) -> bool {
        self.planning || self.relists || self.options.compares_listings()
    }

    pub(crate) fn new(options: Options, env: SharedEnv, log: Log, foreign: BTreeSet<String>) -> Result<Self> {
        let counters = Arc::default();
        let options = Options {
            source: measured(&options.source, Side::Source, &env, &counters),
            destination: measured(&options.destination, Side::Destination, &env, &counters),
            ..options
        };
        let settings = &options.settings;
        let (from, to) = (options.source.storage().capabilities(), options.destination.storage().capabilities());
        let control = Control::new();
        let places = settings.concurrency.get();
        let lanes = Lanes::new(Arc::clone(&env), places, settings.memory, settings.adaptive);
        Ok(Self {
            log,
            pool: Pool::new(lanes, to.holds_uploads, control.clone()),
            control,
            counters,
            foreign: Mutex::new(foreign),
            begun: env.uptime(),
            bandwidth: Arc::new(Pace::new(Arc::clone(&env), settings.bandwidth)),
            requests: Arc::new(Pace::new(Arc::clone(&env), settings.requests_per_second)),
            mapping: Arc::new(Mapping::of(&options.source, &options.destination, settings)),
            filter: Filter::new(&settings.filters, env.now())?,
            folded: OnceLock::new(),
            rules: Rules::new(settings.compare, settings.time_window, from, to),
            own_files: OnceLock::new(),
            relists: false,
            follows_an_end: false,
            planning: false,
            no_server_copies: AtomicBool::new(false),
            server_copy_refused: Mutex::default(),
            options,
            env,
        })
    }

    /// Whether an object of the source has this name at the destination in another case,
    /// where that is the same.
    pub(crate) fn is_a_name(&self, there: &ObjectKey) -> bool {
        self.folded.get().is_some_and(|folded| folded.holds(there))
    }

    /// The lane in which an object of this size travels.
    pub(crate) fn lane(&self, size: u64) -> Lane {
        let layout = Layout::choose(size, self.options.settings.part_size, self.target());
        if layout.is_ok_and(|layout| layout.multipart) { Lane::Parts } else { Lane::Small }
    }

    pub(crate) fn location(&self, side: Side) -> &Location {
        match side {
            Side::Source => &self.options.source,
            Side::Destination => &self.options.destination,
        }
    }

    pub(crate) fn source(&self) -> &SharedStorage {
        self.options.source.storage()
    }

    pub(crate) fn destination(&self) -> &SharedStorage {
        self.options.destination.storage()
    }

    pub(crate) fn target(&self) -> &Capabilities {
        self.destination().capabilities()
    }

    /// The destination's facet for uploads in parts; layouts ask for parts only
    /// where there is one.
    pub(crate) fn multipart(&self) -> Result<&dyn Multipart> {
        self.destination().multipart().ok_or_else(|| Error::unsupported("the destination takes no uploads in parts"))
    }

    /// Notes an upload of one of our keys that is left alone.
    pub(crate) fn note_foreign(&self, key: &ObjectKey, id: &UploadId) -> Result<()> {
        self.foreign.lock().unwrap_or_else(PoisonError::into_inner).insert(foreign(key, id));
        self.log.note(&Note::ForeignUpload { key: key.clone(), id: id.clone() })
    }

    pub(crate) fn foreign_uploads(&self) -> Vec<String> {
        self.foreign.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Says what the run has measured.
    pub(crate) fn say_metrics(&self) {
        self.counters.metrics.say(&self.progress(), self.counters.read_bytes.load(Relaxed));
    }

    pub(crate) fn progress(&self) -> Progress {
        self.counters.snapshot(self.env.uptime().saturating_sub(self.begun), self.pool.lanes.progress())
    }
}
