//! The options that say which objects are moved, and what becomes of those that
//! the destination has already.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgMatches, Args, ValueEnum};
use lepton::{Compare, Existing, Filters, PrefixMap, TransferSettings};

use super::options::size;

/// Which objects, and what becomes of what is there.
#[derive(Debug, Args)]
pub(crate) struct Choose {
    /// What to do with objects that are there already.
    #[arg(long, value_enum, default_value = "overwrite")]
    existing: WhatExists,
    /// Copy only what differs: --existing if-different.
    #[arg(long, conflicts_with_all = ["existing", "update", "ignore_existing", "immutable"])]
    sync: bool,
    /// As --sync, and leave what was written after the source: --existing if-newer.
    #[arg(long, conflicts_with_all = ["existing", "ignore_existing", "immutable"])]
    update: bool,
    /// Leave whatever is there: --existing skip.
    #[arg(long, conflicts_with_all = ["existing", "immutable"])]
    ignore_existing: bool,
    /// Report what is there and differs as failed: --existing immutable.
    #[arg(long, conflicts_with = "existing")]
    immutable: bool,
    /// By what objects are compared, where that is asked for.
    #[arg(long, value_enum, default_value = "auto")]
    compare: WhatCompares,
    /// Compare checksums, reading what has none that compares: --compare checksum.
    #[arg(long, conflicts_with = "compare")]
    checksum: bool,
    /// How far clocks may be apart and how coarse time stamps are.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = time)]
    time_window: Duration,
    /// Take what matches this pattern, as in .gitignore; the last --include or
    /// --exclude that matches decides. If the first one is an --include, what none
    /// matches is left out.
    #[arg(long, value_name = "PATTERN")]
    include: Vec<String>,
    /// Leave out what matches this pattern.
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,
    /// Leave out smaller objects.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    min_size: Option<u64>,
    /// Leave out larger objects.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_size: Option<u64>,
    /// Leave out what was written less than this ago (90s, 15m, 12h, 7d).
    #[arg(long, value_name = "TIME", value_parser = time)]
    min_age: Option<Duration>,
    /// Leave out what was written more than this ago.
    #[arg(long, value_name = "TIME", value_parser = time)]
    max_age: Option<Duration>,
    /// Names that begin with FROM at the source begin with TO at the destination; the
    /// first --map that holds wins. An equals sign in FROM is written `\=`.
    #[arg(long, value_name = "FROM=TO", value_parser = prefix_map)]
    map: Vec<PrefixMap>,
    /// Write keys that the destination cannot hold as it can, percent-encoded, in place
    /// of refusing them.
    #[arg(long)]
    encode_keys: bool,
    /// Give the names of the source back as they were before --encode-keys.
    #[arg(long)]
    decode_keys: bool,
    /// Move what this file names, a name a line, instead of everything; `-` reads
    /// standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "delete")]
    pub(crate) from_list: Option<PathBuf>,
    /// Delete at the destination what the source has not, once all else is done.
    #[arg(long)]
    delete: bool,
    /// Delete also what the filters leave out.
    #[arg(long, requires = "delete")]
    delete_excluded: bool,
    /// Delete all versions of an object, for good, instead of marking it as deleted.
    #[arg(long, requires = "delete")]
    delete_versions: bool,
    /// Delete nothing at all if there is more to delete than this.
    #[arg(long, value_name = "N")]
    max_delete: Option<u64>,
    /// Delete nothing at all if more than this share of the destination would go.
    #[arg(long, value_name = "PERCENT", default_value = "10")]
    max_delete_percent: u8,
    /// Copy what is about to be replaced or deleted to this prefix of the destination.
    #[arg(long, value_name = "PREFIX")]
    backup_prefix: Option<String>,
    /// Move every version of every key, the oldest first, delete markers included, to
    /// a destination that keeps versions.
    #[arg(long, conflicts_with_all = ["from_list", "delete", "backup_prefix"])]
    versions: bool,
    /// Record the tree hash of each object in its metadata; reads each once more.
    #[arg(long)]
    record_digest: bool,
    /// Begin no further object once so many bytes are taken in hand.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_transfer: Option<u64>,
    /// Begin no further object after this time.
    #[arg(long, value_name = "TIME", value_parser = time)]
    max_duration: Option<Duration>,
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

impl Choose {
    /// Enters the options into the settings. `matches` knows the order of the
    /// patterns.
    pub(crate) fn enter(&self, settings: &mut TransferSettings, matches: &ArgMatches) {
        settings.existing = self.existing();
        settings.compare = self.compare();
        settings.time_window = self.time_window;
        settings.filters = self.filters(matches);
        settings.map.clone_from(&self.map);
        settings.encode_keys = self.encode_keys;
        settings.decode_keys = self.decode_keys;
        settings.delete = self.delete;
        settings.delete_excluded = self.delete_excluded;
        settings.delete_versions = self.delete_versions;
        settings.max_delete = self.max_delete;
        settings.max_delete_percent = self.max_delete_percent;
        settings.backup_prefix.clone_from(&self.backup_prefix);
        settings.versions = self.versions;
        settings.record_digest = self.record_digest;
        settings.max_transfer = self.max_transfer;
        settings.max_duration = self.max_duration;
    }

