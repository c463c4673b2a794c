//! The options that say what becomes of objects that are at the destination already.

use std::time::Duration;

use clap::{Args, ValueEnum};
use lepton::{Compare, Existing, TransferSettings};

use super::options::time;

/// What becomes of what is there, and how it is compared.
///
/// The default of `--existing` is no value of clap's: a value that nobody gave must
/// never be taken for one that contradicts a short form.
#[derive(Debug, Args)]
pub(crate) struct Policy {
    /// What to do with objects that are there already
    /// [default: overwrite; the program `sync` has if-different].
    #[arg(long, value_enum, group = "policy")]
    existing: Option<WhatExists>,
    /// Copy only what differs: --existing if-different.
    #[arg(long, group = "policy")]
    sync: bool,
    /// As --sync, and leave what was written after the source: --existing if-newer.
    #[arg(long, group = "policy")]
    update: bool,
    /// Leave whatever is there: --existing skip.
    #[arg(long, group = "policy")]
    ignore_existing: bool,
    /// Report what is there and differs as failed: --existing immutable.
    #[arg(long, group = "policy")]
    immutable: bool,
    /// By what objects are compared, where --existing asks for it [default: auto].
    #[arg(long, value_enum, group = "comparison")]
    compare: Option<WhatCompares>,
    /// Compare checksums, reading what has none that compares: --compare checksum.
    #[arg(long, group = "comparison")]
    checksum: bool,
    /// How far clocks may be apart and how coarse time stamps are, where times are
    /// compared [default: 2s].
    #[arg(long, value_name = "TIME", value_parser = time)]
    time_window: Option<Duration>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum WhatExists {
    /// Replace them.
    Overwrite,
    /// Leave them.
    Skip,
    /// Leave them and report them as failed.
    Fail,
    /// Replace those that differ.
    IfDifferent,
    /// Replace those that differ and were not written after the source.
    IfNewer,
    /// Leave them and report those that differ as failed.
    Immutable,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum WhatCompares {
    /// ETag where it is an MD5 on both sides, else time.
    Auto,
    /// Size alone.
    Size,
    /// Size and time.
    Time,
    /// ETag alone.
    Etag,
    /// Checksums that the stores keep; a side without is read.
    Checksum,
    /// Every byte of both sides.
    Content,
}

impl Policy {
    /// Enters the options into the settings. `default` is what the program does with
    /// objects that are there already, unless it is told.
    pub(crate) fn enter(&self, settings: &mut TransferSettings, default: Existing) {
        settings.existing = self.existing().unwrap_or(default);
        settings.compare = self.compare().unwrap_or(settings.compare);
        settings.time_window = self.time_window.unwrap_or(settings.time_window);
    }

    /// Names an option that these settings leave without any effect.
    pub(crate) fn refused(&self, settings: &TransferSettings) -> Option<String> {
        let compares = matches!(settings.existing, Existing::IfDifferent | Existing::IfNewer | Existing::Immutable);
        let times = matches!(settings.compare, Compare::Auto | Compare::Time) && !settings.versions;
        if self.compare().is_some() && !compares && !settings.versions {
            let name = if self.checksum { "--checksum" } else { "--compare" };
            return Some(format!(
                "the argument '{name}' has no effect where nothing is compared; \
                 add --sync, --update or --immutable"
            ));
        }
        let window = compares && (times || settings.existing == Existing::IfNewer);
        (self.time_window.is_some() && !window).then(|| {
            "the argument '--time-window' has no effect where no times are compared; \
             add --sync, --update or --immutable, and compare by auto or time"
                .to_owned()
        })
    }

    /// What was asked for; clap lets only one of the options pass.
    fn existing(&self) -> Option<Existing> {
        let short = [
            (self.sync, Existing::IfDifferent),
            (self.update, Existing::IfNewer),
            (self.ignore_existing, Existing::Skip),
            (self.immutable, Existing::Immutable),
        ];
        let given = short.into_iter().find_map(|(is_given, existing)| is_given.then_some(existing));
        given.or_else(|| {
            Some(match self.existing? {
                WhatExists::Overwrite => Existing::Overwrite,
                WhatExists::Skip => Existing::Skip,
                WhatExists::Fail => Existing::Fail,
                WhatExists::IfDifferent => Existing::IfDifferent,
                WhatExists::IfNewer => Existing::IfNewer,
                WhatExists::Immutable => Existing::Immutable,
            })
        })
    }

    fn compare(&self) -> Option<Compare> {
        if self.checksum {
            return Some(Compare::Checksum);
        }
        Some(match self.compare? {
            WhatCompares::Auto => Compare::Auto,
            WhatCompares::Size => Compare::Size,
            WhatCompares::Time => Compare::Time,
            WhatCompares::Etag => Compare::Etag,
            WhatCompares::Checksum => Compare::Checksum,
            WhatCompares::Content => Compare::Content,
        })
    }
}
