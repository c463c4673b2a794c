//! Decides which objects are transferred: patterns over names, limits of size and age.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::time::{Duration, SystemTime};

use globset::{Candidate, GlobBuilder, GlobSet, GlobSetBuilder};
use lepton_core::{Error, ObjectMeta, Result};

use crate::settings::filters::{FilterRule, Filters};

/// Filters in compiled form.
#[derive(Debug)]
pub(crate) struct Filter {
    globs: GlobSet,
    /// Whether the rule of each glob includes.
    includes: Vec<bool>,
    /// Whether each glob matches everything below what it matches.
    below: Vec<bool>,
    unmatched: bool,
    sizes: (u64, u64),
    /// The earliest and the latest time of writing.
    written: (Option<SystemTime>, Option<SystemTime>),
}

impl Filter {
    /// Compiles filters for a run that begins `now`.
    ///
    /// # Errors
    /// `invalid_input`, naming the pattern or the limits that are invalid.
    pub(crate) fn new(filters: &Filters, now: SystemTime) -> Result<Self> {
        let mut globs = GlobSetBuilder::new();
        let (mut includes, mut below) = (Vec::new(), Vec::new());
        for rule in &filters.rules {
            let (include, pattern) = match rule {
                FilterRule::Include(pattern) => (true, pattern),
                FilterRule::Exclude(pattern) => (false, pattern),
            };
            let refuse =
                |why: &dyn std::fmt::Display| Error::invalid_input(format!("the pattern {pattern:?} is wrong: {why}"));
            for glob in expand(pattern).ok_or_else(|| refuse(&"it names nothing"))? {
                below.push(glob.ends_with("/**"));
                let glob = GlobBuilder::new(&glob).literal_separator(true).backslash_escape(true).build();
                globs.add(glob.map_err(|error| refuse(error.kind()))?);
                includes.push(include);
            }
        }
        let sizes = (filters.min_size.unwrap_or(0), filters.max_size.unwrap_or(u64::MAX));
        if sizes.0 > sizes.1 {
            return Err(Error::invalid_input(format!("min_size is {}, above max_size {}", sizes.0, sizes.1)));
        }
        if let (Some(least), Some(most)) = (filters.min_age, filters.max_age)
            && least > most
        {
            return Err(Error::invalid_input(format!("min_age is {least:?}, above max_age {most:?}")));
        }
        let ago = |age: Option<Duration>| age.and_then(|age| now.checked_sub(age));
        Ok(Self {
            globs: globs
                .build()
                .map_err(|error| Error::invalid_input(format!("the patterns are too many: {error}")))?,
            unmatched: !matches!(filters.rules.first(), Some(FilterRule::Include(_))),
            includes,
            below,
            sizes,
            written: (ago(filters.max_age), ago(filters.min_age)),
        })
    }

    /// Whether the rules include an object of this name.
    pub(crate) fn takes_name(&self, name: &[u8]) -> bool {
        if self.includes.is_empty() {
            return self.unmatched;
        }
        let matches = self.globs.matches_candidate(&Candidate::new(OsStr::from_bytes(name)));
        matches.last().map_or(self.unmatched, |last| self.includes[*last])
    }

    /// Whether the rules exclude everything below a folder, whose name ends in `/`: a rule
    /// excludes all of it, and no later rule includes anything.
    pub(crate) fn excludes_below(&self, folder: &[u8]) -> bool {
        let matches = self.globs.matches_candidate(&Candidate::new(OsStr::from_bytes(folder)));
        let excluded = matches.into_iter().rfind(|index| self.below[*index] && !self.includes[*index]);
        excluded.is_some_and(|index| !self.includes[index..].contains(&true))
    }

    /// Whether this object is included under this name. An object of unknown age is not
    /// excluded by age.
    pub(crate) fn takes(&self, name: &[u8], object: &ObjectMeta) -> bool {
        self.takes_size_and_age(object) && self.takes_name(name)
    }

    /// Whether the limits of size and age include this object.
    pub(crate) fn takes_size_and_age(&self, object: &ObjectMeta) -> bool {
        let (least, most) = self.sizes;
        let (oldest, youngest) = self.written;
        let in_time = object.last_modified.is_none_or(|written| {
            oldest.is_none_or(|oldest| written >= oldest) && youngest.is_none_or(|youngest| written <= youngest)
        });
        (least..=most).contains(&object.size) && in_time
    }
}

