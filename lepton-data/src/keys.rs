//! A list of keys in place of the source's listing.

use std::io::BufRead as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lepton_core::{EnvExt as _, ObjectKey, Result, Sha256};
use sha2::Digest as _;
use tokio::sync::mpsc;

use crate::run::Run;
use crate::sealed;
use crate::sort::Sorter;

const LIST: &str = "list";

/// Keys that are handed on at once.
const BATCH: usize = 256;

/// Keys on their way, in order and each once; an empty batch is the last.
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

/// Starts reading the keys behind the source key `after`.
pub(crate) fn start(run: &Arc<Run>, file: PathBuf, after: Option<ObjectKey>) -> Batches {
    let (send, receive) = mpsc::channel(2);
    let (folder, spill, memory) = (run.options.source.folder(), run.spill_folder(), run.sort_memory());
    drop(run.env.run_blocking(move || {
        let sort = || {
            let mut sorter = Sorter::new(&spill, memory);
            lines(&file, |line| sorter.push(ObjectKey::new(line.to_vec())?.prefixed(&folder)))?;
            let mut last = after;
            let mut batch = Vec::new();
            for key in sorter.finish()? {
                let key = key?;
                if last.as_ref().is_none_or(|last| *last < key) {
                    last = Some(key.clone());
                    batch.push(key);
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

/// Gives each line that is not empty, without its end.
fn lines(file: &Path, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut input = sealed::open(file, LIST)?;
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