    fn existing(&self) -> Existing {
        match (self.existing, self.sync, self.update, self.ignore_existing, self.immutable) {
            (_, true, ..) | (WhatExists::IfDifferent, ..) => Existing::IfDifferent,
            (_, _, true, ..) | (WhatExists::IfNewer, ..) => Existing::IfNewer,
            (_, _, _, true, _) | (WhatExists::Skip, ..) => Existing::Skip,
            (.., true) | (WhatExists::Immutable, ..) => Existing::Immutable,
            (WhatExists::Fail, ..) => Existing::Fail,
            (WhatExists::Overwrite, ..) => Existing::Overwrite,
        }
    }

    fn compare(&self) -> Compare {
        match self.compare {
            _ if self.checksum => Compare::Checksum,
            WhatCompares::Auto => Compare::Auto,
            WhatCompares::Size => Compare::Size,
            WhatCompares::Time => Compare::Time,
            WhatCompares::Etag => Compare::Etag,
            WhatCompares::Checksum => Compare::Checksum,
            WhatCompares::Content => Compare::Content,
        }
    }

    fn filters(&self, matches: &ArgMatches) -> Filters {
        let places = |name: &str| matches.indices_of(name).into_iter().flatten().collect::<Vec<_>>();
        let included = places("include").into_iter().zip(&self.include).map(|(place, pattern)| (place, true, pattern));
        let excluded = places("exclude").into_iter().zip(&self.exclude).map(|(place, pattern)| (place, false, pattern));
        let mut rules: Vec<_> = included.chain(excluded).collect();
        rules.sort_unstable();
        let mut filters = rules.into_iter().fold(Filters::new(), |filters, (_, include, pattern)| match include {
            true => filters.include(pattern),
            false => filters.exclude(pattern),
        });
        (filters.min_size, filters.max_size) = (self.min_size, self.max_size);
        (filters.min_age, filters.max_age) = (self.min_age, self.max_age);
        filters
    }
}

/// Reads `FROM=TO`; a backslash takes from the character behind it what it means.
fn prefix_map(text: &str) -> Result<PrefixMap, String> {
    let (mut from, mut rest) = (String::new(), text.chars());
    while let Some(next) = rest.next() {
        match next {
            '=' => return Ok(PrefixMap::new(from, rest.as_str())),
            '\\' => from.extend(rest.next()),
            other => from.push(other),
        }
    }
    Err(format!("{text:?} is not a rule such as old/=new/"))
}

/// Reads `90`, `90s`, `1.5h`, `7d` or `2w`.
fn time(text: &str) -> Result<Duration, String> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds = match &text[number.len()..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        "w" => 604_800.0,
        unit => return Err(format!("{unit:?} is not a unit; use ms, s, m, h, d or w")),
    };
    let number: f64 = number.parse().map_err(|_| format!("{text:?} is not a time such as 90s or 7d"))?;
    Duration::try_from_secs_f64(number * seconds).map_err(|error| format!("{text:?}: {error}"))
}
