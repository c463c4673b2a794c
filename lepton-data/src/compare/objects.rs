//! Whether an object at the destination is the same as its source: first by what
//! the listings tell, then by what the stores say when asked, last by reading.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lepton_core::{
    Attributes, Capabilities, ChecksumScope, Crc, HeadOptions, MetadataNames, ObjectInfo, ObjectMeta, Result,
    StoredChecksum,
};

use crate::compare::rules::{Answer, apart};
use crate::digest::checksum::{PieceDigest, agrees, extra_crc};
use crate::digest::reader;
use crate::digest::reader::{Source, listed};
use crate::schedule::retry::attempts;
use crate::settings::compare_by::Compare;
use crate::transfer::run::Run;
use crate::types::entry::Entry;
use crate::types::reason::Basis;

/// The name in the user metadata under which the tree hash of an object is
/// recorded, in hexadecimal.
const RECORDED_DIGEST: &str = "lepton-sha256-tree";
/// Its name where those of metadata must be identifiers.
const RECORDED_DIGEST_IDENTIFIER: &str = "lepton_sha256_tree";

/// Compares a source object with the one at the destination, as deep as the
/// settings ask.
///
/// # Errors
/// What keeps either side from being asked or read.
pub(crate) async fn compare(run: &Run, entry: &Entry, there: &ObjectMeta) -> Result<Answer> {
    if let Some(answer) = run.rules.by_listing(&entry.source, there) {
        return Ok(answer);
    }
    let source = Source::new(run.source(), &entry.source);
    let compare = run.options.settings.compare;
    if compare == Compare::Content {
        let ours = reader::digest(run, &source, None).await?;
        let theirs = read_there(run, there, None).await?;
        return Ok(answer(ours.root == theirs.root, Basis::Content));
    }
    let ours = attempts(run, true, || source.head()).await?;
    let head = || run.destination().head(&there.key, HeadOptions::new());
    let theirs = match listed(there) {
        Some(listed) => listed,
        None => attempts(run, true, head).await?,
    };
    if theirs.meta.size != entry.source.size {
        return Ok(Answer::Different(Basis::Size));
    }
    if compare != Compare::Checksum && same_time(run, &ours, &theirs) {
        return Ok(Answer::Same(Basis::Time));
    }
    let (kept, kept_there) = (statements(&ours), statements(&theirs));
    if let Some(same) = states_same(&kept, &kept_there) {
        return Ok(answer(same, Basis::Checksum));
    }
    if compare != Compare::Checksum {
        return Ok(Answer::Different(Basis::Time));
    }
    by_reading(run, &source, (&ours.meta, kept), (&theirs.meta, kept_there)).await
}

/// By what a version at the destination is the same as one of the source; `None` if it
/// is another. Times say nothing of versions, so that what neither tags nor checksums
/// tell is read.
///
/// # Errors
/// As [`compare`].
pub(crate) async fn same_version(run: &Run, ours: &ObjectMeta, theirs: &ObjectMeta) -> Result<Option<Basis>> {
    if ours.size != theirs.size {
        return Ok(None);
    }
    let compare = run.options.settings.compare;
    if matches!(compare, Compare::Auto | Compare::Etag) {
        let tags = ours.etag.as_ref().zip(theirs.etag.as_ref());
        match tags.and_then(|(ours, theirs)| run.rules.by_tag(ours, theirs)) {
            None if compare == Compare::Auto => {}
            told => return Ok(told.and_then(Answer::same)),
        }
    }
    let source = Source::new(run.source(), ours);
    if compare == Compare::Content {
        let (ours, theirs) = (reader::digest(run, &source, None).await?, read_there(run, theirs, None).await?);
        return Ok((ours.root == theirs.root).then_some(Basis::Content));
    }
    let ours = attempts(run, true, || source.head()).await?;
    let there = Source::new(run.destination(), theirs);
    let theirs = attempts(run, true, || there.head()).await.map_err(not_the_source)?;
    let (kept, kept_there) = (statements(&ours), statements(&theirs));
    let mut pinned = theirs.meta;
    pinned.version = there.pin.version;
    if let Some(same) = states_same(&kept, &kept_there) {
        return Ok(same.then_some(Basis::Checksum));
    }
    Ok(by_reading(run, &source, (&ours.meta, kept), (&pinned, kept_there)).await?.same())
}

fn answer(same: bool, basis: Basis) -> Answer {
    if same { Answer::Same(basis) } else { Answer::Different(basis) }
}

/// Whether both sides keep a time that the writer set, and it is the same.
fn same_time(run: &Run, ours: &ObjectInfo, theirs: &ObjectInfo) -> bool {
    let times = (kept_time(ours, run.source().capabilities()), kept_time(theirs, run.target()));
    matches!(times, (Some(ours), Some(theirs)) if apart(ours, theirs) <= run.options.settings.time_window)
}

