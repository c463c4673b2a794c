//! How the listings of two stores compare.

use std::time::{Duration, SystemTime};

use lepton_core::{Capabilities, ETag, ObjectMeta};

use crate::settings::compare_by::Compare;
use crate::types::reason::ComparedBy;

/// The result of a comparison, and its basis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Same(ComparedBy),
    Different(ComparedBy),
}

impl Answer {
    /// The basis on which the objects are the same, if they are.
    pub(crate) fn same(self) -> Option<ComparedBy> {
        match self {
            Self::Same(basis) => Some(basis),
            Self::Different(_) => None,
        }
    }
}

/// How the listings of two stores compare.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    compare: Compare,
    window: Duration,
    md5_tags: bool,
    /// Whether the source and the destination keep the time that a writer sets.
    kept_times: [bool; 2],
}

impl Rules {
    pub(crate) fn new(compare: Compare, window: Duration, from: &Capabilities, to: &Capabilities) -> Self {
        Self {
            compare,
            window,
            md5_tags: from.etag_is_md5 && to.etag_is_md5,
            kept_times: [from.keeps_mtime, to.keeps_mtime],
        }
    }

    /// Compares two objects by their listings; `None` if the listings do not decide.
    pub(crate) fn by_listing(&self, source: &ObjectMeta, there: &ObjectMeta) -> Option<Answer> {
        if source.size != there.size {
            return Some(Answer::Different(ComparedBy::Size));
        }
        let tags = || self.by_tag(source.etag.as_ref()?, there.etag.as_ref()?);
        let times = || self.by_time(source, there);
        match self.compare {
            Compare::Auto | Compare::RecordedTime => tags().or_else(times),

            Compare::Size => Some(Answer::Same(ComparedBy::Size)),
            Compare::Time => times(),
            Compare::Etag => Some(tags().unwrap_or(Answer::Different(ComparedBy::Etag))),
            Compare::Checksum | Compare::Content => None,
        }
    }

    /// Compares two ETags that are MD5s. Equal tags mean equal bytes, also those of parts.
    /// Different tags mean different bytes only if both are of the object as a whole.
    pub(crate) fn by_tag(&self, source: &ETag, there: &ETag) -> Option<Answer> {
        let (source, there) = (Md5Tag::of(source)?, Md5Tag::of(there)?);
        if !self.md5_tags {
            return None;
        }
        if source == there {
            return Some(Answer::Same(ComparedBy::Etag));
        }
        (source.parts.is_none() && there.parts.is_none()).then_some(Answer::Different(ComparedBy::Etag))
    }

    /// Whether the tags of both stores are MD5s, and these two are equal.
    pub(crate) fn same_tag(&self, source: &ETag, there: &ETag) -> bool {
        self.by_tag(source, there) == Some(Answer::Same(ComparedBy::Etag))
    }

    fn by_time(&self, source: &ObjectMeta, there: &ObjectMeta) -> Option<Answer> {
        let [from_keeps, to_keeps] = self.kept_times;
        match listed_time(source, from_keeps).zip(listed_time(there, to_keeps)) {
            Some((ours, theirs)) if apart(ours, theirs) <= self.window => Some(Answer::Same(ComparedBy::Time)),
            Some(_) if from_keeps && to_keeps => Some(Answer::Different(ComparedBy::Time)),
            // The content may be the same.
            Some(_) => None,
            None if self.compare == Compare::RecordedTime => None,
            None => self.by_time_of_writing(source.last_modified?, there.last_modified?),
        }
    }

    /// Compares the times at which the two were written. A copy that keeps times has the time of
    /// its source; any other copy is newer.
    fn by_time_of_writing(&self, source: SystemTime, there: SystemTime) -> Option<Answer> {
        let [_, to_keeps] = self.kept_times;
        let same = self.is_newer(there, source) || to_keeps && apart(source, there) <= self.window;
        same.then_some(Answer::Same(ComparedBy::Time))
    }

    /// Whether `one` is later than `other` by more than the time window.
    pub(crate) fn is_newer(&self, one: SystemTime, other: SystemTime) -> bool {
        one.duration_since(other).is_ok_and(|later| later > self.window)
    }
}

/// An ETag that is an MD5: of the bytes, or of the MD5s of `parts` parts.
#[derive(PartialEq)]
pub(crate) struct Md5Tag<'a> {
    sum: &'a str,
    parts: Option<&'a str>,
}

impl<'a> Md5Tag<'a> {
    fn of(tag: &'a ETag) -> Option<Self> {
        let text = tag.unquoted();
        let (sum, parts) = text.split_once('-').map_or((text, None), |(sum, parts)| (sum, Some(parts)));
        let is_md5 = sum.len() == 32 && sum.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_count = parts.is_none_or(|parts| !parts.is_empty() && parts.bytes().all(|byte| byte.is_ascii_digit()));
        (is_md5 && is_count).then_some(Self { sum, parts })
    }
}

/// The time that the writer of an object set, as its listing has it.
fn listed_time(object: &ObjectMeta, keeps_mtime: bool) -> Option<SystemTime> {
    if keeps_mtime {
        return object.last_modified;
    }
    object.attributes.as_ref()?.modified()
}

