//! One run of a transfer: builds the state that its stages share.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use lepton_core::{ObjectKey, Result, SharedRuntime};

use crate::apply::context::Context;
use crate::ledger::journal::Log;
use crate::listing::case_collisions;
use crate::listing::lister::Lister;
use crate::listing::own_files::OwnFiles;
use crate::names::filter::Filter;
use crate::names::mapping::Mapping;
use crate::schedule::endpoint::Endpoint;
use crate::schedule::scheduler::Scheduler;
use crate::telemetry::counters::Counters;
use crate::telemetry::instrumented::instrumented;
use crate::transfer::options::{Following, Options};
use crate::types::side::Side;

/// One run of a transfer.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) options: Options,
    pub(crate) scheduler: Arc<Scheduler>,
    pub(crate) lister: Arc<Lister>,
    pub(crate) context: Arc<Context>,
    /// Which keys are the run's own: the journal and the source, if they are inside a side.
    pub(crate) own_files: OnceLock<OwnFiles>,
    /// This run compares the listings again with what earlier runs left.
    pub(crate) relists: bool,
    /// An earlier run reached the end of its listings: the objects that it moved count as
    /// unchanged, and not as moved by this run.
    pub(crate) follows_an_end: bool,
    planning: bool,
}

impl Run {
    /// A run that only plans.
    pub(crate) fn planning(options: Options, env: SharedRuntime) -> Result<Self> {
        let run = Self::new(options, env, Log::default(), BTreeSet::new(), std::env::temp_dir())?;
        Ok(Self { planning: true, ..run })
    }

    /// A run that spills to `spill_folder`.
    pub(crate) fn new(
        options: Options,
        env: SharedRuntime,
        log: Log,
        foreign: BTreeSet<String>,
        spill_folder: PathBuf,
    ) -> Result<Self> {
        let settings = &options.settings;
        let guards = options.following.guards();
        let filter = Arc::new(Filter::new(&settings.filters, env.now())?);
        let mapping = Arc::new(Mapping::of(&options.source, &options.destination, settings));
        let counters = Arc::<Counters>::default();
        let [source, destination] = [(Side::Source, &options.source), (Side::Destination, &options.destination)]
            .map(|(side, location)| (side, instrumented(location, side, &env, &counters)));
        let buffers_uploads = destination.1.storage().capabilities().buffers_uploads;
        let scheduler = Arc::new(Scheduler::new(env, settings, buffers_uploads, counters));
        let [source, destination] =
            [source, destination].map(|(side, location)| Endpoint::new(side, location, &scheduler));
        let mut lister = Lister::new(settings, (&source, &destination), (filter, mapping), spill_folder);
        // The objects that a follower copies may all be deleted.
        lister.source_may_be_empty |= options.following != Following::No;
        let lister = Arc::new(lister);
        let context = Arc::new(Context::new(settings.clone(), &lister, log, foreign, guards));
        Ok(Self {
            options,
            scheduler,
            lister,
            context,
            own_files: OnceLock::new(),
            relists: false,
            follows_an_end: false,
            planning: false,
        })
    }

    /// Whether the run only plans.
    pub(crate) fn is_planning(&self) -> bool {
        self.planning
    }

    /// Whether the destination is listed too, because its objects matter.
    pub(crate) fn compares_listings(&self) -> bool {
        self.planning || self.relists || self.options.compares_listings()
    }

    /// Checks first whether two names would be the same at the destination. A saved plan
    /// refused such objects when it was made.
    pub(crate) async fn look_at_names(&self) -> Result<()> {
        if self.options.plan.is_none()
            && let Some(folded) = case_collisions::names(&self.lister, self.options.keys.as_deref()).await?
        {
            self.context.folded.get_or_init(|| folded);
        }
        Ok(())
    }

    /// Whether this key of the source is a file of the run's own journal.
    pub(crate) fn is_own_file(&self, key: &ObjectKey) -> bool {
        self.own_files.get().is_some_and(|own| own.in_source(key))
    }

    /// Whether this key of the destination is a file of the run's own journal.
    pub(crate) fn is_own_file_there(&self, key: &ObjectKey) -> bool {
        self.own_files.get().is_some_and(|own| own.in_destination(key))
    }

    /// Whether this key of the destination is inside the source.
    pub(crate) fn is_inside_source(&self, key: &ObjectKey) -> bool {
        self.own_files.get().is_some_and(|own| own.is_source(key))
    }
}
