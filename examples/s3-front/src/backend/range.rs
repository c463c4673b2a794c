//! Ranges of bytes, as RFC 9110 (section 14.1.2) writes them.

use std::ops::Range;

/// One range; S3 does not know several at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ByteRange {
    From { first: u64, last: Option<u64> },
    Last(u64),
}

impl ByteRange {
    /// Parses `bytes=0-9`, `bytes=10-` or `bytes=-5`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let number = |text: &str| text.parse::<u64>().ok().filter(|_| !text.starts_with('+'));
        let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
        match (first, last) {
            ("", last) => Some(Self::Last(number(last)?)),
            (first, "") => Some(Self::From { first: number(first)?, last: None }),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::From { first, last: Some(last) })
            }
        }
    }

    /// The range within an object; `None` if none of its bytes are in it.
    pub(super) fn within(self, size: u64) -> Option<Range<u64>> {
        let range = match self {
            Self::From { first, last } => first..last.map_or(size, |last| last.saturating_add(1).min(size)),
            Self::Last(len) => size.saturating_sub(len)..size,
        };
        (!range.is_empty()).then_some(range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_and_cut() {
        for (text, within) in [
            ("bytes=2-4", Some(2..5)),
            ("bytes=7-", Some(7..10)),
            ("bytes=7-99", Some(7..10)),
            ("bytes=-3", Some(7..10)),
            ("bytes=-30", Some(0..10)),
            ("bytes=10-", None),
            ("bytes=-0", None),
            ("bytes=0-18446744073709551615", Some(0..10)),
        ] {
            assert_eq!(ByteRange::parse(text).unwrap().within(10), within, "{text}");
        }
        for text in ["", "bytes=", "bytes=-", "bytes=4-2", "bytes=1-2,4-5", "bytes=+1-2", "lines=1-2", "bytes=a-b"] {
            assert_eq!(ByteRange::parse(text), None, "{text}");
        }
    }
}
