//! What failed, repeated at the end of a long output, and the state of the machine.

use std::fs;
use std::path::Path;

/// The most lines that are repeated of one failure: the message and its values.
const LINES: usize = 12;

/// The failures in the output of test binaries: the name of each test with its message, without
/// the backtrace.
pub(crate) fn repeated(output: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = output.lines().peekable();
    while let Some(line) = lines.next() {
        if !(line.starts_with("---- ") && line.ends_with(" stdout ----")) {
            continue;
        }
        let mut text = line.to_owned();
        let mut count = 0;
        while let Some(next) = lines.next_if(|next| !next.starts_with("---- ") && !next.starts_with("failures:")) {
            if next.starts_with("stack backtrace:") {
                break;
            }
            if !next.is_empty() && count < LINES {
                text = format!("{text}\n  {next}");
                count += 1;
            }
        }
        found.push(text);
    }
    found
}

/// What may explain a failure that the test alone does not: a full disk, no memory, a busy machine.
pub(crate) fn machine() -> String {
    let first = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let load = first("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" ");
    let memory = first("/proc/meminfo")
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))
        .map(str::trim)
        .map(str::to_owned);
    let free = |path: &Path| {
        let system = rustix::fs::statvfs(path).ok();
        system
            .map_or_else(|| "unknown".to_owned(), |system| format!("{} MiB", (system.f_bavail * system.f_frsize) >> 20))
    };
    format!(
        "load {load}; {} available; {} free for temporary files, {} for the build",
        memory.unwrap_or_else(|| "unknown memory".to_owned()),
        free(&std::env::temp_dir()),
        free(&crate::process::root()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_is_repeated_without_its_backtrace() {
        let output = "test a ... FAILED\nfailures:\n\n---- a stdout ----\n\nthread 'a' panicked at x.rs:1:2:\nleft: 1\n\
                      stack backtrace:\n   0: x\n\n---- b stdout ----\nError: full\n\nfailures:\n    a\n    b\n";
        assert_eq!(
            repeated(output),
            ["---- a stdout ----\n  thread 'a' panicked at x.rs:1:2:\n  left: 1", "---- b stdout ----\n  Error: full",]
        );
        assert!(machine().contains("free"));
    }
}
