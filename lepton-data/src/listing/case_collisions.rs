//! Destinations that do not tell upper from lower case: which names of the source would be
//! one there.
//!
//! Such names do not lie side by side in any order, so the source is listed once before the
//! run begins. Of each name 8 bytes are held in memory (16 while they grow): a hash, for
//! which two others are taken for the same once in 2^64 pairs. A name that the source gets
//! only while the run goes on is not among them.

use std::path::Path;
use std::sync::Arc;

use lepton_core::{EnvExt as _, Error, ErrorKind, KeyHandling, KeyRules, Result};

use crate::listing::page::Page;
use crate::listing::{key_list, list};
use crate::names::case_folding::{Folded, hash};
use crate::transfer::run::Run;
use crate::types::side::Side;

/// Looks first whether two names would be one at the destination.
pub(crate) async fn look_at_names(run: &Arc<Run>) -> Result<()> {
    if let Some(folded) = look(run).await? {
        run.folded.get_or_init(|| folded);
    }
    Ok(())
}

/// Looks at all names that the source's objects get, where that matters. A saved plan has
/// refused what shares a name when it was made.
async fn look(run: &Arc<Run>) -> Result<Option<Folded>> {
    let rules = run.target().keys.clone();
    if rules.case == KeyHandling::Kept || run.options.plan.is_some() {
        return Ok(None);
    }
    let seed = run.env.random();
    let hashes = match run.options.keys.clone() {
        Some(file) => {
            let (ours, rules) = (Arc::clone(run), rules.clone());
            run.env.run_blocking(move || of_list(&ours, &file, &rules, seed)).join().await??
        }
        None => of_listing(run, &rules, seed).await?,
    };
    let folded = run.env.run_blocking(move || Folded::new(rules, seed, hashes));
    folded.join().await.map(Some)
}

async fn of_listing(run: &Arc<Run>, rules: &KeyRules, seed: u64) -> Result<Vec<u64>> {
    let mut hashes = Vec::new();
    let mut pages = list::start(run, Side::Source, None);
    loop {
        let broke_off = || Error::new(ErrorKind::Unexpected, "a listing broke off").with_operation("list");
        let objects = match pages.recv().await.ok_or_else(broke_off)?? {
            Page::Objects(objects) => objects,
            Page::End => return Ok(hashes),
        };
        for object in &objects {
            if run.filter.takes(run.mapping.name(&object.key).as_bytes(), object) {
                // It is counted when it is listed for the run itself.
                list::uncount(run, object);
                hashes.push(hash(rules, seed, &run.mapping.target(&run.mapping.place(&object.key))));
            }
        }
    }
}

/// Blocks.
fn of_list(run: &Run, file: &Path, rules: &KeyRules, seed: u64) -> Result<Vec<u64>> {
    let (mut hashes, mut last) = (Vec::new(), None);
    for place in key_list::places(run, file)? {
        let place = place?;
        // A list may name a key twice.
        if last.as_ref() != Some(&place) {
            hashes.push(hash(rules, seed, &run.mapping.target(&place)));
        }
        last = Some(place);
    }
    Ok(hashes)
}
