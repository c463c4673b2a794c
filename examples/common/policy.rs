//! The options for objects that already exist at the destination.

use std::time::Duration;

use clap::{Args, ValueEnum};
use lepton::{Compare, ExistingPolicy, TransferConfig};

use super::options::time;

/// The treatment of existing objects, and how they are compared.
///
/// `--existing` has no default value in clap: a default must not be mistaken for an explicit
/// value that contradicts a short form.
#[derive(Debug, Args)]
#[command(next_help_heading = "Objects that exist at the destination")]
pub(crate) struct Policy {
    /// What to do with objects that already exist [default: overwrite; the program `sync` has
    /// if-different].
    #[arg(long, value_enum, group = "policy")]
    existing: Option<WhatExists>,
    /// Copy only objects that differ: --existing if-different.
    #[arg(long, group = "policy")]
    sync: bool,
    /// Like --sync, but leave objects modified after the source: --existing if-newer.
    #[arg(long, group = "policy")]
    update: bool,
    /// Leave all existing objects: --existing skip.
    #[arg(long, group = "policy")]
    ignore_existing: bool,
    /// Report existing objects that differ as failed: --existing immutable.
    #[arg(long, group = "policy")]
    immutable: bool,
    /// How objects are compared, where --existing requires it [default: auto].
    #[arg(long, value_enum, group = "comparison")]
    compare: Option<WhatCompares>,
    /// Compare checksums, reading objects without a comparable one: --compare checksum.
    #[arg(long, group = "comparison")]
    checksum: bool,
    /// Tolerance for clock differences and coarse time stamps when times are compared
    /// [default: 2s].
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
    /// Replace those that differ and were not modified after the source.
    IfNewer,
    /// Leave them and report those that differ as failed.
    Immutable,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum WhatCompares {
    /// ETag if it is an MD5 on both sides, otherwise modification time.
    Auto,
    /// Size only.
    Size,
    /// Size and time.
    Time,
    /// ETag, otherwise the modification time of the file; requests each object where the listing
    /// does not have it.
    RecordedTime,
    /// ETag only.
    Etag,
    /// Checksums that the stores hold; an object without one is read.
    Checksum,
    /// Every byte of both sides.
    Content,
}

impl Policy {
    /// Applies the options to the settings. `default` is the program's treatment of existing
    /// objects, unless an option overrides it.
    pub(crate) fn enter(&self, settings: &mut TransferConfig, default: ExistingPolicy) {
        settings.existing = self.existing().unwrap_or(default);
        settings.compare = self.compare().unwrap_or(settings.compare);
        settings.time_window = self.time_window.unwrap_or(settings.time_window);
    }

    /// An error message that names an option without any effect under these settings.
    pub(crate) fn refused(&self, settings: &TransferConfig) -> Option<String> {
        let compares = matches!(
            settings.existing,
            ExistingPolicy::IfDifferent | ExistingPolicy::IfNewer | ExistingPolicy::Immutable
        );
        let times =
            matches!(settings.compare, Compare::Auto | Compare::Time | Compare::RecordedTime) && !settings.versions;
        if self.compare().is_some() && !compares && !settings.versions {
            let name = if self.checksum { "--checksum" } else { "--compare" };
            return Some(format!(
                "the argument '{name}' has no effect where nothing is compared; \
                 add --sync, --update or --immutable"
            ));
        }
        let window = compares && (times || settings.existing == ExistingPolicy::IfNewer);
        (self.time_window.is_some() && !window).then(|| {
            "the argument '--time-window' has no effect where no times are compared; \
             add --sync, --update or --immutable, and compare by auto or time"
                .to_owned()
        })
    }

    /// The explicitly chosen treatment; clap accepts only one of the options.
    fn existing(&self) -> Option<ExistingPolicy> {
        let short = [
            (self.sync, ExistingPolicy::IfDifferent),
            (self.update, ExistingPolicy::IfNewer),
            (self.ignore_existing, ExistingPolicy::Skip),
            (self.immutable, ExistingPolicy::Immutable),
        ];
        let given = short.into_iter().find_map(|(is_given, existing)| is_given.then_some(existing));
        given.or_else(|| {
            Some(match self.existing? {
                WhatExists::Overwrite => ExistingPolicy::Overwrite,
                WhatExists::Skip => ExistingPolicy::Skip,
                WhatExists::Fail => ExistingPolicy::Fail,
                WhatExists::IfDifferent => ExistingPolicy::IfDifferent,
                WhatExists::IfNewer => ExistingPolicy::IfNewer,
                WhatExists::Immutable => ExistingPolicy::Immutable,
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
            WhatCompares::RecordedTime => Compare::RecordedTime,
            WhatCompares::Etag => Compare::Etag,
            WhatCompares::Checksum => Compare::Checksum,
            WhatCompares::Content => Compare::Content,
        })
    }
}