pub(crate) fn apart(a: SystemTime, b: SystemTime) -> Duration {
    a.duration_since(b).unwrap_or_else(|error| error.duration())
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use lepton_core::{Attributes, ObjectKey};
    use proptest::prelude::*;

    const A: &str = "\"0123456789abcdef0123456789abcdef\"";
    const B: &str = "\"fedcba9876543210fedcba9876543210\"";
    const A2: &str = "\"0123456789abcdef0123456789abcdef-2\"";
    const B3: &str = "\"fedcba9876543210fedcba9876543210-3\"";

    fn rules(compare: Compare) -> Rules {
        Rules { compare, window: Duration::from_secs(2), md5_tags: true, kept_times: [false; 2] }
    }

    fn object(size: u64, second: u64, tag: &str) -> ObjectMeta {
        let mut object = ObjectMeta::new(ObjectKey::try_from("a").unwrap(), size);
        object.last_modified = Some(UNIX_EPOCH + Duration::from_secs(second));
        object.etag = Some(ETag::new(tag));
        object
    }

    #[test]
    fn tags_compare_where_they_are_md5s() {
        let auto = |one: &str, two: &str, second| {
            rules(Compare::Auto).by_listing(&object(1, 100, one), &object(1, second, two))
        };
        let unquoted = A.trim_matches('"');
        assert_eq!(auto(A, A, 0), Some(Answer::Same(ComparedBy::Etag)));
        assert_eq!(auto(A, unquoted, 0), Some(Answer::Same(ComparedBy::Etag)));
        assert_eq!(auto(A, B, 200), Some(Answer::Different(ComparedBy::Etag)));
        assert_eq!(auto(A2, A2, 0), Some(Answer::Same(ComparedBy::Etag)));
        // Other part sizes give the same bytes another tag, so the time decides.
        assert_eq!(auto(A, A2, 200), Some(Answer::Same(ComparedBy::Time)));
        assert_eq!(auto(A2, B3, 0), None);
        assert_eq!(auto("\"opaque\"", "\"opaque\"", 0), None);
        let opaque = Rules { md5_tags: false, ..rules(Compare::Etag) };
        assert_eq!(opaque.by_listing(&object(1, 0, A), &object(1, 0, A)), Some(Answer::Different(ComparedBy::Etag)));
    }

    #[test]
    fn a_written_copy_has_to_be_newer_by_more_than_clocks_differ() {
        let time = |second| rules(Compare::Time).by_listing(&object(1, 100, A), &object(1, second, A));
        assert_eq!(time(103), Some(Answer::Same(ComparedBy::Time)));
        for second in [102, 100, 98, 97, 0] {
            assert_eq!(time(second), None, "{second}");
        }
    }

    #[test]
    fn kept_times_have_to_be_the_same_within_the_window() {
        let kept = Rules { kept_times: [true; 2], ..rules(Compare::Auto) };
        for (second, same) in [(98, true), (100, true), (102, true), (97, false), (103, false), (500, false)] {
            let answer = kept.by_listing(&object(1, 100, "x"), &object(1, second, "y"));
            let basis = if same { Answer::Same(ComparedBy::Time) } else { Answer::Different(ComparedBy::Time) };
            assert_eq!(answer, Some(basis), "{second}");
        }
    }

    #[test]
    fn a_listed_time_of_the_writer_counts_more_than_the_time_of_writing() {
        let recorded = |second: u64| {
            let mut object = object(1, 1000, "x");
            let mut attributes = Attributes::default();
            attributes.user_metadata.insert("mtime".into(), format!("{second}.000000000"));
            object.attributes = Some(std::sync::Arc::new(attributes));
            object
        };
        let upload = |compare| Rules { kept_times: [true, false], ..rules(compare) };
        for compare in [Compare::Auto, Compare::Time, Compare::RecordedTime] {
            let answer = |there: &ObjectMeta| upload(compare).by_listing(&object(1, 100, "y"), there);
            assert_eq!(answer(&recorded(100)), Some(Answer::Same(ComparedBy::Time)));
            // The file got another time, older or newer, so that only its content decides.
            assert_eq!((answer(&recorded(90)), answer(&recorded(110))), (None, None));
            let newer = (compare != Compare::RecordedTime).then_some(Answer::Same(ComparedBy::Time));
            assert_eq!(answer(&object(1, 1000, "x")), newer, "{compare:?}");
        }
        // A download has the time of the object, or the recorded one.
        let download = Rules { kept_times: [false, true], ..rules(Compare::Auto) };
        let answer = |source: &ObjectMeta, second| download.by_listing(source, &object(1, second, "y"));
        assert_eq!(answer(&recorded(100), 100), Some(Answer::Same(ComparedBy::Time)));
        assert_eq!(answer(&recorded(100), 1000), None);
        assert_eq!(answer(&object(1, 1000, "x"), 1000), Some(Answer::Same(ComparedBy::Time)));
        assert_eq!(answer(&object(1, 1000, "x"), 900), None);
    }

    proptest! {
        /// Objects of different sizes differ under every policy, whatever else is equal.
        #[test]
        fn other_sizes_always_differ(a: u64, b: u64, s: u32, t: u32, md5_tags: bool, kept_times: [bool; 2]) {
            prop_assume!(a != b);
            for compare in [Compare::Auto, Compare::Size, Compare::Time, Compare::RecordedTime, Compare::Etag, Compare::Checksum, Compare::Content] {
                let rules = Rules { md5_tags, kept_times, ..rules(compare) };
                let answer = rules.by_listing(&object(a, s.into(), A), &object(b, t.into(), A));
                prop_assert_eq!(answer, Some(Answer::Different(ComparedBy::Size)));
            }
        }

        /// An object that was written before its source is never considered the same by
        /// its time.
        #[test]
        fn an_older_copy_is_never_the_same_by_time(s in 0u32..1000, t in 0u32..1000) {
            let answer = rules(Compare::Time).by_listing(&object(1, s.into(), A), &object(1, t.into(), A));
            if t <= s {
                prop_assert_eq!(answer, None);
            }
        }
    }
}
