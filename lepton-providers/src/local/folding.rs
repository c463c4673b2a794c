//! Whether a folder distinguishes upper from lower case in names.

use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Dir, statat, unlinkat};

use super::folder::{create_new, if_unlocked};
use super::names::reserved;

/// Whether names that differ only in case are the same name in this folder. Looks up an
/// existing name in its other case. Only if there is none, a file is created for the test
/// and removed; if none can be created, nothing can be overwritten either.
///
/// Removes what a killed process has left in this folder, here or in a replacement: both use
/// the same name, under the lock of the folder. It waits for no lock.
pub(super) fn folds(dir: &OwnedFd) -> bool {
    let name = reserved("0", "tmp");
    if statat(dir, &name, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
        // If it remains, its name is never listed.
        let _ = if_unlocked(dir, || unlinkat(dir, &name, AtFlags::empty()));
    }
    by_a_name(dir).unwrap_or_else(|| by_a_new_file(dir))
}

/// The answer from a file that exists for this only.
fn by_a_new_file(dir: &OwnedFd) -> bool {
    let probe = |name: &str| {
        let answer = create_new(dir, name).ok().and_then(|_| other_case(dir, name.as_bytes()));
        let _ = unlinkat(dir, name, AtFlags::empty());
        answer.unwrap_or(false)
    };
    let common = if_unlocked(dir, || {
        let name = reserved("0", "tmp");
        // Left by a process that was killed since; its absence is the usual case.
        let _ = unlinkat(dir, &name, AtFlags::empty());
        probe(&name)
    });
    // Somebody has the lock, or there are none: a name of this process.
    common.unwrap_or_else(|| probe(&reserved(&format!("{:x}", std::process::id()), "tmp")))
}

/// The answer from the first name that contains a letter.
fn by_a_name(dir: &OwnedFd) -> Option<bool> {
    let entries = Dir::read_from(dir).ok()?;
    entries.map_while(Result::ok).find_map(|entry| other_case(dir, entry.file_name().to_bytes()))
}

/// Whether the name in its other case is the same file; `None` if it has no letters or is
/// gone.
fn other_case(dir: &OwnedFd, name: &[u8]) -> Option<bool> {
    let flipped: Vec<u8> = name.iter().map(|byte| byte ^ (u8::from(byte.is_ascii_alphabetic()) << 5)).collect();
    if flipped == name {
        return None;
    }
    let one = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    let other = statat(dir, flipped.as_slice(), AtFlags::SYMLINK_NOFOLLOW);
    // Two hard links to one file count as the same name here, which costs no more than a
    // refusal.
    Some(other.is_ok_and(|other| (other.st_dev, other.st_ino) == (one.st_dev, one.st_ino)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test")]

    use super::*;

    fn opened(path: &std::path::Path) -> OwnedFd {
        std::fs::File::open(path).unwrap().into()
    }

    #[test]
    fn probing_a_folder_leaves_it_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        let dir = opened(folder.path());
        assert!(!folds(&dir), "this file system tells case");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        std::fs::write(folder.path().join("1"), "").unwrap();
        assert_eq!(by_a_name(&dir), None, "no letter in any name");
        std::fs::write(folder.path().join("aB"), "").unwrap();
        assert_eq!(by_a_name(&dir), Some(false));
        std::fs::write(folder.path().join("Ab"), "").unwrap();
        assert_eq!(by_a_name(&dir), Some(false), "both are there");
    }

    /// Killed between creating the file and removing it, here or in a replacement.
    #[test]
    fn what_a_kill_has_left_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let (dir, left) = (opened(folder.path()), folder.path().join(".lepton-0.tmp"));
        for name in [None, Some("aB")] {
            if let Some(name) = name {
                std::fs::write(folder.path().join(name), "").unwrap();
            }
            std::fs::write(&left, "left").unwrap();
            assert!(!folds(&dir) && !left.exists(), "beside {name:?}");
            std::fs::write(&left, "left").unwrap();
            assert!(!by_a_new_file(&dir) && !left.exists(), "beside {name:?}");
        }
    }

    /// Looks like a folder that folds case: the other name is the same file.
    #[test]
    fn one_file_under_both_names_is_folding() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("aB"), "").unwrap();
        std::fs::hard_link(folder.path().join("aB"), folder.path().join("Ab")).unwrap();
        assert_eq!(by_a_name(&opened(folder.path())), Some(true));
    }
}
