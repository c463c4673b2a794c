//! Dates, parsed and formatted without a calendar library.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) const DAY: u64 = 86_400;

/// Parses `2009-10-12T17:50:30.000Z`, with or without a fraction.
pub(crate) fn parse_iso8601(text: &str) -> Option<SystemTime> {
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

/// The days from 1970-01-01 to a date, for years from 1970. The algorithm is Howard
/// Hinnant's ("chrono-Compatible Low-Level Date Algorithms").
fn days_from_civil(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year / 400;
    let year_of_era = year % 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of [`days_from_civil`].
pub(crate) fn civil_from_days(days: u64) -> (u64, u64, u64) {
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
        assert_eq!(parse_iso8601("2013-05-24T00:00:00.000Z"), Some(time));
        assert_eq!(parse_iso8601("2013-05-24T00:00:00.25Z"), Some(time + Duration::from_millis(250)));
        for wrong in ["", "2013-05-24", "2013-13-24T00:00:00Z", "2013-05-24T00:00:00", "2013-05-24T00:00:00.xZ"] {
            assert_eq!(parse_iso8601(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn every_day_survives_both_ways(day in 0u64..2_900_000) {
            let (year, month, of_month) = civil_from_days(day);
            prop_assert_eq!(days_from_civil(year, month, of_month), day);
            let text = format!("{year:04}-{month:02}-{of_month:02}T00:00:01Z");
            prop_assert_eq!(parse_iso8601(&text), Some(UNIX_EPOCH + Duration::from_secs(day * DAY + 1)));
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            parse_iso8601(&text);
        }
    }
}
