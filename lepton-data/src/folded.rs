//! Destinations that do not tell upper from lower case: which names of the source would be
//! one there.
//!
//! Such names do not lie side by side in any order, so the source is listed once before the
//! run begins. Of each name 8 bytes are held in memory (16 while they grow): a hash, for
//! which two others are taken for the same once in 2^64 pairs. A name that the source gets
//! only while the run goes on is not among them.

use std::hash::{DefaultHasher, Hasher as _};
use std::path::Path;
use std::sync::Arc;

use lepton_core::{EnvExt as _, Error, ErrorKind, KeyHandling, KeyRules, ObjectKey, Result};

use crate::keys;
use crate::list::{self, Page, Side};
use crate::run::Run;

/// The names that the source's objects get, without their case.
#[derive(Debug)]
pub(crate) struct Folded {
    rules: KeyRules,
    /// Nobody foresees it, so nobody makes two names the same.
    seed: u64,
    /// In ascending order; what is there twice is one name for two objects.
    hashes: Vec<u64>,
}

impl Folded {
    fn hash(&self, target: &ObjectKey) -> u64 {
        hash(&self.rules, self.seed, target)
    }

    /// Whether an object of the source gets this name, in any case.
    pub(crate) fn holds(&self, target: &ObjectKey) -> bool {
        self.hashes.binary_search(&self.hash(target)).is_ok()
    }

    /// Refuses a name that two objects would share.
    pub(crate) fn check(&self, target: &ObjectKey) -> Result<()> {
        let hash = self.hash(target);
        let first = self.hashes.partition_point(|other| *other < hash);
        if self.hashes.get(first + 1) != Some(&hash) {
            return Ok(());
        }
        let message = "another object of the source has a name that differs in upper and lower case alone, which \
                       the destination takes for the same; rename one with map, leave one out by a filter, or set \
                       encode_keys";
        Err(Error::new(ErrorKind::InvalidKey, message).with_context("key", target))
    }
}

fn hash(rules: &KeyRules, seed: u64, target: &ObjectKey) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_u64(seed);
    hasher.write(&rules.folded(target));
    hasher.finish()
}

/// Looks at all names that the source's objects get, where that matters. A saved plan has
/// refused what shares a name when it was made.
pub(crate) async fn look(run: &Arc<Run>) -> Result<Option<Folded>> {
    let rules = run.target().keys.clone();
    if rules.case == KeyHandling::Kept || run.options.plan.is_some() {
        return Ok(None);
    }
    let seed = run.env.random();
    let mut hashes = match run.options.keys.clone() {
        Some(file) => {
            let (ours, rules) = (Arc::clone(run), rules.clone());
            run.env.run_blocking(move || of_list(&ours, &file, &rules, seed)).join().await??
        }
        None => of_listing(run, &rules, seed).await?,
    };
    let sorting = run.env.run_blocking(move || {
        hashes.sort_unstable();
        hashes
    });
    Ok(Some(Folded { rules, seed, hashes: sorting.join().await? }))
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
    for place in keys::places(run, file)? {
        let place = place?;
        // A list may name a key twice.
        if last.as_ref() != Some(&place) {
            hashes.push(hash(rules, seed, &run.mapping.target(&place)));
        }
        last = Some(place);
    }
    Ok(hashes)
}
