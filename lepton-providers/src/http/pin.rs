//! What holds a file still while it is read: its tag, or when it was changed.

use std::time::Duration;

use http::header::{DATE, ETAG, IF_MATCH, IF_UNMODIFIED_SINCE, LAST_MODIFIED};
use http::{HeaderMap, HeaderName, HeaderValue};
use lepton_core::ETag;

/// In front of a tag of ours, which is a date: no tag of a server begins so.
const DATED: &str = "last-modified:";

/// The finest difference that a date shows.
const TICK: Duration = Duration::from_secs(1);

/// The tag of a file: the server's if it is a strong one, else when it was changed;
/// `None` where the server says neither.
///
/// A weak tag says that two states are as good as each other, not that they are the same.
/// A date that is as young as the answer may be that of two states (RFC 9110, 8.8.2.2).
pub(super) fn of(headers: &HeaderMap) -> Option<ETag> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok();
    if let Some(tag) = text(ETAG).filter(|tag| tag.starts_with('"')) {
        return Some(ETag::new(tag));
    }
    let date = text(LAST_MODIFIED)?;
    let changed = httpdate::parse_http_date(date).ok()?;
    let answered = httpdate::parse_http_date(text(DATE)?).ok()?;
    (changed.checked_add(TICK)? <= answered).then(|| ETag::new(format!("{DATED}{date}")))
}

/// Whether an answer is of another state of the file than an earlier one, as far as that
/// one was pinned.
pub(super) fn differs(earlier: &HeaderMap, now: &HeaderMap) -> bool {
    of(earlier).is_some_and(|pin| of(now).as_ref() != Some(&pin))
}

/// The condition under which the file is still the one with this tag.
pub(super) fn condition(tag: &ETag) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = match tag.as_str().strip_prefix(DATED) {
        Some(date) => (IF_UNMODIFIED_SINCE, date),
        None => (IF_MATCH, tag.as_str()),
    };
    Some((name, HeaderValue::from_str(value).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(pairs: &[(HeaderName, &'static str)]) -> Option<ETag> {
        of(&pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect())
    }

    const WHEN: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    #[test]
    fn a_strong_tag_counts_else_the_date() {
        let strong = tag(&[(ETAG, "\"a\""), (LAST_MODIFIED, WHEN)]).unwrap();
        assert_eq!(condition(&strong), Some((IF_MATCH, HeaderValue::from_static("\"a\""))));
        let dated = tag(&[(ETAG, "W/\"a\""), (LAST_MODIFIED, WHEN), (DATE, LATER)]).unwrap();
        assert_eq!(condition(&dated), Some((IF_UNMODIFIED_SINCE, HeaderValue::from_static(WHEN))));
        assert_eq!(tag(&[(ETAG, "W/\"a\"")]), None);
    }

    #[test]
    fn a_date_as_young_as_the_answer_pins_nothing() {
        for now in [WHEN, "Sun, 06 Nov 1994 08:49:36 GMT", "yesterday"] {
            assert_eq!(tag(&[(LAST_MODIFIED, WHEN), (DATE, now)]), None, "{now}");
        }
        assert_eq!(tag(&[(LAST_MODIFIED, WHEN)]), None);
        assert_eq!(tag(&[(LAST_MODIFIED, "long ago"), (DATE, LATER)]), None);
    }
}
