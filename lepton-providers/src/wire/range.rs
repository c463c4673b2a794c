//! Ranges of an object in requests and responses.

use std::ops::Range;

use http::StatusCode;
use http::header::{CONTENT_RANGE, HeaderMap, RANGE};
use lepton_core::{Error, Result};

use super::attributes::insert;

/// Adds the header that requests a range.
///
/// # Errors
/// `invalid_input` if the range is empty, which no header can express.
pub(crate) fn insert_range(headers: &mut HeaderMap, range: &Range<u64>) -> Result<()> {
    if range.is_empty() {
        return Err(Error::invalid_input(format!("the range {range:?} has no bytes")));
    }
    insert(headers, RANGE, &format!("bytes={}-{}", range.start, range.end - 1))
}

/// The range that a response with a body of `len` bytes holds, and the size of the whole
/// object; or the reason why the response is invalid.
pub(crate) fn response_range(
    status: StatusCode,
    headers: &HeaderMap,
    len: Option<u64>,
    wanted: Option<&Range<u64>>,
) -> std::result::Result<(Range<u64>, u64), &'static str> {
    let (range, size) = if status == StatusCode::PARTIAL_CONTENT {
        let wanted = wanted.ok_or("it returns a range that was not requested")?;
        let Some((range, Some(size))) = content_range(headers) else { return Err("no valid Content-Range") };
        if !is_requested(&range, size, wanted) {
            return Err("it returns another range than was requested");
        }
        (range, size)
    } else {
        let size = len.ok_or("no length of the object")?;
        if wanted.is_some_and(|range| range.start > 0 || range.end < size) {
            return Err("it gives the whole object instead of the range");
        }
        (0..size, size)
    };
    if len != Some(range.end - range.start) {
        return Err("the length of the body is not that of the range");
    }
    Ok((range, size))
}

/// The range in `Content-Range`, and the size of the whole object if it has one.
pub(crate) fn content_range(headers: &HeaderMap) -> Option<(Range<u64>, Option<u64>)> {
    parse_content_range(headers.get(CONTENT_RANGE)?.to_str().ok()?)
}

/// Whether a range is the requested one, cut off at the end of the object.
pub(crate) fn is_requested(range: &Range<u64>, size: u64, wanted: &Range<u64>) -> bool {
    range.start == wanted.start && range.end == wanted.end.min(size)
}

/// Parses `bytes 0-9/100` and `bytes 0-9/*`.
fn parse_content_range(text: &str) -> Option<(Range<u64>, Option<u64>)> {
    let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, i128) = (first.parse().ok()?, last.parse().ok()?);
    let end = u64::try_from(last.checked_add(1)?).ok()?;
    if size == "*" {
        return (first < end).then_some((first..end, None));
    }
    let size: u64 = size.parse().ok()?;
    // A range that begins at the end is empty. Some servers return one instead of
    // refusing it, even for empty objects (`bytes 0--1/0`).
    (end <= size && (first < end || (first == size && end == size))).then_some((first..end, Some(size)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        assert_eq!(parse_content_range("bytes 0-9/100"), Some((0..10, Some(100))));
        assert_eq!(parse_content_range("bytes 100-99/100"), Some((100..100, Some(100))));
        assert_eq!(parse_content_range("bytes 0--1/0"), Some((0..0, Some(0))));
        assert_eq!(parse_content_range("bytes 5-9/*"), Some((5..10, None)));
        for wrong in
            ["", "bytes */100", "bytes 5-4/*", "bytes 9-0/100", "bytes 0-100/100", "bytes 0-18446744073709551615/1"]
        {
            assert_eq!(parse_content_range(wrong), None, "{wrong}");
        }
    }
}
