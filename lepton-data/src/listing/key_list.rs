//! Reads a list of keys, used instead of a listing of the source.

use std::io::BufRead as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lepton_core::{ObjectKey, Result, RuntimeExt as _, Sha256};
use sha2::Digest as _;
use tokio::sync::mpsc;

use crate::listing::by_destination::{DestinationSorter, WithSortKey};
use crate::listing::lister::Lister;

const LIST: &str = "list";

/// The number of keys in a batch.
const BATCH: usize = 256;

/// Batches of keys, in order and each key once; the last batch is empty.
pub(crate) type Batches = mpsc::Receiver<Result<Vec<ObjectKey>>>;

/// The digest of a list. Blocks.
pub(crate) fn digest(file: &Path) -> Result<Sha256> {
    let mut hasher = sha2::Sha256::new();
    lines(file, |line| {
        hasher.update(line);
        hasher.update(b"\n");
        Ok(())
    })?;
    Ok(Sha256(hasher.finalize().into()))
}

/// Starts reading the keys after the sort key `after`.
pub(crate) fn start(lister: &Arc<Lister>, file: PathBuf, after: Option<ObjectKey>) -> Batches {
    let (send, receive) = mpsc::channel(2);
    let ours = Arc::clone(lister);
    drop(lister.scheduler.env.run_blocking(move || {
        let sort = || {
            let mut last = after;
            let mut batch = Vec::new();
            for item in sorted(&ours, &file)? {
                let WithSortKey { sort_key, value } = item?;
                if last.as_ref().is_none_or(|last| *last < sort_key) {
                    last = Some(sort_key);
                    batch.push(value);
                }
                if batch.len() == BATCH && send.blocking_send(Ok(std::mem::take(&mut batch))).is_err() {
                    return Ok(());
                }
            }
            // The receiver is gone when the run has ended.
            let _ = if batch.is_empty() { Ok(()) } else { send.blocking_send(Ok(batch)) };
            let _ = send.blocking_send(Ok(Vec::new()));
            Ok(())
        };
        if let Err(error) = sort() {
            let _ = send.blocking_send(Err(error));
        }
    }));
    receive
}

/// The keys in the order of their sort keys. A key that is listed twice may occur twice.
fn sorted(lister: &Lister, file: &Path) -> Result<Box<dyn Iterator<Item = Result<WithSortKey<ObjectKey>>>>> {
    let folder = lister.source.folder();
    let key = |line: &[u8]| ObjectKey::new(line.to_vec()).map(|name| name.prefixed(&folder));
    if lister.mapping.is_empty() {
        let mut sorter = lister.sorter();
        lines(file, |line| sorter.push(key(line)?))?;
        return Ok(Box::new(
            sorter.finish()?.map(|key| key.map(|key| WithSortKey { sort_key: key.clone(), value: key })),
        ));
    }
    let mut sorter = DestinationSorter::new(lister);
    lines(file, |line| sorter.push(key(line)?))?;
    Ok(Box::new(sorter.finish(|key| lister.takes_name(key))?))
}

/// The sort keys of the keys that the filters include, in order. A key that is listed twice
/// may occur twice. Blocks.
pub(crate) fn places<'a>(lister: &'a Lister, file: &Path) -> Result<impl Iterator<Item = Result<ObjectKey>> + use<'a>> {
    let taken = |item: &WithSortKey<ObjectKey>| lister.takes_name(&item.value);
    let sort_keys = sorted(lister, file)?.map(move |item| item.map(|item| taken(&item).then_some(item.sort_key)));
    Ok(sort_keys.filter_map(Result::transpose))
}

/// Calls `each` with every line that is not empty, without its line end.
fn lines(file: &Path, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut input = crate::types::file::open(file, LIST)?;
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = input.read_until(b'\n', &mut line);
        let read = read.map_err(|e| lepton_core::Error::io("cannot read the list", e).with_operation(LIST))?;
        if read == 0 {
            return Ok(());
        }
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if !line.is_empty() {
            each(line)?;
        }
    }
}
