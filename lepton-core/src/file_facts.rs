//! Facts about files in user metadata: the time of their last change, and their mode. The names
//! and forms are those of rclone.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::object::Attributes;

/// The name of the time: seconds since 1970, with a fraction.
const MTIME: &str = "mtime";
/// The name of the mode, in octal.
const MODE: &str = "mode";

impl Attributes {
    /// The time of the last change that the writer recorded in the user metadata, as `mtime`:
    /// seconds since 1970, with a fraction.
    pub fn modified(&self) -> Option<SystemTime> {
        let (whole, fraction) =
            self.user_metadata.get(MTIME).map(|text| text.split_once('.').unwrap_or((text, "0")))?;
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) {
            return None;
        }
        let nanos: u32 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
        UNIX_EPOCH.checked_add(Duration::new(whole.parse().ok()?, nanos))
    }

    /// Records a time of the last change, unless one is recorded or the time is before 1970.
    pub fn record_modified(&mut self, time: SystemTime) {
        if let Ok(since) = time.duration_since(UNIX_EPOCH) {
            let text = || format!("{}.{:09}", since.as_secs(), since.subsec_nanos());
            self.user_metadata.entry(MTIME.to_owned()).or_insert_with(text);
        }
    }

    /// The user metadata that a file has without extended attributes.
    pub(crate) fn file_facts(&self) -> BTreeMap<String, String> {
        let is_fact = |name: &str, value: &str| match name {
            MTIME => self.modified().is_some(),
            MODE => u32::from_str_radix(value, 8).is_ok(),
            _ => false,
        };
        let facts = self.user_metadata.iter().filter(|(name, value)| is_fact(name, value));
        facts.map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, value: &str) -> Attributes {
        let mut attributes = Attributes::default();
        attributes.user_metadata.insert(name.into(), value.into());
        attributes
    }

    #[test]
    fn recorded_times_are_read_and_written() {
        for (text, seconds) in [
            ("12", Some(12.0)),
            ("1700000000.500000000", Some(1_700_000_000.5)),
            ("5.25", Some(5.25)),
            ("5.1234567899", Some(5.123_456_789)),
            ("5.", None),
            (".5", None),
            ("99999999999999999999", None),
            ("-5", None),
            ("", None),
            ("yesterday", None),
            ("inf", None),
            ("1e300", None),
        ] {
            let expected = seconds.map(|seconds: f64| UNIX_EPOCH + Duration::from_secs_f64(seconds));
            assert_eq!(with("mtime", text).modified(), expected, "{text:?}");
        }
        let mut attributes = Attributes::default();
        attributes.record_modified(UNIX_EPOCH - Duration::from_secs(1));
        assert!(attributes.is_empty());
        attributes.record_modified(UNIX_EPOCH + Duration::new(12, 5));
        assert_eq!(attributes.user_metadata["mtime"], "12.000000005");
        attributes.record_modified(UNIX_EPOCH);
        assert_eq!(attributes.user_metadata["mtime"], "12.000000005", "a recorded time stays");
    }

    #[test]
    fn only_times_and_modes_in_their_forms_are_facts_about_a_file() {
        for (name, value, is_fact) in [
            ("mtime", "1.5", true),
            ("mode", "100644", true),
            ("mtime", "x", false),
            ("mode", "9", false),
            ("colour", "blue", false),
        ] {
            assert_eq!(!with(name, value).file_facts().is_empty(), is_fact, "{name}={value}");
        }
    }
}
