//! Decides whether an object at the destination is the same as its source: first from the
//! listings, then from what the stores report on request, and last by reading.

use std::time::{Duration, SystemTime};

use lepton_core::{
    Attributes, Capabilities, ChecksumScope, Crc, HeadOptions, MetadataNames, ObjectInfo, ObjectMeta, Result,
    StoredChecksum,
};

use crate::compare::rules::{Answer, Rules, apart};
use crate::digest::checksum::{PieceDigest, agrees, extra_crc};
use crate::digest::reader::{Source, listed};
use crate::schedule::endpoint::Endpoint;
use crate::schedule::lanes::Lane;
use crate::settings::compare_by::Compare;
use crate::settings::transfer::TransferConfig;
use crate::types::reason::ComparedBy;

/// The user metadata name under which the tree hash of an object is recorded, in
/// hexadecimal.
const RECORDED_DIGEST: &str = "lepton-sha256-tree";
/// The name used where metadata names must be identifiers.
const RECORDED_DIGEST_IDENTIFIER: &str = "lepton_sha256_tree";

/// Compares objects of the source with those of the destination.
#[derive(Debug)]
pub(crate) struct Comparer {
    pub(crate) rules: Rules,
    source: Endpoint,
    destination: Endpoint,
    compare: Compare,
    time_window: Duration,
    part_size: u64,
}

impl Comparer {
    pub(crate) fn new(settings: &TransferConfig, source: &Endpoint, destination: &Endpoint) -> Self {
        let (compare, time_window) = (settings.compare, settings.time_window);
        Self {
            rules: Rules::new(compare, time_window, source.capabilities(), destination.capabilities()),
            source: source.clone(),
            destination: destination.clone(),
            compare,
            time_window,
            part_size: settings.part_size,
        }
    }

    /// Compares a source object with the one at the destination, as thoroughly as the
    /// settings require.
    ///
    /// # Errors
    /// Those of requests to either side.
    pub(crate) async fn compare(&self, source: &ObjectMeta, there: &ObjectMeta) -> Result<Answer> {
        if let Some(answer) = self.rules.by_listing(source, there) {
            return Ok(answer);
        }
        let size = source.size;
        let source = Source::new(&self.source, source);
        if self.compare == Compare::Content {
            let (ours, theirs) = (source.digest(None).await?, self.read_there(there, None).await?);
            return Ok(answer(ours.root == theirs.root, ComparedBy::Content));
        }
        let ours = source.head().await?;
        let theirs = match listed(there) {
            Some(listed) => listed,
            None => self.destination.head(&there.key, HeadOptions::new()).await?,
        };
        if theirs.meta.size != size {
            return Ok(Answer::Different(ComparedBy::Size));
        }
        if self.compare != Compare::Checksum && self.same_time(&ours, &theirs) {
            return Ok(Answer::Same(ComparedBy::Time));
        }
        let (stated, stated_there) = (statements(&ours), statements(&theirs));
        if let Some(same) = states_same(&stated, &stated_there) {
            return Ok(answer(same, ComparedBy::Checksum));
        }
        if self.compare != Compare::Checksum {
            return Ok(Answer::Different(ComparedBy::Time));
        }
        self.by_reading(&source, (&ours.meta, stated), (&theirs.meta, stated_there)).await
    }

