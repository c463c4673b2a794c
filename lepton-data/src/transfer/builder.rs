//! Describes a transfer.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use lepton_core::{Attribute, Error, Location, MetadataNames, Result, SharedRuntime, SystemRuntime};

use crate::ledger::verification::VerifyDepth;
use crate::settings::compare_by::Compare;
use crate::settings::filters::Filters;
use crate::settings::prefix_map::PrefixMap;
use crate::settings::table::transfer_settings;
use crate::settings::transfer::{ExistingPolicy, MetadataPolicy, TransferConfig};
use crate::telemetry::observer::{ObjectEvent, Observer};
use crate::transfer::options::{Following, Options, check_settings, check_stores, check_versions};
use crate::types::unprotected::Unprotected;

/// A checked transfer, ready to be planned or run.
#[derive(Debug)]
#[must_use = "it does nothing until it is planned or run"]
pub struct Transfer {
    pub(crate) options: Options,
    pub(crate) env: SharedRuntime,
}

impl Transfer {
    /// Describes a transfer.
    pub fn builder() -> TransferBuilder {
        TransferBuilder::default()
    }

    /// The attributes that objects of the source may have and the destination cannot keep,
    /// or keeps only under some names or with some characters. Names of user metadata that no
    /// header can have are not counted: only files have them, and few do.
    /// Whether an object has one is known when it is read: its manifest line names what was
    /// lost, and with [`MetadataPolicy::Strict`](crate::MetadataPolicy::Strict) the object fails.
    pub fn lossy_attributes(&self) -> Vec<Attribute> {
        let [from, to] = [&self.options.source, &self.options.destination].map(|side| side.storage().capabilities());
        let narrower = |attribute: Attribute| match attribute {
            Attribute::UserMetadata if to.metadata_names == MetadataNames::Headers => false,
            Attribute::UserMetadata => !to.metadata_names.include(from.metadata_names),
            Attribute::Tags => !to.tag_characters.include(from.tag_characters),
            _ => false,
        };
        let lost = |attribute: &Attribute| !to.keeps(*attribute) || narrower(*attribute);
        from.attributes.iter().copied().filter(lost).collect()
    }

    /// The changes by other clients that the destination does not protect in such a run;
    /// [`Report::unprotected`](crate::Report::unprotected) names the same.
    pub fn unprotected(&self) -> Vec<Unprotected> {
        self.options.unprotected()
    }
}

/// Describes a transfer; made by [`Transfer::builder`].
#[derive(Debug, Default)]
#[must_use]
pub struct TransferBuilder {
    source: Option<Location>,
    destination: Option<Location>,
    settings: TransferConfig,
    journal: Option<PathBuf>,
    begin_anew: bool,
    manifest: Option<PathBuf>,
    plan: Option<PathBuf>,
    keys: Option<PathBuf>,
    env: Option<SharedRuntime>,
    observer: Observer,
    verify: Option<VerifyDepth>,
}

