//! Dates as S3 writes them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: u64 = 86_400;

/// The time of a request in both forms that signing needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct AmzDate([u8; 16]);

impl AmzDate {
    pub(super) fn new(time: SystemTime) -> Self {
        let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let (year, month, day) = civil_from_days(seconds / DAY);
        let rest = seconds % DAY;
        let mut text = *b"00000000T000000Z";
        for (at, digits, value) in
            [(0, 4, year), (4, 2, month), (6, 2, day), (9, 2, rest / 3600), (11, 2, rest / 60 % 60), (13, 2, rest % 60)]
        {
            let mut value = value;
            for slot in text[at..at + digits].iter_mut().rev() {
                *slot += u8::try_from(value % 10).unwrap_or(0);
                value /= 10;
            }
        }
        Self(text)
    }

    /// `20130524T000000Z`
    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// `20130524`
    pub(super) fn day(&self) -> &str {
        self.as_str().get(..8).unwrap_or_default()
    }
}

/// Reads `2009-10-12T17:50:30.000Z`, with or without a fraction.
pub(super) fn parse_iso8601(text: &str) -> Option<SystemTime> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(str::parse::<u64>);
    let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let mut time = time.splitn(3, ':').map(str::parse::<u64>);
    let (hour, minute, second) = (time.next()?.ok()?, time.next()?.ok()?, time.next()?.ok()?);
    let in_range = (1970..10_000).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 61;
    if !in_range || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let nanos = fraction.bytes().chain(std::iter::repeat(b'0')).take(9);
    let nanos = nanos.fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    let seconds = days_from_civil(year, month, day) * DAY + hour * 3600 + minute * 60 + second;
    Some(UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_nanos(nanos))
}

/// Days since 1970-01-01 of a date, for years from 1970 on. The algorithm is
/// Howard Hinnant's ("chrono-Compatible Low-Level Date Algorithms").
fn days_from_civil(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year / 400;
    let year_of_era = year % 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of [`days_from_civil`].
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = (shifted + 2) % 12 + 1;
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_dates() {
        let time = UNIX_EPOCH + Duration::from_secs(1_369_353_600);
        assert_eq!(AmzDate::new(time).as_str(), "20130524T000000Z");
        assert_eq!(AmzDate::new(time).day(), "20130524");
        assert_eq!(AmzDate::new(UNIX_EPOCH + Duration::from_secs(951_827_696)).as_str(), "20000229T123456Z");
        assert_eq!(parse_iso8601("2013-05-24T00:00:00.000Z"), Some(time));
        assert_eq!(parse_iso8601("2013-05-24T00:00:00.25Z"), Some(time + Duration::from_millis(250)));
        for wrong in ["", "2013-05-24", "2013-13-24T00:00:00Z", "2013-05-24T00:00:00", "2013-05-24T00:00:00.xZ"] {
            assert_eq!(parse_iso8601(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn every_second_survives_both_ways(seconds in 0u64..200_000_000_000) {
            let text = AmzDate::new(UNIX_EPOCH + Duration::from_secs(seconds)).as_str().to_owned();
            let iso = format!("{}-{}-{}T{}:{}:{}Z", &text[..4], &text[4..6], &text[6..8], &text[9..11], &text[11..13], &text[13..15]);
            prop_assert_eq!(parse_iso8601(&iso), Some(UNIX_EPOCH + Duration::from_secs(seconds)));
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            parse_iso8601(&text);
        }
    }
}