/// The globs of a pattern: one for the name itself, and one for everything below it.
/// `None` if the pattern contains no name.
fn expand(pattern: &str) -> Option<Vec<String>> {
    let folder_only = pattern.ends_with('/') && !pattern.ends_with("\\/");
    let bare = if folder_only { pattern.trim_end_matches('/') } else { pattern };
    let anchored = bare.contains('/');
    let bare = bare.strip_prefix('/').unwrap_or(bare);
    if bare.is_empty() {
        return None;
    }
    let root = if anchored { "" } else { "**/" };
    let below = format!("{root}{bare}/**");
    Some(if folder_only { vec![below] } else { vec![format!("{root}{bare}"), below] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lepton_core::ObjectKey;
    use proptest::prelude::*;

    fn filter(filters: &Filters) -> Filter {
        Filter::new(filters, SystemTime::UNIX_EPOCH + Duration::from_secs(1000)).unwrap()
    }

    #[test]
    fn a_folder_is_unwanted_only_if_nothing_below_it_can_be_wanted() {
        let rules = Filters::new().exclude("/locked/").exclude("tmp").include("*.jpg").exclude("*.d/").exclude("a*");
        let filter = filter(&rules);
        for (folder, expected) in [
            // A later rule includes pictures everywhere.
            ("locked/", false),
            ("tmp/", false),
            ("x/y.d/", true),
            ("y.d/z/", true),
            ("abc/", true),
            ("b/", false),
            ("", false),
        ] {
            assert_eq!(filter.excludes_below(folder.as_bytes()), expected, "{folder}");
        }
        assert!(
            super::Filter::new(&Filters::new().exclude("/locked/"), SystemTime::UNIX_EPOCH)
                .unwrap()
                .excludes_below(b"locked/")
        );
    }

    /// The table in the documentation of [`FilterRule`].
    #[test]
    fn patterns_match_as_the_table_says() {
        for (pattern, matches, others) in [
            ("*.jpg", &["a.jpg", "in/b.jpg", ".jpg", "a.jpg/x"][..], &["a.jpgx", "jpg"][..]),
            ("tmp", &["tmp", "in/tmp", "tmp/a", "in/tmp/b/c", "tmp/"], &["tmpx", "xtmp", "in/tmpx/a"]),
            ("tmp/", &["tmp/a", "in/tmp/b/c", "tmp/"], &["tmp", "in/tmp"]),
            ("/tmp", &["tmp", "tmp/a"], &["in/tmp", "in/tmp/a"]),
            ("in/*.txt", &["in/a.txt"], &["x/in/a.txt", "in/b/a.txt"]),
            ("in/**/a", &["in/a", "in/b/c/a", "in/a/x"], &["a", "x/in/a"]),
            ("a?[0-9]", &["ax1", "in/ax1"], &["a1", "a/1"]),
            ("{a,b}.c", &["a.c", "b.c"], &["{a,b}.c", "c.c"]),
            ("\\*", &["*", "in/*"], &["a"]),
            ("**", &["a", "a/b", "a//b"], &[]),
            ("/**", &["a", "a/b"], &[]),
            ("[!a]", &["b", "x/c"], &["a"]),
            ("ü", &["ü", "x/ü"], &["u"]),
        ] {
            let filter = filter(&Filters::new().include(pattern));
            for name in matches {
                assert!(filter.takes_name(name.as_bytes()), "{pattern} matches {name}");
            }
            for name in others {
                assert!(!filter.takes_name(name.as_bytes()), "{pattern} does not match {name}");
            }
        }
    }

    #[test]
    fn the_last_rule_that_matches_decides() {
        let without = filter(&Filters::new().exclude("tmp/").include("tmp/keep/").exclude("*.bak"));
        for (name, taken) in [
            ("a", true),
            ("tmp/a", false),
            ("tmp/keep/a", true),
            ("x/tmp/keep/a", false),
            ("tmp/keep/a.bak", false),
            ("a.bak", false),
        ] {
            assert_eq!(without.takes_name(name.as_bytes()), taken, "{name}");
        }
        let only = filter(&Filters::new().include("photos/").exclude("*.raw"));
        for (name, taken) in [("photos/a", true), ("photos/a.raw", false), ("a", false), ("x/photos/a", true)] {
            assert_eq!(only.takes_name(name.as_bytes()), taken, "{name}");
        }
    }

    #[test]
    fn sizes_and_ages_are_limits_with_both_ends_in() {
        let mut filters = Filters::new();
        (filters.min_size, filters.max_size) = (Some(10), Some(20));
        (filters.min_age, filters.max_age) = (Some(Duration::from_secs(100)), Some(Duration::from_secs(200)));
        let filter = filter(&filters);
        let takes = |size, second| {
            let mut object = ObjectMeta::new(ObjectKey::try_from("a").unwrap(), size);
            object.last_modified = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(second));
            filter.takes(b"a", &object)
        };
        for (size, second, taken) in [
            (10, 850, true),
            (20, 850, true),
            (9, 850, false),
            (21, 850, false),
            (15, 800, true),
            (15, 900, true),
            (15, 799, false),
            (15, 901, false),
        ] {
            assert_eq!(takes(size, second), taken, "{size} bytes at {second}");
        }
        assert!(filter.takes(b"a", &ObjectMeta::new(ObjectKey::try_from("a").unwrap(), 15)), "no time is no reason");
    }

    #[test]
    fn wrong_patterns_and_limits_are_named() {
        let refused = |filters: &Filters| Filter::new(filters, SystemTime::UNIX_EPOCH).unwrap_err().to_string();
        for pattern in ["", "/", "//", "a[", "{a", "a\\"] {
            let said = refused(&Filters::new().exclude(pattern));
            assert!(said.contains(&format!("{pattern:?}")), "{said}");
        }
        let mut filters = Filters::new();
        (filters.min_size, filters.max_size) = (Some(2), Some(1));
        assert!(refused(&filters).contains("max_size 1"));
    }

    proptest! {
        #[test]
        fn any_pattern_is_read_or_refused_and_any_name_decided(
            rules in proptest::collection::vec((any::<bool>(), "[a-c*?/\\[\\]{},!\\\\.]{0,8}"), 0..5),
            name in proptest::collection::vec(any::<u8>(), 1..20),
        ) {
            let mut filters = Filters::new();
            for (include, pattern) in rules {
                filters = if include { filters.include(pattern) } else { filters.exclude(pattern) };
            }
            if let Ok(filter) = Filter::new(&filters, SystemTime::UNIX_EPOCH) {
                filter.takes_name(&name);
            }
        }

        /// A literal path excludes itself and everything below it, and nothing else.
        #[test]
        fn a_literal_path_matches_itself_and_what_is_below(path in "[a-c]{1,2}(/[a-c]{1,2}){0,2}", name in "[a-c]{1,2}(/[a-c]{1,2}){0,3}") {
            let filter = filter(&Filters::new().exclude(format!("/{path}")));
            let below = name == path || name.starts_with(&format!("{path}/"));
            prop_assert_eq!(filter.takes_name(name.as_bytes()), !below);
        }
    }
}
