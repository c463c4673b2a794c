//! Dates in the formats of the protocols.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The last second of the year 9999, in seconds since 1970.
const LAST_SECOND: u64 = 253_402_300_799;

/// Parses a time as RFC 3339 writes it: `2009-10-12T17:50:30.000Z`, with or without a fraction,
/// in any zone, with letters in either case.
pub(crate) fn parse_iso8601(text: &str) -> Option<SystemTime> {
    let text = text.to_ascii_uppercase();
    let (local, east, offset) = match text.strip_suffix('Z') {
        Some(utc) => (utc, true, Duration::ZERO),
        None => split_offset(&text)?,
    };
    // The parser also takes text after the first `Z`.
    let parsed = humantime::parse_rfc3339(&format!("{local}Z")).ok().filter(|_| !local.contains('Z'))?;
    if east { parsed.checked_sub(offset) } else { parsed.checked_add(offset) }
}

/// Splits off the offset from UTC, `+01:00`: whether it is to the east, and how far.
fn split_offset(text: &str) -> Option<(&str, bool, Duration)> {
    let (local, zone) = text.split_at_checked(text.len().checked_sub(6)?)?;
    let east = zone.starts_with('+');
    let (hours, minutes) = zone.strip_prefix(['+', '-'])?.split_once(':')?;
    let number = |text: &str, below: u64| {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u64>().ok().filter(|number| digits && *number < below)
    };
    Some((local, east, Duration::from_secs(number(hours, 24)? * 3600 + number(minutes, 60)? * 60)))
}

/// `2009-10-12T17:50:30Z`. A time that has no such form, before 1970 or after 9999, is
/// written as the nearest that has.
pub(crate) fn iso8601(time: SystemTime) -> String {
    let last = UNIX_EPOCH + Duration::from_secs(LAST_SECOND);
    humantime::format_rfc3339_seconds(time.clamp(UNIX_EPOCH, last)).to_string()
}

/// The basic format of ISO 8601, `20130524T000000Z`, which signatures contain.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BasicDate([u8; 16]);

impl BasicDate {
    pub(crate) fn new(time: SystemTime) -> Self {
        let mut date = [0; 16];
        let text = iso8601(time);
        let marks = text.bytes().filter(|byte| !matches!(byte, b'-' | b':'));
        date.iter_mut().zip(marks).for_each(|(slot, byte)| *slot = byte);
        Self(date)
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// `20130524`
    pub(crate) fn day(&self) -> &str {
        self.as_str().get(..8).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn known_dates() {
        let time = at(1_369_353_600);
        assert_eq!(parse_iso8601("2013-05-24T00:00:00.000Z"), Some(time));
        assert_eq!(parse_iso8601("2013-05-24T00:00:00.25Z"), Some(time + Duration::from_millis(250)));
        for same in [
            "2013-05-24t00:00:00z",
            "2013-05-24T00:00:00+00:00",
            "2013-05-24T00:00:00.0-00:00",
            "2013-05-24T05:30:00.000000000000+05:30",
            "2013-05-23T23:00:00-01:00",
        ] {
            assert_eq!(parse_iso8601(same), Some(time), "{same}");
        }
        assert_eq!((BasicDate::new(time).as_str(), BasicDate::new(time).day()), ("20130524T000000Z", "20130524"));
        assert_eq!(BasicDate::new(at(951_827_696)).as_str(), "20000229T123456Z");
        for wrong in [
            "",
            "2013-05-24",
            "2013-13-24T00:00:00Z",
            "2013-05-24T00:00:00",
            "2013-05-24T00:00:00.xZ",
            "2013-05-24T00:00:00ZZ",
            "2013-05-24T00:00:00Z+00:00",
            "2013-05-24T00:00:00+00:00Z",
            "2013-05-24T00:00:00+0000",
            "2013-05-24T00:00:00+24:00",
            "2013-05-24T00:00:00+00:60",
            "2013-05-24T00:00:00+-1:00",
            "2013-05-24 00:00:00Z",
            "2013-05-24T00:00:00üüü",
        ] {
            assert_eq!(parse_iso8601(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn times_without_a_form_are_written_as_the_nearest() {
        assert_eq!(iso8601(UNIX_EPOCH - Duration::from_secs(1)), "1970-01-01T00:00:00Z");
        assert_eq!(iso8601(at(LAST_SECOND + 1)), "9999-12-31T23:59:59Z");
    }

    proptest! {
        #[test]
        fn every_second_survives_both_ways(seconds in 0..=LAST_SECOND) {
            let text = iso8601(at(seconds));
            prop_assert_eq!(parse_iso8601(&text), Some(at(seconds)));
            let basic = BasicDate::new(at(seconds));
            prop_assert_eq!(basic.as_str(), text.replace(['-', ':'], ""));
        }

        #[test]
        fn no_text_panics(text in "\\PC*|[0-9TZtz:+.-]{19,30}|2013-05-24T00:00:00\\PC{0,9}Z") {
            parse_iso8601(&text);
        }
    }
}
