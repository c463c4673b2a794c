//! Dates in the format of S3 signatures.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::wire::time::{DAY, civil_from_days};

/// The time of a request in both forms that signing needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AmzDate([u8; 16]);

impl AmzDate {
    pub(crate) fn new(time: SystemTime) -> Self {
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
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::wire::time::parse_iso8601;

    #[test]
    fn known_dates() {
        let time = UNIX_EPOCH + Duration::from_secs(1_369_353_600);
        assert_eq!(AmzDate::new(time).as_str(), "20130524T000000Z");
        assert_eq!(AmzDate::new(time).day(), "20130524");
        assert_eq!(AmzDate::new(UNIX_EPOCH + Duration::from_secs(951_827_696)).as_str(), "20000229T123456Z");
    }

    proptest! {
        #[test]
        fn every_second_survives_both_ways(seconds in 0u64..200_000_000_000) {
            let text = AmzDate::new(UNIX_EPOCH + Duration::from_secs(seconds)).as_str().to_owned();
            let iso = format!("{}-{}-{}T{}:{}:{}Z", &text[..4], &text[4..6], &text[6..8], &text[9..11], &text[11..13], &text[13..15]);
            prop_assert_eq!(parse_iso8601(&iso), Some(UNIX_EPOCH + Duration::from_secs(seconds)));
        }
    }
}
