//! The names in one folder, stored compactly; and the names that Lepton reserves.

use lepton_core::{Error, ErrorKind, Result};

/// A name for a file in progress.
pub(super) fn reserved(id: &str, suffix: &str) -> String {
    format!(".lepton-{id}.{suffix}")
}

/// Whether [`reserved`] produces such names.
pub(super) fn is_reserved(name: &[u8]) -> bool {
    let Some(rest) = name.strip_prefix(b".lepton-") else { return false };
    let id = [&b".tmp"[..], b".data", b".parts"].iter().find_map(|suffix| rest.strip_suffix(*suffix));
    id.is_some_and(is_id)
}

/// Whether these are lower-case hexadecimal digits.
pub(super) fn is_id(id: &[u8]) -> bool {
    !id.is_empty() && id.iter().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte))
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    /// A link to a file, where links are followed.
    Link,
}

/// The names in a folder: their bytes in one buffer, and 8 bytes for each. While it grows
/// it may take twice as much.
#[derive(Debug, Default)]
pub(super) struct Names {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    start: u32,
    len: u16,
    kind: Kind,
}

impl Names {
    pub(super) fn push(&mut self, name: &[u8], kind: Kind) -> Result<()> {
        let (Ok(start), Ok(len)) = (u32::try_from(self.bytes.len()), u16::try_from(name.len())) else {
            return Err(Error::new(ErrorKind::TooLarge, "the names in one folder are more than 4 GiB"));
        };
        self.bytes.extend_from_slice(name);
        self.entries.push(Entry { start, len, kind });
        Ok(())
    }

    /// Sorts the names by key. The key of a folder is its name with a `/` appended.
    pub(super) fn sort(&mut self) {
        let bytes = &self.bytes;
        self.entries.sort_unstable_by(|a, b| {
            let (a_name, b_name) = (a.name(bytes), b.name(bytes));
            let common = a_name.len().min(b_name.len());
            let (a_rest, b_rest) = (a.behind(&a_name[common..]), b.behind(&b_name[common..]));
            a_name[..common].cmp(&b_name[..common]).then(a_rest.cmp(&b_rest))
        });
    }

    pub(super) fn get(&self, index: usize) -> Option<(&[u8], Kind)> {
        self.entries.get(index).map(|entry| (entry.name(&self.bytes), entry.kind))
    }
}

impl Entry {
    fn name<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let start = self.start as usize;
        &bytes[start..start + usize::from(self.len)]
    }

    /// The next byte of the key, where `rest` is the unread part of the name.
    fn behind(&self, rest: &[u8]) -> Option<u8> {
        rest.first().copied().or((self.kind == Kind::Directory).then_some(b'/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_sort_with_their_slash() {
        let mut names = Names::default();
        for (name, kind) in [
            ("a", Kind::Directory),
            ("a.txt", Kind::File),
            ("a-", Kind::File),
            ("a0", Kind::File),
            ("\u{ff}", Kind::File),
        ] {
            names.push(name.as_bytes(), kind).unwrap();
        }
        names.sort();
        let order: Vec<_> = (0..).map_while(|i| names.get(i)).map(|(name, _)| String::from_utf8_lossy(name)).collect();
        assert_eq!(order, ["a-", "a.txt", "a", "a0", "\u{ff}"]);
    }

    #[test]
    fn only_exact_names_are_reserved() {
        assert!(is_reserved(reserved("0123abc", "tmp").as_bytes()));
        for name in [".lepton-.tmp", ".lepton-xyz.tmp", ".lepton-01", "lepton-01.tmp", ".lepton-01.tmp.bak"] {
            assert!(!is_reserved(name.as_bytes()), "{name}");
        }
    }
}
