//! Opens the journal and decides whether a run resumes what earlier runs left, compares
//! the listings again with what they proved, or starts from nothing.

use std::path::Path;
use std::sync::Arc;

use lepton_core::journal::{Identity, Journal, Opened, Replay};
use lepton_core::{Error, ErrorKind, Result, SharedRuntime};

use crate::ledger::journal::Log;
use crate::ledger::resumed::Resumed;
use crate::ledger::{plan_file, proofs};
use crate::listing::key_list;
use crate::names::mapping::Mapping;
use crate::settings::transfer::ExistingPolicy;
use crate::transfer::options::{Following, Options};

/// The parts of the identity that must be equal for open uploads to be of use.
const PLACES: [&str; 7] =
    ["source", "source_folder", "destination", "destination_folder", "map", "encode_keys", "decode_keys"];

/// Opens the journal and reads what earlier runs left. A new journal replaces one whose
/// run has finished. Blocks.
pub(crate) fn journal(env: &SharedRuntime, options: &Options, folder: &Path) -> Result<(Log, Resumed)> {
    let plan = options.plan.as_ref().map(|file| plan_file::check(file, &options.plan_header())).transpose()?;
    let keys = options.keys.as_deref().map(key_list::digest).transpose()?;
    let opening = Opening {
        env,
        options,
        folder,
        identity: options.identity(plan, keys)?,
        mapping: Mapping::of(&options.source, &options.destination, &options.settings),
    };
    let opened = match opening.open() {
        Ok(opened) => opened,
        Err(error) => return opening.refused(error).map_err(|error| named(error, folder)),
    };
    // Another follower may have used the journal in the meantime. A round whose caller is gone must
    // not change it any more.
    if options.caller.as_ref().is_some_and(|caller| caller.strong_count() == 0) {
        return Err(Error::new(ErrorKind::Cancelled, "the round was dropped before it began"));
    }
    let Opened { journal, replay } = opened;
    let Some(replay) = replay else {
        let mut resumed = Resumed::default();
        opening.seed(&resumed)?;
        resumed.proofs = matches!(options.following, Following::Back(_)).then(|| proofs::path(folder));
        return Ok((Log::new(journal), resumed));
    };
    let resumed = opening.load(replay.clone())?;
    opening.seed(&resumed)?;
    if !resumed.finished && !opening.lists_anew(&resumed) {
        return Ok((Log::new(journal), resumed));
    }
    let keeps = !resumed.finished || options.following != Following::No;
    if keeps && (options.settings.versions || options.begin_anew) {
        proofs::discard(folder)?;
    } else if keeps {
        if resumed.finished {
            // The journal proves every object; older proofs are of objects that are gone.
            proofs::discard(folder)?;
        }
        proofs::gather(folder, &opening.identity, replay, &opening.mapping)?;
    }
    // The code below locks the folder again.
    drop(journal);
    if keeps { opening.restart(&resumed) } else { opening.anew() }
}

/// An error with the journal's folder, unless it names a path already.
fn named(error: Error, folder: &Path) -> Error {
    if error.context("path").is_some() { error } else { error.with_context("journal", folder.display()) }
}

struct Opening<'a> {
    env: &'a SharedRuntime,
    options: &'a Options,
    folder: &'a Path,
    identity: Identity,
    mapping: Mapping,
}

impl Opening<'_> {
    fn open(&self) -> Result<Opened> {
        Journal::open(Arc::clone(self.env), self.folder, &self.identity)
    }

    /// Before the first round back, writes the proofs of the transfer whose direction is reversed.
    /// Later rounds have proofs of their own. The journal must be open, and so locked.
    fn seed(&self, resumed: &Resumed) -> Result<()> {
        let Following::Back(manifest) = &self.options.following else { return Ok(()) };
        if !resumed.is_nothing() || resumed.anew || proofs::path(self.folder).exists() {
            return Ok(());
        }
        proofs::reverse(self.folder, &self.identity, manifest, &self.mapping)
    }

    fn load(&self, replay: Replay) -> Result<Resumed> {
        Resumed::load(replay, &self.mapping)
    }

    /// Decides what to do with a journal that cannot be opened for this run.
    fn refused(&self, error: Error) -> Result<(Log, Resumed)> {
        // What is known of a guarded destination belongs to the old options.
        match error.kind() {
            ErrorKind::PlanMismatch if !self.options.following.guards() => {}
            ErrorKind::Corrupt if self.options.begin_anew => return self.anew(),
            _ => return Err(error),
        }
        let replay = Replay::of(self.folder)?;
        let resumed = self.load(replay.clone())?;
        if resumed.finished || resumed.is_nothing() {
            // A run that has finished or has started nothing does not bind the next run.
            return self.anew();
        }
        let (before, now) = (replay.identity(), &self.identity);
        let same_places = PLACES.iter().all(|name| before.get(*name) == now.get(*name));
        // A saved plan that came to its end leaves nothing for a later plan.
        if same_places && (self.lists_anew(&resumed) || resumed.ended) {
            // Proofs under other options are not reused.
            proofs::discard(self.folder)?;
            return self.restart(&resumed);
        }
        if self.options.begin_anew { self.anew() } else { Err(error) }
    }

    /// Whether the source is listed from its beginning, and compared with what earlier runs
    /// left, because a proof holds only for an object that has not changed since. A run
    /// that compares nothing and was interrupted resumes where it was. So does a run of a
    /// saved plan, and a run of histories, whose versions are proven one after the other.
    fn lists_anew(&self, resumed: &Resumed) -> bool {
        let listed = self.options.plan.is_none() && (!self.options.settings.versions || resumed.ended);
        let compares = self.options.compares_listings() || resumed.anew || resumed.ended || resumed.unlisted;
        self.options.begin_anew || (listed && compares)
    }

    /// Opens a new journal, with nothing of the old one.
    fn anew(&self) -> Result<(Log, Resumed)> {
        proofs::discard(self.folder)?;
        Journal::discard(self.folder)?;
        Ok((Log::new(self.open()?.journal), Resumed::default()))
    }

    /// Opens a new journal with the open work of the old one, and with its proofs in a
    /// file next to it.
    fn restart(&self, resumed: &Resumed) -> Result<(Log, Resumed)> {
        let failed = self.options.settings.existing == ExistingPolicy::Fail;
        Journal::restart(self.folder, &self.identity, &resumed.carried(failed)?)?;
        let Opened { journal, replay, .. } = self.open()?;
        let mut carried = replay.map(|replay| self.load(replay)).transpose()?.unwrap_or_default();
        carried.proofs = Some(proofs::path(self.folder)).filter(|path| path.exists());
        carried.ended = resumed.ended;
        Ok((Log::new(journal), carried))
    }
}
