//! Pins a file while it is read: by its tag, or by its modification time.

use std::time::Duration;

use http::header::{DATE, ETAG, IF_MATCH, IF_UNMODIFIED_SINCE, LAST_MODIFIED};
use http::{HeaderMap, HeaderName, HeaderValue};
use lepton_core::ETag;

/// The prefix of a tag that Lepton makes from a date: no server tag begins like this.
const DATED: &str = "last-modified:";

/// The resolution of a date.
const TICK: Duration = Duration::from_secs(1);

/// The tag of a file: the server's if it is strong, otherwise the modification time;
/// `None` if the server sends neither.
///
/// A weak tag means that two states are equivalent, not identical. A date as recent as
/// the response may stand for two states (RFC 9110, 8.8.2.2).
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

/// Whether a response shows another state of the file than an earlier one, if that one
/// had a tag.
pub(super) fn differs(earlier: &HeaderMap, now: &HeaderMap) -> bool {
    of(earlier).is_some_and(|pin| of(now).as_ref() != Some(&pin))
}

/// The condition header that requires this tag.
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
