//! The modification time of a file in user metadata, `mtime`. Lepton and S3 use seconds
//! since 1970 with nine decimals; Azure and Google use RFC 3339. Each is the form that
//! rclone writes there; rclone does not read the other.

use std::borrow::Cow;
use std::time::{Duration, UNIX_EPOCH};

use super::time::{iso8601, parse_iso8601};

const NAME: &str = "mtime";

/// A value of user metadata in the form that Azure and Google use. A value that would not
/// survive the round trip is left unchanged.
pub(crate) fn outward<'a>(name: &str, value: &'a str) -> Cow<'a, str> {
    match (name == NAME).then(|| rfc3339(value)).flatten() {
        Some(text) if seconds(&text).as_deref() == Some(value) => Cow::Owned(text),
        _ => Cow::Borrowed(value),
    }
}

/// A name and value of user metadata, the value in Lepton's form.
pub(crate) fn inward((name, value): (String, String)) -> (String, String) {
    let seconds = (name == NAME).then(|| seconds(&value)).flatten();
    (name, seconds.unwrap_or(value))
}

fn rfc3339(value: &str) -> Option<String> {
    let (whole, fraction) = value.split_once('.')?;
    let time = UNIX_EPOCH.checked_add(Duration::from_secs(whole.parse().ok()?))?;
    Some(format!("{}.{fraction}Z", iso8601(time).trim_end_matches('Z')))
}

fn seconds(value: &str) -> Option<String> {
    let since = parse_iso8601(value)?.duration_since(UNIX_EPOCH).ok()?;
    Some(format!("{}.{:09}", since.as_secs(), since.subsec_nanos()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_written_in_both_forms() {
        for (ours, theirs) in [
            ("1795313949.241646800", "2026-11-22T02:19:09.241646800Z"),
            ("0.000000000", "1970-01-01T00:00:00.000000000Z"),
        ] {
            assert_eq!(outward("mtime", ours), theirs);
            assert_eq!(inward(("mtime".to_owned(), theirs.to_owned())).1, ours);
        }
        for theirs in ["2026-11-22T02:19:09Z", "2026-11-22T04:19:09+02:00", "2026-11-21T23:49:09.0-02:30"] {
            assert_eq!(inward(("mtime".to_owned(), theirs.to_owned())).1, "1795313949.000000000", "{theirs}");
        }
    }

    #[test]
    fn values_that_would_not_round_trip_are_unchanged() {
        for value in ["1795313949", "1.5", "-1.000000000", "01.000000000", "999999999999999.000000000", "x", ""] {
            assert_eq!(outward("mtime", value), value);
        }
        for value in ["2026-11-22", "2026-11-22T02:19:09", "2026-11-22T02:19:09+0200", "1.5", "üüü+01:00", ""] {
            assert_eq!(inward(("mtime".to_owned(), value.to_owned())).1, value);
        }
        assert_eq!(outward("other", "1795313949.241646800"), "1795313949.241646800");
        assert_eq!(inward(("other".to_owned(), "2026-11-22T02:19:09Z".to_owned())).1, "2026-11-22T02:19:09Z");
    }

    proptest! {
        #[test]
        fn written_times_read_back(value in "([0-9]{1,12}\\.[0-9]{9})|\\PC*") {
            if let Cow::Owned(theirs) = outward("mtime", &value) {
                prop_assert_eq!(inward(("mtime".to_owned(), theirs)).1, value);
            }
        }
    }
}
