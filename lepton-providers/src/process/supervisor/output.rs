//! The end of a replica's output.

use std::collections::VecDeque;
use std::fs::File;
use std::path::Path;

use crate::process::state::{output_begins, output_file, read_output};

/// How much of the output is searched for the last lines.
const SEARCHED: u64 = 1 << 20;

/// The last lines of a replica's output.
pub(super) fn tail(folder: &Path, lines: usize) -> Vec<String> {
    let read = || {
        let mut file = File::open(output_file(folder))?;
        let length = file.metadata()?.len();
        let from = length.saturating_sub(SEARCHED).max(output_begins(&file)?);
        std::io::Result::Ok((read_output(&mut file, from, SEARCHED)?, from > 0))
    };
    let Ok((bytes, cut)) = read() else { return Vec::new() };
    let text = String::from_utf8_lossy(&bytes);
    let mut last = VecDeque::new();
    // The first line of a part is perhaps not whole.
    for line in text.lines().skip(usize::from(cut)) {
        last.push_back(line.to_owned());
        if last.len() > lines {
            last.pop_front();
        }
    }
    last.into()
}
