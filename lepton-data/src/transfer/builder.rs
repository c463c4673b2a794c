//! Describes a transfer.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use lepton_core::{Attribute, Error, Location, Result, SharedEnv, SystemEnv};

use crate::settings::compare_by::Compare;
use crate::settings::filters::Filters;
use crate::settings::prefix_map::PrefixMap;
use crate::settings::table::transfer_settings;
use crate::settings::transfer::{Existing, Metadata, TransferSettings};
use crate::transfer::options::{Options, check_settings, check_stores, check_versions};

/// A checked transfer, ready to be planned or run.
#[derive(Debug)]
pub struct Transfer {
    pub(crate) options: Options,
    pub(crate) env: SharedEnv,
}

impl Transfer {
    /// Describes a transfer.
    pub fn builder() -> TransferBuilder {
        TransferBuilder::default()
    }

    /// The attributes that objects of the source may have and the destination cannot keep,
    /// or not under all names or with all characters.
    /// Which object has one shows when it is read: its line of the manifest names what was
    /// lost, and with [`Metadata::Strict`](crate::Metadata::Strict) it fails.
    pub fn not_kept(&self) -> Vec<Attribute> {
        let [from, to] = [&self.options.source, &self.options.destination].map(|place| place.storage().capabilities());
        let narrower = |attribute: Attribute| match attribute {
            Attribute::UserMetadata => !to.metadata_names.include(from.metadata_names),
            Attribute::Tags => !to.tag_characters.include(from.tag_characters),
            _ => false,
        };
        let lost = |attribute: &Attribute| !to.keeps(*attribute) || narrower(*attribute);
        from.attributes.iter().copied().filter(lost).collect()
    }
}

/// Describes a transfer; made by [`Transfer::builder`].
#[derive(Debug, Default)]
#[must_use]
pub struct TransferBuilder {
    source: Option<Location>,
    destination: Option<Location>,
    settings: TransferSettings,
    journal: Option<PathBuf>,
    manifest: Option<PathBuf>,
    plan: Option<PathBuf>,
    keys: Option<PathBuf>,
    env: Option<SharedEnv>,
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

    /// The folder of the journal, made if need be. A run that was ended, however,
    /// is taken up by the same transfer on the same journal. Without one the run
    /// cannot be taken up.
    pub fn journal(mut self, folder: impl Into<PathBuf>) -> Self {
        self.journal = Some(folder.into());
        self
    }

    /// Where the manifest goes. Default: `manifest.jsonl` in the journal's folder;
    /// without a journal, no manifest is written.
    pub fn manifest(mut self, file: impl Into<PathBuf>) -> Self {
        self.manifest = Some(file.into());
        self
    }

    /// Moves the objects that a file names instead of all: a name behind the source's
    /// folder on each line, in any order, byte for byte as it is. Lines end in a line
    /// feed, with or without a carriage return before it. The source is asked for
    /// each and not listed; one that it has not is reported as failed. Filters still
    /// apply. Not with `delete`.
    pub fn from_list(mut self, file: impl Into<PathBuf>) -> Self {
        self.keys = Some(file.into());
        self
    }

    /// Carries out a plan that [`Transfer::save_plan`] wrote, of the same source and
    /// destination: just its actions, each only if source and destination are still
    /// as the plan saw them. What changed since is reported as failed and left.
    /// The settings for existing objects, comparison and filters have no meaning
    /// then; those for how much may be deleted have.
    pub fn saved_plan(mut self, file: impl Into<PathBuf>) -> Self {
        self.plan = Some(file.into());
        self
    }

    /// Replaces all settings.
    pub fn settings(mut self, settings: TransferSettings) -> Self {
        self.settings = settings;
        self
    }

    /// Injects the environment. Default: the system's.
    pub fn env(mut self, env: SharedEnv) -> Self {
        self.env = Some(env);
        self
    }

    /// Checks it all.
    ///
    /// # Errors
    /// `invalid_input`, naming the setting and what is allowed; `unsupported` if
    /// a store cannot serve as it is asked to.
    pub fn build(self) -> Result<Transfer> {
        let missing = |what: &str| Error::invalid_input(format!("a transfer needs a {what}"));
        let source = self.source.ok_or_else(|| missing("source"))?;
        let destination = self.destination.ok_or_else(|| missing("destination"))?;
        check_settings(&self.settings, self.plan.is_some())?;
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
                manifest: self.manifest,
                plan: self.plan,
                keys: self.keys,
            },
            env: self.env.unwrap_or_else(SystemEnv::shared),
        })
    }
}
