//! The options that select the objects of a transfer and their names.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgMatches, Args};
use lepton::{Filters, PrefixMap, TransferConfig};

use super::options::{DELETING, size, time};

/// The selection of objects.
#[derive(Debug, Args)]
#[command(next_help_heading = "What is moved, and its names")]
pub(crate) struct Choose {
    /// Include what matches this pattern, with the syntax of .gitignore; the last matching
    /// --include or --exclude decides. If the first pattern is an --include, objects that match
    /// no pattern are excluded.
    #[arg(long, value_name = "PATTERN")]
    include: Vec<String>,
    /// Exclude what matches this pattern.
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,
    /// Exclude smaller objects.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    min_size: Option<u64>,
    /// Exclude larger objects.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_size: Option<u64>,
    /// Exclude objects modified less than this long ago (90s, 15m, 12h, 7d).
    #[arg(long, value_name = "TIME", value_parser = time)]
    min_age: Option<Duration>,
    /// Exclude objects modified more than this long ago.
    #[arg(long, value_name = "TIME", value_parser = time)]
    max_age: Option<Duration>,
    /// Replace the prefix FROM of names at the source with TO at the destination; the first
    /// --map that matches wins. An equals sign in FROM is written `\=`.
    #[arg(long, value_name = "FROM=TO", value_parser = prefix_map)]
    map: Vec<PrefixMap>,
    /// Percent-encode keys that the destination cannot store, instead of refusing them.
    #[arg(long)]
    encode_keys: bool,
    /// Restore the original names from keys that --encode-keys wrote.
    #[arg(long)]
    decode_keys: bool,
    /// Move only the objects named in this file, one name per line, instead of everything; `-`
    /// reads standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "delete")]
    pub(crate) from_list: Option<PathBuf>,
    /// Take a source folder without any object for an empty one, instead of a mistake.
    #[arg(long)]
    allow_empty: bool,
    /// Delete extraneous objects at the destination, after everything else.
    #[arg(long, group = "deletes", help_heading = DELETING)]
    delete: bool,
    /// Also delete objects that the filters exclude.
    #[arg(long, requires = "delete", help_heading = DELETING)]
    delete_excluded: bool,
    /// Copy objects to this prefix of the destination before they are replaced or deleted.
    #[arg(long, value_name = "PREFIX", help_heading = DELETING)]
    backup_prefix: Option<String>,
}

impl Choose {
    /// Applies the options to the settings. `matches` knows the order of the patterns.
    pub(crate) fn enter(&self, settings: &mut TransferConfig, matches: &ArgMatches) {
        settings.filters = self.filters(matches);
        settings.map.clone_from(&self.map);
        settings.encode_keys = self.encode_keys;
        settings.decode_keys = self.decode_keys;
        settings.allow_empty = self.allow_empty;
        settings.delete = self.delete;
        settings.delete_excluded = self.delete_excluded;
        settings.backup_prefix.clone_from(&self.backup_prefix);
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

/// Parses `FROM=TO`; a backslash escapes the next character.
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
