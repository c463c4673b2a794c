//! The file with the number of writes that are open, for the start after a crash. The format is
//! in `docs/formats/router.md`.
//!
//! It is written in place, without a sync, each time a write begins or ends: what a process has
//! written outlives that process. A crash of the whole machine can lose the last numbers; the
//! file therefore names the boot of the machine, and after another boot at least one write of
//! each side counts as unknown.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use lepton_core::{Error, ErrorKind, Result};

const TITLE: &str = "lepton-router-open-writes 1";

/// The file, open.
#[derive(Debug)]
pub(super) struct FlightFile {
    file: File,
    path: PathBuf,
    boot: String,
}

impl FlightFile {
    /// Whether the folder has had a router before.
    pub(super) fn exists(folder: &Path) -> bool {
        path(folder).exists()
    }

    /// Opens the file, and returns the writes of side A and side B whose end was not seen.
    pub(super) fn open(folder: &Path) -> Result<(Self, [u64; 2])> {
        let (path, boot) = (path(folder), boot());
        let mut unknown = [0, 0];
        if path.exists() {
            let text = std::fs::read_to_string(&path).map_err(|error| wrong("cannot be read", &path, error))?;
            // It is empty if a router was killed before the first line, and so before any request.
            if !text.is_empty() {
                unknown = parse(&text, &boot).ok_or_else(|| {
                    let message = "the file of open writes is damaged or of another version";
                    Error::new(ErrorKind::Corrupt, message).with_context("path", path.display())
                })?;
            }
        }
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.map_err(|error| wrong("cannot be opened", &path, error))?;
        let opened = Self { file, path, boot };
        opened.write(unknown, false)?;
        opened.sync()?;
        // Its name, too.
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(|error| wrong("has a folder that cannot be synced", folder, error))?;
        Ok((opened, unknown))
    }

    /// Writes how many are open.
    pub(super) fn write(&self, open: [u64; 2], stopped: bool) -> Result<()> {
        let state = if stopped { "stopped" } else { "running" };
        let text = format!("{TITLE}\n{:36}\n{state}\n{:020}\n{:020}\n", self.boot, open[0], open[1]);
        self.file.write_all_at(text.as_bytes(), 0).map_err(|error| wrong("cannot be written", &self.path, error))
    }

    /// Marks the end of a router that stopped in order.
    pub(super) fn stop(&self, open: [u64; 2]) -> Result<()> {
        self.write(open, true)?;
        self.sync()
    }

    fn sync(&self) -> Result<()> {
        self.file.sync_all().map_err(|error| wrong("cannot be synced", &self.path, error))
    }

    /// From now on it cannot be written.
    #[cfg(test)]
    pub(super) fn fail(&mut self) -> std::io::Result<()> {
        self.file = File::open(&self.path)?;
        Ok(())
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join("open-writes")
}

fn wrong(what: &str, path: &Path, error: std::io::Error) -> Error {
    Error::io(format!("the file of open writes {what}"), error).with_context("path", path.display())
}

fn parse(text: &str, boot: &str) -> Option<[u64; 2]> {
    let lines: Vec<_> = text.lines().collect();
    let [TITLE, before, state, a, b] = lines[..] else { return None };
    let open = [a.parse().ok()?, b.parse().ok()?];
    let same_boot = !boot.is_empty() && before.trim() == boot;
    match state {
        "stopped" => Some(open),
        "running" if same_boot => Some(open),
        "running" => Some(open.map(|count: u64| count.max(1))),
        _ => None,
    }
}

/// The id of this boot; empty where the system has none.
fn boot() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().chars().take(36).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_documentation_is_what_is_written() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/formats/router.md");
        let page = std::fs::read_to_string(page).unwrap();
        let example = page.split("```text\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (mut opened, _) = FlightFile::open(folder.path()).unwrap();
        "4c0b28e4-0f19-4a5e-9d0a-6a6f0c3f4f0e".clone_into(&mut opened.boot);
        opened.write([3, 0], false).unwrap();
        assert_eq!(std::fs::read_to_string(path(folder.path())).unwrap(), example);
    }

    #[test]
    fn a_router_that_was_killed_while_it_made_the_file_does_not_stop_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(path(folder.path()), "").unwrap();
        assert_eq!(FlightFile::open(folder.path()).unwrap().1, [0, 0]);
        assert_eq!(FlightFile::open(folder.path()).unwrap().1, [0, 0]);
        std::fs::write(path(folder.path()), TITLE).unwrap();
        assert_eq!(FlightFile::open(folder.path()).unwrap_err().kind(), ErrorKind::Corrupt);
    }

    #[test]
    fn another_boot_has_lost_numbers_and_a_stop_in_order_has_not() {
        let text = |state| format!("{TITLE}\nboot\n{state}\n{:020}\n{:020}\n", 3, 0);
        assert_eq!(parse(&text("running"), "boot"), Some([3, 0]));
        assert_eq!(parse(&text("running"), "other"), Some([3, 1]));
        assert_eq!(parse(&text("running"), ""), Some([3, 1]));
        assert_eq!(parse(&text("stopped"), "other"), Some([3, 0]));
        assert_eq!(parse(&text("resting"), "boot"), None);
        assert_eq!(parse("", "boot"), None);
    }
}
