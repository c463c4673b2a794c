//! Whether an object at the destination is the same as its source: first by what
//! the listings tell, then by what the stores say when asked, last by reading.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lepton_core::{
    Attributes, Capabilities, ChecksumScope, Crc, ETag, HeadOptions, MetadataNames, ObjectInfo, ObjectMeta, Result,
    StoredChecksum,
};
use serde::{Deserialize, Serialize};

use crate::checksum::{PieceDigest, agrees, extra_crc};
use crate::plan::Entry;
use crate::read::{self, Source, listed};
use crate::retry::attempts;
use crate::run::Run;

/// The name in the user metadata under which the tree hash of an object is
/// recorded, in hexadecimal.
const RECORDED_DIGEST: &str = "lepton-sha256-tree";
/// Its name where those of metadata must be identifiers.
const RECORDED_DIGEST_IDENTIFIER: &str = "lepton_sha256_tree";

/// By what objects at the destination are compared with the source. Objects of
/// different sizes always differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Compare {
    /// By ETag where both are MD5s of the bytes, else by time.
    #[default]
    Auto,
    /// By size alone.
    Size,
    /// By modification time. Between stores that keep the time a writer sets
    /// (local disks) the times have to be the same. Elsewhere the object at the
    /// destination has to be the newer one, as it was written after it was read.
    /// Either way the `time_window` is allowed for. Where that does not show, the
    /// stores are asked for the times and checksums that they keep.
    Time,
    /// By ETag alone: what has no MD5 of all its bytes for a tag on both sides, or
    /// the same tag, differs.
    Etag,
    /// By the checksums that the stores keep and by recorded digests. A side that
    /// has none that compares is read.
    Checksum,
    /// By reading both sides.
    Content,
}

/// What a comparison went by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Basis {
    /// The size.
    Size,
    /// The modification time.
    Time,
    /// The ETag.
    Etag,
    /// Checksums that stores keep, or recorded digests; one side may have been
    /// read.
    Checksum,
    /// The bytes of both sides.
    Content,
}

/// What a comparison gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Same(Basis),
    Different(Basis),
}

impl Answer {
    /// By what it is the same, if it is.
    fn same(self) -> Option<Basis> {
        match self {
            Self::Same(basis) => Some(basis),
            Self::Different(_) => None,
        }
    }
}

/// How the listings of two stores compare.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    compare: Compare,
    window: Duration,
    md5_tags: bool,
    kept_times: bool,
}

impl Rules {
    pub(crate) fn new(compare: Compare, window: Duration, from: &Capabilities, to: &Capabilities) -> Self {
        Self {
            compare,
            window,
            md5_tags: from.etag_is_md5 && to.etag_is_md5,
            kept_times: from.keeps_mtime && to.keeps_mtime,
        }
    }

    /// Compares by what listings tell; `None` if they do not tell.
    pub(crate) fn by_listing(&self, source: &ObjectMeta, there: &ObjectMeta) -> Option<Answer> {
        if source.size != there.size {
            return Some(Answer::Different(Basis::Size));
        }
        let tags = || self.by_tag(source.etag.as_ref()?, there.etag.as_ref()?);
        let times = || self.by_time(source.last_modified?, there.last_modified?);
        match self.compare {
            Compare::Auto => tags().or_else(times),
            Compare::Size => Some(Answer::Same(Basis::Size)),
            Compare::Time => times(),
            Compare::Etag => Some(tags().unwrap_or(Answer::Different(Basis::Etag))),
            Compare::Checksum | Compare::Content => None,
        }
    }

    /// Equal tags of MD5s mean equal bytes, also those of equal parts. Different
    /// ones mean different bytes only if both are of the object as a whole.
    fn by_tag(&self, source: &ETag, there: &ETag) -> Option<Answer> {
        let (source, there) = (Md5Tag::of(source)?, Md5Tag::of(there)?);
        if !self.md5_tags {
            return None;
        }
        if source == there {
            return Some(Answer::Same(Basis::Etag));
        }
        (source.parts.is_none() && there.parts.is_none()).then_some(Answer::Different(Basis::Etag))
    }

    /// Whether two tags are the same MD5, of stores whose tags are MD5s.
    pub(crate) fn same_tag(&self, source: &ETag, there: &ETag) -> bool {
        self.by_tag(source, there) == Some(Answer::Same(Basis::Etag))
    }

    fn by_time(&self, source: SystemTime, there: SystemTime) -> Option<Answer> {
        if self.kept_times {
            let same = apart(source, there) <= self.window;
            return Some(if same { Answer::Same(Basis::Time) } else { Answer::Different(Basis::Time) });
        }
        self.is_newer(there, source).then_some(Answer::Same(Basis::Time))
    }

    /// Whether one was written after the other, by more than clocks may differ.
    pub(crate) fn is_newer(&self, one: SystemTime, other: SystemTime) -> bool {
        one.duration_since(other).is_ok_and(|later| later > self.window)
    }
}

/// An ETag that is an MD5: of the bytes, or of the MD5s of so many parts.
#[derive(PartialEq)]
struct Md5Tag<'a> {
    sum: &'a str,
    parts: Option<&'a str>,
}