    /// The basis on which a version at the destination is the same as one of the source;
    /// `None` if they differ. Times do not identify versions, so where neither tags nor
    /// checksums decide, the versions are read.
    ///
    /// # Errors
    /// As [`compare`](Self::compare).
    pub(crate) async fn same_version(&self, ours: &ObjectMeta, theirs: &ObjectMeta) -> Result<Option<ComparedBy>> {
        if ours.size != theirs.size {
            return Ok(None);
        }
        if matches!(self.compare, Compare::Auto | Compare::Etag) {
            let tags = ours.etag.as_ref().zip(theirs.etag.as_ref());
            match tags.and_then(|(ours, theirs)| self.rules.by_tag(ours, theirs)) {
                None if self.compare == Compare::Auto => {}
                answer => return Ok(answer.and_then(Answer::same)),
            }
        }
        let source = Source::new(&self.source, ours);
        if self.compare == Compare::Content {
            let (ours, theirs) = (source.digest(None).await?, self.read_there(theirs, None).await?);
            return Ok((ours.root == theirs.root).then_some(ComparedBy::Content));
        }
        let ours = source.head().await?;
        let there = Source::new(&self.destination, theirs);
        let theirs = there.head().await?;
        let (stated, stated_there) = (statements(&ours), statements(&theirs));
        let mut pinned = theirs.meta;
        pinned.version = there.pin.version;
        if let Some(same) = states_same(&stated, &stated_there) {
            return Ok(same.then_some(ComparedBy::Checksum));
        }
        Ok(self.by_reading(&source, (&ours.meta, stated), (&pinned, stated_there)).await?.same())
    }

    /// Whether both sides have a time that the writer set, and the two are equal.
    fn same_time(&self, ours: &ObjectInfo, theirs: &ObjectInfo) -> bool {
        let times = (kept_time(ours, self.source.capabilities()), kept_time(theirs, self.destination.capabilities()));
        matches!(times, (Some(ours), Some(theirs)) if apart(ours, theirs) <= self.time_window)
    }

    /// Reads one side and compares it with the checksums that the other side states; reads
    /// both sides if no checksum is comparable.
    async fn by_reading(&self, source: &Source, ours: Stated<'_>, theirs: Stated<'_>) -> Result<Answer> {
        let agreed =
            |digest: &PieceDigest, stated: &[StoredChecksum]| stated.iter().find_map(|one| agrees(digest, one));
        let mut read = None;
        if !theirs.1.is_empty() {
            let digest = source.digest(extra_crc(theirs.0)).await?;
            if let Some(same) = agreed(&digest, &theirs.1) {
                return Ok(answer(same, ComparedBy::Checksum));
            }
            read = Some(digest);
        }
        let there = self.read_there(theirs.0, extra_crc(ours.0)).await?;
        if let Some(same) = agreed(&there, &ours.1) {
            return Ok(answer(same, ComparedBy::Checksum));
        }
        let digest = match read {
            Some(digest) => digest,
            None => source.digest(None).await?,
        };
        Ok(answer(digest.root == there.root, ComparedBy::Content))
    }

    /// Reads an object of the destination.
    async fn read_there(&self, there: &ObjectMeta, extra: Option<Crc>) -> Result<PieceDigest> {
        let lane = Lane::of(there.size, self.part_size, self.destination.capabilities());
        let _slot = self.destination.scheduler().enter(lane, there.size).await?;
        Source::new(&self.destination, there).digest(extra).await
    }
}

fn answer(same: bool, basis: ComparedBy) -> Answer {
    if same { Answer::Same(basis) } else { Answer::Different(basis) }
}

fn kept_time(object: &ObjectInfo, capabilities: &Capabilities) -> Option<SystemTime> {
    if capabilities.keeps_mtime {
        return object.meta.last_modified;
    }
    object.attributes.modified()
}

/// The checksums of the whole object, from the store and from the user metadata.
pub(crate) fn statements(object: &ObjectInfo) -> Vec<StoredChecksum> {
    let mut stated: Vec<_> =
        object.meta.checksums.iter().filter(|stored| stored.scope == ChecksumScope::Full).cloned().collect();
    stated.extend(recorded_digest(&object.attributes));
    stated
}

/// Records the digest of an object in its metadata, under a name that the store supports.
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

/// Whether two sides state equal checksums; `None` if they have no algorithm in common.
pub(crate) fn states_same(ours: &[StoredChecksum], theirs: &[StoredChecksum]) -> Option<bool> {
    let pair = |one: &StoredChecksum| theirs.iter().find(|two| two.algorithm == one.algorithm);
    ours.iter().find_map(|one| pair(one).map(|two| one.value == two.value))
}

type Stated<'a> = (&'a ObjectMeta, Vec<StoredChecksum>);
