//! What somebody else has changed at the follower.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use futures_util::TryStreamExt as _;
use lepton_core::journal::{FIRST_USER_TYPE, Replay};
use lepton_core::{
    ETag, EnvExt as _, Error, ErrorKind, HeadOptions, ListRequest, Location, ObjectKey, ObjectMeta, Result, SharedEnv,
};
use lepton_data::{ManifestEntry, ManifestReader};
use serde::Deserialize;

/// How many differences are named.
const NAMED: usize = 100;

/// Which side of a manifest a listing is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tags {
    /// The tags of the objects that were read.
    Source,
    /// The tags of the objects that were written.
    Destination,
}

/// The tags that each object may have.
type Expected = HashMap<Vec<u8>, Vec<ETag>>;

/// The objects at `place` that are neither as a round left them nor the same as at the new owner:
/// what somebody else has written, by key. `journals` are those of the rounds out of `place`, up
/// to the fence, and of the rounds into it since; one that is missing expects nothing.
///
/// An object that is gone is not among them: it comes again. It holds the keys and tags of the
/// manifests in memory.
pub(super) async fn unexpected(
    env: &SharedEnv,
    journals: [(PathBuf, Tags); 2],
    place: &Location,
    owner: &Location,
) -> Result<Vec<String>> {
    let expected = env.run_blocking(move || expected(&journals)).join().await??;
    let mut found = Vec::new();
    let mut pages = place.storage().list(ListRequest::new().prefix(place.folder().clone()));
    while let Some(page) = pages.try_next().await? {
        for object in page.objects {
            let known = expected.get(object.key.as_bytes());
            let is_ours = known.zip(object.etag.as_ref()).is_some_and(|(tags, tag)| tags.contains(tag));
            if is_ours || same(&object, place, owner).await? || found.len() == NAMED {
                continue;
            }
            found.push(format!("{} {}", object.key, if known.is_some() { "was changed" } else { "is new" }));
        }
    }
    Ok(found)
}

fn expected(journals: &[(PathBuf, Tags)]) -> Result<Expected> {
    let mut expected = Expected::new();
    for (journal, tags) in journals {
        match read(journal, *tags, &mut expected) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            read => read?,
        }
    }
    Ok(expected)
}

/// Whether the new owner has the same object: a round may have been killed after it wrote the
/// object and before it recorded that.
async fn same(object: &ObjectMeta, place: &Location, owner: &Location) -> Result<bool> {
    let name = &object.key.as_bytes()[place.folder().as_bytes().len()..];
    let key = ObjectKey::new([owner.folder().as_bytes(), name].concat())?;
    match owner.storage().head(&key, HeadOptions::new()).await {
        Ok(theirs) => {
            Ok(theirs.meta.size == object.size && theirs.meta.etag.is_some() && theirs.meta.etag == object.etag)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn read(journal: &Path, tags: Tags, expected: &mut Expected) -> Result<()> {
    let mut take = |line: &ManifestEntry| {
        let (key, tag) = match tags {
            Tags::Source => (line.source_key(), line.source_etag.as_ref().or(line.etag.as_ref())),
            Tags::Destination => (&line.key, line.etag.as_ref()),
        };
        expected.entry(key.as_bytes().to_vec()).or_default().extend(tag.cloned());
    };
    for line in ManifestReader::open(&journal.join("manifest.jsonl"))? {
        take(&line?);
    }
    // What the rounds before have proven of objects that failed in the last one.
    for line in lines_of(&journal.join("proofs.jsonl"))? {
        if let Ok(proof) = serde_json::from_str::<Proof>(&line?) {
            take(&proof.line);
        }
    }
    // What a round that did not end has recorded.
    for record in Replay::of(journal)? {
        let record = record?;
        if record.kind == FIRST_USER_TYPE
            && let Ok(line) = serde_json::from_slice(&record.payload)
        {
            take(&line);
        }
    }
    Ok(())
}

/// A line of a transfer's proofs, as `docs/formats/journal.md` describes it.
#[derive(Deserialize)]
struct Proof {
    line: ManifestEntry,
}

fn lines_of(path: &Path) -> Result<impl Iterator<Item = Result<String>>> {
    let failed = |error| Error::io("cannot read the proofs", error);
    let file = match File::open(path) {
        Ok(file) => Some(file),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error)),
    };
    let lines = file.into_iter().flat_map(|file| BufReader::new(file).lines());
    Ok(lines.map(move |line| line.map_err(failed)))
}
