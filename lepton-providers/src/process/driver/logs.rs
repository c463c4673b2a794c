//! The output of the replicas.
//!
//! A replica writes to its file without a time, so the lines have none. Where only lines since a
//! moment are requested, files that were not written since then are left out.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use lepton_core::deployment::{LogLine, LogRequest, LogStream};
use lepton_core::{Result, RuntimeExt as _};

use super::apply::read;
use super::shared::{Driver, absent};
use crate::process::state::{failed, folder_names, is_gone, output_begins, output_file, read_output};

/// How much of a file is read at once; a longer line is cut there.
const BLOCK: u64 = 256 * 1024;

/// The time between two looks for new lines.
const PERIOD: Duration = Duration::from_millis(200);

/// A log that is being read.
struct Reader {
    driver: Arc<Driver>,
    name: String,
    request: LogRequest,
    /// How far each replica's output has been read.
    read: BTreeMap<String, u64>,
    lines: VecDeque<LogLine>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    First,
    Further,
    Ended,
}

pub(super) fn logs(driver: Arc<Driver>, name: String, request: LogRequest) -> LogStream {
    let (read, lines, state) = (BTreeMap::new(), VecDeque::new(), State::First);
    let reader = Reader { driver, name, request, read, lines, state };
    stream::unfold(reader, |mut reader| async move {
        loop {
            if let Some(line) = reader.lines.pop_front() {
                return Some((Ok(line), reader));
            }
            if reader.state == State::Ended {
                return None;
            }
            let driver = Arc::clone(&reader.driver);
            let wait = reader.state == State::Further && reader.request.follow;
            let looked = driver.env.run_blocking(move || (reader.look(), reader)).join().await;
            let (looked, after) = looked.ok()?;
            reader = after;
            if let Err(error) = looked {
                reader.state = State::Ended;
                return Some((Err(error.with_operation("logs")), reader));
            }
            if wait && reader.lines.is_empty() && reader.state != State::Ended {
                driver.env.sleep(PERIOD).await;
            }
        }
    })
    .boxed()
}

impl Reader {
    /// Looks for lines that have not been read yet.
    fn look(&mut self) -> Result<()> {
        if read(&self.driver, &self.name)?.is_none() {
            let first = self.state == State::First;
            self.state = State::Ended;
            return if first { Err(absent(&self.name)) } else { Ok(()) };
        }
        let above = self.driver.state_dir.replicas(&self.name);
        for replica in folder_names(&above)? {
            let path = output_file(&above.join(&replica));
            match self.read_file(&replica, &path) {
                // It was removed meanwhile, or has not been started.
                Err(error) if is_gone(&error) => {}
                done => done.map_err(|error| failed("the output cannot be read", &path, error))?,
            }
        }
        let all_read = self.lines.is_empty();
        self.state = if all_read && !self.request.follow { State::Ended } else { State::Further };
        Ok(())
    }

    fn read_file(&mut self, replica: &str, path: &Path) -> io::Result<()> {
        let mut file = File::open(path)?;
        let begin = output_begins(&file)?;
        let from = match self.read.get(replica) {
            Some(from) => *from,
            None if self.state == State::First => self.begin(&mut file, begin)?,
            None => 0,
        };
        let mut bytes = read_output(&mut file, from.max(begin), BLOCK)?;
        let from = if from < begin {
            // What was given back ended within a line.
            let rest = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| end + 1);
            bytes.drain(..rest);
            begin + rest as u64
        } else {
            from
        };
        let whole = match bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => end + 1,
            // The rest may come yet, unless nobody waits for it.
            None if self.request.follow && (bytes.len() as u64) < BLOCK => 0,
            None => bytes.len(),
        };
        bytes.truncate(whole);
        self.read.insert(replica.to_owned(), from + whole as u64);
        for line in String::from_utf8_lossy(&bytes).lines() {
            self.lines.push_back(LogLine::new(replica, None, line));
        }
        Ok(())
    }

    /// The offset at which the requested lines begin.
    fn begin(&self, file: &mut File, begin: u64) -> io::Result<u64> {
        let found = file.metadata()?;
        if let (Some(since), Ok(written)) = (self.request.since, found.modified())
            && written < since
        {
            return Ok(found.len());
        }
        self.request.tail.map_or(Ok(0), |lines| last_lines(file, begin, found.len(), lines))
    }
}

/// Where the last lines of a file begin, which has nothing before `first`.
fn last_lines(file: &mut File, first: u64, length: u64, lines: usize) -> io::Result<u64> {
    let (mut end, mut left) = (length, lines);
    while end > first {
        let begin = end.saturating_sub(BLOCK).max(first);
        let bytes = read_output(file, begin, end - begin)?;
        for (index, _) in bytes.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            let after = begin + index as u64 + 1;
            // The line break at the end begins no line.
            if after == length {
                continue;
            }
            if left <= 1 {
                return Ok(if left == 0 { length } else { after });
            }
            left -= 1;
        }
        end = begin;
    }
    Ok(if left == 0 { length } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_found_from_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let long = "x".repeat(usize::try_from(BLOCK).unwrap());
        for (text, lines, expected) in [
            ("a\nb\nc\n", 1, "c\n"),
            ("a\nb\nc", 2, "b\nc"),
            ("a\nb\n", 9, "a\nb\n"),
            ("a\n", 0, ""),
            ("", 1, ""),
            (&format!("a\n{long}\nb\n"), 2, &format!("{long}\nb\n")),
        ] {
            std::fs::write(&path, text).unwrap();
            let at = last_lines(&mut File::open(&path).unwrap(), 0, text.len() as u64, lines).unwrap();
            assert!(text[usize::try_from(at).unwrap()..] == *expected, "{lines} lines begin at {at}");
        }
    }
}
