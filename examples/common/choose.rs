//! The options that say which objects a transfer is about, and under which names.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgMatches, Args};
use lepton::{Filters, PrefixMap, TransferSettings};

use super::options::{size, time};

/// Which objects.
#[derive(Debug, Args)]
pub(crate) struct Choose {
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
    #[arg(long, group = "deletes")]
    delete: bool,
    /// Delete also what the filters leave out.
    #[arg(long, requires = "delete")]
    delete_excluded: bool,
    /// Copy what is about to be replaced or deleted to this prefix of the destination.
    #[arg(long, value_name = "PREFIX")]
    backup_prefix: Option<String>,
}

impl Choose {
    /// Enters the options into the settings. `matches` knows the order of the
    /// patterns.
    pub(crate) fn enter(&self, settings: &mut TransferSettings, matches: &ArgMatches) {
        settings.filters = self.filters(matches);
        settings.map.clone_from(&self.map);
        settings.encode_keys = self.encode_keys;
        settings.decode_keys = self.decode_keys;
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
