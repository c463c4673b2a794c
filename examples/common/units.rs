//! Parsing of sizes and times on the command line.

#![allow(dead_code, reason = "each program uses its share")]

use std::time::Duration;

/// Parses `8MiB`, `64k`, `1G` (all powers of 1024) or a number of bytes.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let shift = match text[digits.len()..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        unit => return Err(format!("{unit:?} is not a unit; use KiB, MiB or GiB")),
    };
    let number: u64 = digits.parse().map_err(|_| format!("{text:?} is not a size such as 8MiB"))?;
    number.checked_mul(1 << shift).ok_or_else(|| format!("{text:?} is too large"))
}

/// Parses `90`, `90s`, `1.5h`, `7d` or `2w`.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds = match &text[number.len()..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        "w" => 604_800.0,
        unit => return Err(format!("{unit:?} is not a unit; use ms, s, m, h, d or w")),
    };
    let number: f64 = number.parse().map_err(|_| format!("{text:?} is not a time such as 90s or 7d"))?;
    Duration::try_from_secs_f64(number * seconds).map_err(|error| format!("{text:?}: {error}"))
}