fn kept_time(object: &ObjectInfo, capabilities: &Capabilities) -> Option<SystemTime> {
    if capabilities.keeps_mtime {
        return object.meta.last_modified;
    }
    recorded_mtime(&object.attributes)
}

/// The time under rclone's name: seconds since 1970, with a fraction.
pub(crate) fn recorded_mtime(attributes: &Attributes) -> Option<SystemTime> {
    let text = attributes.user_metadata.get("mtime")?;
    let seconds: f64 = text.parse().ok()?;
    UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds).ok()?)
}

/// What a store or its user states of all the bytes of an object.
pub(crate) fn statements(object: &ObjectInfo) -> Vec<StoredChecksum> {
    let mut kept: Vec<_> =
        object.meta.checksums.iter().filter(|stored| stored.scope == ChecksumScope::Full).cloned().collect();
    kept.extend(recorded_digest(&object.attributes));
    kept
}

/// Records the digest of an object in its metadata, under a name that the store keeps.
pub(crate) fn record_digest(attributes: &mut Attributes, root: &str, names: MetadataNames) {
    let [name, other] = match names.allow(RECORDED_DIGEST) {
        true => [RECORDED_DIGEST, RECORDED_DIGEST_IDENTIFIER],
        false => [RECORDED_DIGEST_IDENTIFIER, RECORDED_DIGEST],
    };
    attributes.user_metadata.remove(other);
    attributes.user_metadata.insert(name.to_owned(), root.to_owned());
}

fn recorded_digest(attributes: &Attributes) -> Option<StoredChecksum> {
    let recorded = |name| attributes.user_metadata.get(name);
    let text = recorded(RECORDED_DIGEST).or_else(|| recorded(RECORDED_DIGEST_IDENTIFIER))?;
    let root = lepton_core::from_hex(text).filter(|root| root.len() == 32)?;
    Some(StoredChecksum::full(lepton_core::ChecksumAlgorithm::Sha256Tree, root))
}

/// Whether two sides state the same; `None` if they state nothing that compares.
pub(crate) fn states_same(ours: &[StoredChecksum], theirs: &[StoredChecksum]) -> Option<bool> {
    let pair = |one: &StoredChecksum| theirs.iter().find(|two| two.algorithm == one.algorithm);
    ours.iter().find_map(|one| pair(one).map(|two| one.value == two.value))
}

type Stated<'a> = (&'a ObjectMeta, Vec<StoredChecksum>);

/// Reads the side that states less, and both if that does not compare either.
async fn by_reading(run: &Run, source: &Source, ours: Stated<'_>, theirs: Stated<'_>) -> Result<Answer> {
    let agreed = |digest: &PieceDigest, stated: &[StoredChecksum]| stated.iter().find_map(|one| agrees(digest, one));
    let mut read = None;
    if !theirs.1.is_empty() {
        let digest = reader::digest(run, source, extra_crc(theirs.0)).await?;
        if let Some(same) = agreed(&digest, &theirs.1) {
            return Ok(answer(same, Basis::Checksum));
        }
        read = Some(digest);
    }
    let there = read_there(run, theirs.0, extra_crc(ours.0)).await?;
    if let Some(same) = agreed(&there, &ours.1) {
        return Ok(answer(same, Basis::Checksum));
    }
    let digest = match read {
        Some(digest) => digest,
        None => reader::digest(run, source, None).await?,
    };
    Ok(answer(digest.root == there.root, Basis::Content))
}

/// Reads what is at the destination.
async fn read_there(run: &Run, there: &ObjectMeta, extra: Option<Crc>) -> Result<PieceDigest> {
    let _slot = run.pool.enter(run.lane(there.size), there.size).await?;
    let source = Source::new(run.destination(), there);
    reader::digest(run, &source, extra).await.map_err(not_the_source)
}

/// The error of something that was read as a source is, but is not the source.
fn not_the_source(error: lepton_core::Error) -> lepton_core::Error {
    if crate::types::side::is_source(&error) { error.with_context("side", "destination") } else { error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_time_that_rclone_records_is_read() {
        let mut attributes = Attributes::default();
        for (text, read) in [
            ("1700000000.5", Some(Duration::from_millis(1_700_000_000_500))),
            ("12", Some(Duration::from_secs(12))),
            ("-1", None),
            ("NaN", None),
            ("1e300", None),
            ("yesterday", None),
        ] {
            attributes.user_metadata.insert("mtime".into(), text.into());
            assert_eq!(recorded_mtime(&attributes), read.map(|after| UNIX_EPOCH + after), "{text}");
        }
    }
}