macro_rules! setters {
    ($(
        $(#[doc = $doc:literal])+
        $(#[serde($($serde:tt)*)])?
        $name:ident: $type:ty = $default:expr, $identity:ident;
    )*) => {
        /// The settings, one by one.
        impl TransferBuilder {
            $($(#[doc = $doc])+
            pub fn $name(mut self, $name: $type) -> Self {
                self.settings.$name = $name;
                self
            })*
        }
    };
}

transfer_settings!(setters);

impl TransferBuilder {
    /// Where the objects come from: a store, or a folder in one.
    pub fn from(mut self, source: impl Into<Location>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Where the objects go: a store, or a folder in one.
    pub fn to(mut self, destination: impl Into<Location>) -> Self {
        self.destination = Some(destination.into());
        self
    }

    /// The folder of the journal, created if it is missing. However a run ended, the
    /// same transfer on the same journal resumes it. Without a journal, a run cannot be
    /// resumed.
    pub fn journal(mut self, folder: impl Into<PathBuf>) -> Self {
        self.journal = Some(folder.into());
        self
    }

    /// Gives up an unfinished run that left its journal: this run looks at everything again and
    /// accepts other settings. Uploads that the other run left are resumed or aborted, unless it
    /// had another source or destination. Default false.
    pub fn begin_anew(mut self, anew: bool) -> Self {
        self.begin_anew = anew;
        self
    }

    /// The file to write the manifest to. Default: `manifest.jsonl` in the journal's folder;
    /// without a journal, no manifest is written.
    pub fn manifest(mut self, file: impl Into<PathBuf>) -> Self {
        self.manifest = Some(file.into());
        self
    }

    /// Moves only the objects that a file names. Each line is one name, relative to the
    /// source's folder and byte for byte as it is, in any order. Lines end in a line
    /// feed, with or without a carriage return before it. The source is not listed: each
    /// object is requested by its key, and a missing one is reported as failed. Filters
    /// still apply. Cannot be combined with `delete`.
    pub fn from_list(mut self, file: impl Into<PathBuf>) -> Self {
        self.keys = Some(file.into());
        self
    }

    /// Carries out a plan that [`Transfer::save_plan`] wrote for the same source and
    /// destination. Only its actions are done, each only if source and destination are
    /// still as the plan saw them. An object that changed since is left alone and
    /// reported as failed. The settings for existing objects, comparison and filters are
    /// ignored; the limits on deletes apply.
    pub fn saved_plan(mut self, file: impl Into<PathBuf>) -> Self {
        self.plan = Some(file.into());
        self
    }

    /// Replaces all settings.
    pub fn config(mut self, config: TransferConfig) -> Self {
        self.settings = config;
        self
    }

    /// Injects the environment. Default: the system's.
    pub fn runtime(mut self, runtime: SharedRuntime) -> Self {
        self.env = Some(runtime);
        self
    }

    /// Compares the destination with the manifest at the end of a complete run:
    /// [`Report::verification`](crate::Report::verification). If this is interrupted, the run is
    /// not finished: the same transfer on the same journal copies nothing again and verifies.
    /// Needs a journal or a path for the manifest.
    pub fn verify(mut self, depth: Option<VerifyDepth>) -> Self {
        self.verify = depth;
        self
    }

    /// Calls `observer` for each object that starts and ends, for example to list what is in
    /// flight. It is called by the run itself, so it must not block, and not panic: the run
    /// waits for it.
    pub fn on_object(mut self, observer: impl Fn(&ObjectEvent) + Send + Sync + 'static) -> Self {
        self.observer = Observer::new(observer);
        self
    }

    /// Checks the description and builds the transfer.
    ///
    /// # Errors
    /// `invalid_input`, naming the setting and what is allowed; `unsupported` if
    /// a store lacks a capability that the settings need.
    pub fn build(self) -> Result<Transfer> {
        let missing = |what: &str| Error::invalid_input(format!("a transfer needs a {what}"));
        let source = self.source.ok_or_else(|| missing("source"))?;
        let destination = self.destination.ok_or_else(|| missing("destination"))?;
        check_settings(&self.settings, self.plan.is_some())?;
        if self.verify.is_some() && self.journal.is_none() && self.manifest.is_none() {
            return Err(Error::invalid_input("verify needs a manifest: set a journal, or the manifest's path"));
        }
        check_stores(&self.settings, &source, &destination)?;
        if self.keys.is_some() && (self.settings.delete || self.plan.is_some()) {
            return Err(Error::invalid_input("a list of keys goes neither with delete nor with a saved plan"));
        }
        if self.settings.versions {
            let given = [("a list of keys", self.keys.is_some()), ("a saved plan", self.plan.is_some())];
            check_versions(&self.settings, given, &source, &destination)?;
        }
        Ok(Transfer {
            options: Options {
                source,
                destination,
                settings: self.settings,
                journal: self.journal,
                begin_anew: self.begin_anew,
                manifest: self.manifest,
                plan: self.plan,
                keys: self.keys,
                following: Following::No,
                caller: None,
                observer: self.observer,
                verify: self.verify,
            },
            env: self.env.unwrap_or_else(SystemRuntime::shared),
        })
    }
}
