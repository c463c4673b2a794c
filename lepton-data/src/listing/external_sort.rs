//! Sorts values on disk. Memory use does not depend on the number of values.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use lepton_core::{Error, ErrorKind, ObjectKey, ObjectMeta, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::types::file::to_json;

/// The number of runs that are merged in one pass.
const RUNS: usize = 64;

/// A value that sorts by its key.
pub(crate) trait Keyed: Serialize + DeserializeOwned {
    fn key(&self) -> &ObjectKey;
    /// Approximately how many bytes it uses in memory.
    fn weight(&self) -> usize;
}

impl Keyed for ObjectKey {
    fn key(&self) -> &ObjectKey {
        self
    }

    fn weight(&self) -> usize {
        size_of::<Self>() + self.as_bytes().len()
    }
}

impl Keyed for ObjectMeta {
    fn key(&self) -> &ObjectKey {
        &self.key
    }

    fn weight(&self) -> usize {
        let tag = self.etag.as_ref().map_or(0, |etag| etag.as_str().len());
        let attributes = self.attributes.as_ref().map_or(0, |attributes| attributes.weight());
        size_of::<Self>() + self.key.as_bytes().len() + tag + attributes
    }
}

/// Takes values in any order. Blocks when it writes.
///
/// Values that do not fit into memory are written to unnamed files, which vanish with the
/// process, however it ends.
#[derive(Debug)]
pub(crate) struct Sorter<T> {
    folder: PathBuf,
    most: usize,
    held: Vec<T>,
    weight: usize,
    runs: Vec<File>,
}

impl<T: Keyed> Sorter<T> {
    /// Holds at most `most` bytes in memory, the rest in `folder`.
    pub(crate) fn new(folder: &Path, most: usize) -> Self {
        Self { folder: folder.to_owned(), most, held: Vec::new(), weight: 0, runs: Vec::new() }
    }

    pub(crate) fn push(&mut self, value: T) -> Result<()> {
        self.weight += value.weight();
        self.held.push(value);
        if self.weight < self.most {
            return Ok(());
        }
        self.weight = 0;
        let held = sorted(std::mem::take(&mut self.held));
        let run = self.write(held.into_iter().map(Ok))?;
        self.runs.push(run);
        if self.runs.len() == RUNS {
            let merged = Sorted::merge(std::mem::take(&mut self.runs), Vec::new())?;
            let run = self.write(merged)?;
            self.runs.push(run);
        }
        Ok(())
    }

    fn write(&self, values: impl Iterator<Item = Result<T>>) -> Result<File> {
        let file = tempfile::tempfile_in(&self.folder).map_err(|e| failed(e, &self.folder))?;
        let mut writer = BufWriter::with_capacity(256 << 10, file);
        for value in values {
            let mut line = to_json(&value?)?;
            line.push(b'\n');
            writer.write_all(&line).map_err(|e| failed(e, &self.folder))?;
        }
        let mut file = writer.into_inner().map_err(|e| failed(e.into_error(), &self.folder))?;
        file.seek(SeekFrom::Start(0)).map_err(|e| failed(e, &self.folder))?;
        Ok(file)
    }

    /// All values, sorted by key. Equal keys are adjacent.
    pub(crate) fn finish(self) -> Result<Sorted<T>> {
        Sorted::merge(self.runs, sorted(self.held))
    }
}

fn sorted<T: Keyed>(mut values: Vec<T>) -> Vec<T> {
    values.sort_by(|a, b| a.key().cmp(b.key()));
    values
}

fn failed(error: std::io::Error, folder: &Path) -> Error {
    Error::io("cannot sort on disk", error).with_operation("sort").with_context("path", folder.display())
}

/// Values in key order, merged from sorted runs that are read as needed.
#[derive(Debug)]
pub(crate) struct Sorted<T> {
    runs: Vec<SortedRun<T>>,
    /// The next key of each run that has one.
    next: BinaryHeap<Reverse<(ObjectKey, usize)>>,
}

#[derive(Debug)]
enum SortedRun<T> {
    Disk { lines: BufReader<File>, next: Option<T> },
    Memory(std::iter::Peekable<std::vec::IntoIter<T>>),
}

impl<T: Keyed> Sorted<T> {
    fn merge(files: Vec<File>, held: Vec<T>) -> Result<Self> {
        let disk = |file| SortedRun::Disk { lines: BufReader::with_capacity(64 << 10, file), next: None };
        let mut runs: Vec<SortedRun<T>> = files.into_iter().map(disk).collect();
        runs.push(SortedRun::Memory(held.into_iter().peekable()));
        let mut sorted = Self { runs, next: BinaryHeap::new() };
        for index in 0..sorted.runs.len() {
            sorted.advance(index)?;
        }
        Ok(sorted)
    }

    /// Adds the next key of a run to the heap.
    fn advance(&mut self, index: usize) -> Result<()> {
        let key = match &mut self.runs[index] {
            SortedRun::Memory(values) => values.peek().map(|value| value.key().clone()),
            SortedRun::Disk { lines, next } => {
                *next = read(lines)?;
                next.as_ref().map(|value: &T| value.key().clone())
            }
        };
        self.next.extend(key.map(|key| Reverse((key, index))));
        Ok(())
    }

    fn pop(&mut self) -> Result<Option<T>> {
        let Some(Reverse((_, index))) = self.next.pop() else { return Ok(None) };
        let value = match &mut self.runs[index] {
            SortedRun::Memory(values) => values.next(),
            SortedRun::Disk { next, .. } => next.take(),
        };
        self.advance(index)?;
        Ok(value)
    }
}

fn read<T: Keyed>(lines: &mut BufReader<File>) -> Result<Option<T>> {
    let mut line = Vec::new();
    lines.read_until(b'\n', &mut line).map_err(|e| Error::io("cannot sort on disk", e).with_operation("sort"))?;
    if line.is_empty() {
        return Ok(None);
    }
    let value = serde_json::from_slice(&line);
    value.map(Some).map_err(|e| Error::new(ErrorKind::Corrupt, "what was sorted on disk was changed").with_source(e))
}

impl<T: Keyed> Iterator for Sorted<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Self::Item> {
        self.pop().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn whatever_comes_leaves_in_order(
            keys in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..6), 0..300),
            most in 1usize..2000,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let mut sorter = Sorter::new(folder.path(), most);
            let mut keys: Vec<ObjectKey> = keys.into_iter().map(|key| ObjectKey::new(key).unwrap()).collect();
            for (size, key) in keys.iter().enumerate() {
                sorter.push(ObjectMeta::new(key.clone(), size as u64)).unwrap();
            }
            prop_assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "no file has a name");
            let sorted: Vec<ObjectMeta> = sorter.finish().unwrap().map(Result::unwrap).collect();
            let mut sizes: Vec<u64> = sorted.iter().map(|object| object.size).collect();
            sizes.sort_unstable();
            prop_assert!(sizes.into_iter().eq(0..keys.len() as u64));
            keys.sort();
            prop_assert!(sorted.into_iter().map(|object| object.key).eq(keys));
        }
    }
}
