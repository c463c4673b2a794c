//! Finds names of the source that would collide at a destination that ignores case.
//!
//! Such names are not adjacent in key order, so the source is listed once before the run
//! begins. Each name takes 8 bytes of memory (16 while the list grows): a hash, which two
//! different names share once in 2^64 pairs. Names that the source gets during the run are
//! not included.

use std::path::Path;
use std::sync::Arc;

use lepton_core::{Error, ErrorKind, KeyHandling, KeyRules, Result, RuntimeExt as _};

use crate::listing::lister::Lister;
use crate::listing::page::Page;
use crate::listing::{key_list, list};
use crate::names::case_folding::{Folded, hash};
use crate::types::side::Side;

/// Collects the names that the source's objects get; `None` if the destination distinguishes
/// case. `keys` is the list that names the objects, if there is one.
pub(crate) async fn names(lister: &Arc<Lister>, keys: Option<&Path>) -> Result<Option<Folded>> {
    let rules = lister.destination.capabilities().keys.clone();
    if rules.case == KeyHandling::Kept {
        return Ok(None);
    }
    let env = &lister.scheduler.env;
    let seed = env.random();
    let hashes = match keys {
        Some(file) => {
            let (ours, rules, file) = (Arc::clone(lister), rules.clone(), file.to_owned());
            env.run_blocking(move || of_list(&ours, &file, &rules, seed)).join().await??
        }
        None => of_listing(lister, &rules, seed).await?,
    };
    let folded = env.run_blocking(move || Folded::new(rules, seed, hashes));
    folded.join().await.map(Some)
}

async fn of_listing(lister: &Arc<Lister>, rules: &KeyRules, seed: u64) -> Result<Vec<u64>> {
    let mut hashes = Vec::new();
    let mut pages = list::start(lister, Side::Source, None);
    loop {
        let broke_off = || Error::new(ErrorKind::Unexpected, "a listing broke off").with_operation("list");
        let objects = match pages.recv().await.ok_or_else(broke_off)?? {
            Page::Objects(objects) => objects,
            Page::End => return Ok(hashes),
        };
        for object in &objects {
            if lister.takes(object) {
                // The listing of the run itself counts it.
                lister.uncount(object);
                hashes.push(hash(rules, seed, &lister.mapping.target(&lister.mapping.sort_key(&object.key))));
            }
        }
    }
}

/// Blocks.
fn of_list(lister: &Lister, file: &Path, rules: &KeyRules, seed: u64) -> Result<Vec<u64>> {
    let (mut hashes, mut last) = (Vec::new(), None);
    for sort_key in key_list::places(lister, file)? {
        let sort_key = sort_key?;
        // A list may name a key twice.
        if last.as_ref() != Some(&sort_key) {
            hashes.push(hash(rules, seed, &lister.mapping.target(&sort_key)));
        }
        last = Some(sort_key);
    }
    Ok(hashes)
}