impl<'a> Md5Tag<'a> {
    fn of(tag: &'a ETag) -> Option<Self> {
        let text = tag.unquoted();
        let (sum, parts) = text.split_once('-').map_or((text, None), |(sum, parts)| (sum, Some(parts)));
        let is_md5 = sum.len() == 32 && sum.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_count = parts.is_none_or(|parts| !parts.is_empty() && parts.bytes().all(|byte| byte.is_ascii_digit()));
        (is_md5 && is_count).then_some(Self { sum, parts })
    }
}

fn apart(a: SystemTime, b: SystemTime) -> Duration {
    a.duration_since(b).unwrap_or_else(|error| error.duration())
}

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
        let ours = read::digest(run, &source, None).await?;
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
        let (ours, theirs) = (read::digest(run, &source, None).await?, read_there(run, theirs, None).await?);
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
        let digest = read::digest(run, source, extra_crc(theirs.0)).await?;
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
        None => read::digest(run, source, None).await?,
    };
    Ok(answer(digest.root == there.root, Basis::Content))
}

/// Reads what is at the destination.
async fn read_there(run: &Run, there: &ObjectMeta, extra: Option<Crc>) -> Result<PieceDigest> {
    let _slot = run.pool.enter(run.lane(there.size), there.size).await?;
    let source = Source::new(run.destination(), there);
    read::digest(run, &source, extra).await.map_err(not_the_source)
}

/// The error of something that was read as a source is, but is not the source.
fn not_the_source(error: lepton_core::Error) -> lepton_core::Error {
    if read::is_source(&error) { error.with_context("side", "destination") } else { error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lepton_core::ObjectKey;
    use proptest::prelude::*;

    const A: &str = "\"0123456789abcdef0123456789abcdef\"";
    const B: &str = "\"fedcba9876543210fedcba9876543210\"";
    const A2: &str = "\"0123456789abcdef0123456789abcdef-2\"";
    const B3: &str = "\"fedcba9876543210fedcba9876543210-3\"";

    fn rules(compare: Compare) -> Rules {
        Rules { compare, window: Duration::from_secs(2), md5_tags: true, kept_times: false }
    }

    fn object(size: u64, second: u64, tag: &str) -> ObjectMeta {
        let mut object = ObjectMeta::new(ObjectKey::try_from("a").unwrap(), size);
        object.last_modified = Some(UNIX_EPOCH + Duration::from_secs(second));
        object.etag = Some(ETag::new(tag));
        object
    }

    #[test]
    fn tags_compare_where_they_are_md5s() {
        let auto = |one: &str, two: &str, second| {
            rules(Compare::Auto).by_listing(&object(1, 100, one), &object(1, second, two))
        };
        let unquoted = A.trim_matches('"');
        assert_eq!(auto(A, A, 0), Some(Answer::Same(Basis::Etag)));
        assert_eq!(auto(A, unquoted, 0), Some(Answer::Same(Basis::Etag)));
        assert_eq!(auto(A, B, 200), Some(Answer::Different(Basis::Etag)));
        assert_eq!(auto(A2, A2, 0), Some(Answer::Same(Basis::Etag)));
        // Parts of other sizes give other tags of the same bytes: time decides.
        assert_eq!(auto(A, A2, 200), Some(Answer::Same(Basis::Time)));
        assert_eq!(auto(A2, B3, 0), None);
        assert_eq!(auto("\"opaque\"", "\"opaque\"", 0), None);
        let opaque = Rules { md5_tags: false, ..rules(Compare::Etag) };
        assert_eq!(opaque.by_listing(&object(1, 0, A), &object(1, 0, A)), Some(Answer::Different(Basis::Etag)));
    }

    #[test]
    fn a_written_copy_has_to_be_newer_by_more_than_clocks_differ() {
        let time = |second| rules(Compare::Time).by_listing(&object(1, 100, A), &object(1, second, A));
        assert_eq!(time(103), Some(Answer::Same(Basis::Time)));
        for second in [102, 100, 98, 97, 0] {
            assert_eq!(time(second), None, "{second}");
        }
    }

    #[test]
    fn kept_times_have_to_be_the_same_within_the_window() {
        let kept = Rules { kept_times: true, ..rules(Compare::Auto) };
        for (second, same) in [(98, true), (100, true), (102, true), (97, false), (103, false), (500, false)] {
            let answer = kept.by_listing(&object(1, 100, "x"), &object(1, second, "y"));
            let basis = if same { Answer::Same(Basis::Time) } else { Answer::Different(Basis::Time) };
            assert_eq!(answer, Some(basis), "{second}");
        }
    }

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

    proptest! {
        /// Whatever the policy and whatever else is equal: other sizes differ.
        #[test]
        fn other_sizes_always_differ(a: u64, b: u64, s: u32, t: u32, md5_tags: bool, kept_times: bool) {
            prop_assume!(a != b);
            for compare in [Compare::Auto, Compare::Size, Compare::Time, Compare::Etag, Compare::Checksum, Compare::Content] {
                let rules = Rules { md5_tags, kept_times, ..rules(compare) };
                let answer = rules.by_listing(&object(a, s.into(), A), &object(b, t.into(), A));
                prop_assert_eq!(answer, Some(Answer::Different(Basis::Size)));
            }
        }

        /// An object that was written before its source is never taken for the same
        /// by its time.
        #[test]
        fn an_older_copy_is_never_the_same_by_time(s in 0u32..1000, t in 0u32..1000) {
            let answer = rules(Compare::Time).by_listing(&object(1, s.into(), A), &object(1, t.into(), A));
            if t <= s {
                prop_assert_eq!(answer, None);
            }
        }
    }
}
