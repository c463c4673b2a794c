//! What is to be done with each object: names, parts, refusals.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use lepton_core::{
    Capabilities, ETag, Error, ErrorKind, KeyHandling, LEAF_SIZE, ObjectKey, ObjectMeta, PartSpec, Result, VersionId,
};
use serde::{Deserialize, Serialize};

use crate::names::mapping::Mapping;
use crate::types::reason::Reason;

/// What the destination has of a name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum There {
    /// It was not looked at.
    Unknown,
    /// Nothing, when it was listed.
    Absent,
    /// This, when it was listed.
    Present(Box<ObjectMeta>),
}

/// Names of versions of one key.
pub(crate) type Ids = BTreeSet<Option<VersionId>>;

/// One source object, the name it gets, and what is there already.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) source: ObjectMeta,
    pub(crate) target: ObjectKey,
    pub(crate) there: There,
    /// Whether the source has told of it; else only its key is known.
    pub(crate) known: bool,
    /// Why a saved plan has it copied: then nothing is compared again.
    pub(crate) planned: Option<Reason>,
    /// Of a version in a history: the versions of the key that the destination has
    /// before this one. What is there beside them is what was written.
    pub(crate) behind: Option<Arc<Ids>>,
}

impl Entry {
    /// The key at the source, where it is another than at the destination.
    pub(crate) fn renamed(&self) -> Option<ObjectKey> {
        (self.source.key != self.target).then(|| self.source.key.clone())
    }
}

/// How the bytes of an object travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Layout {
    pub(crate) size: u64,
    /// A power of two of MiB; at least the size for an object in one piece.
    pub(crate) part_size: u64,
    pub(crate) multipart: bool,
}

impl Layout {
    /// Chooses how an object of `size` bytes goes to a store of these
    /// capabilities, with parts of at least `smallest`.
    pub(crate) fn choose(size: u64, smallest: u64, to: &Capabilities) -> Result<Self> {
        let too_large = |limit: u64| {
            let message = format!("the object has {size} bytes; the destination takes at most {limit}");
            Err(Error::new(ErrorKind::TooLarge, message))
        };
        if size > to.max_object {
            return too_large(to.max_object);
        }
        let one_piece = Self { size, part_size: whole(size), multipart: false };
        let Some(limits) = to.multipart else {
            return if size <= to.max_single_put { Ok(one_piece) } else { too_large(to.max_single_put) };
        };
        if size <= smallest.min(to.max_single_put) {
            return Ok(one_piece);
        }
        let mut part_size = smallest.max(limits.min_part.next_power_of_two());
        while size.div_ceil(part_size) > u64::from(limits.max_parts) {
            part_size *= 2;
        }
        if part_size > limits.max_part {
            return too_large(limits.max_part.saturating_mul(u64::from(limits.max_parts)));
        }
        Ok(Self { size, part_size, multipart: true })
    }

    /// The number of parts: 1 for an object in one piece.
    pub(crate) fn parts(&self) -> u32 {
        u32::try_from(self.size.div_ceil(self.part_size).max(1)).unwrap_or(u32::MAX)
    }

    /// Part `number`, from 1.
    pub(crate) fn part(&self, number: u32) -> PartSpec {
        PartSpec::new(number, self.range(number))
    }

    fn range(&self, number: u32) -> Range<u64> {
        let start = u64::from(number - 1) * self.part_size;
        start..(start + self.part_size).min(self.size)
    }
}

/// The smallest power of two of MiB that holds `size`.
fn whole(size: u64) -> u64 {
    size.max(LEAF_SIZE as u64).checked_next_power_of_two().unwrap_or(1 << 63)
}

/// What holds a source object still while it is read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pin {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) etag: Option<ETag>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<VersionId>,
}

impl Pin {
    pub(crate) fn of(meta: &ObjectMeta) -> Self {
        Self { etag: meta.etag.clone(), version: meta.version.clone() }
    }
}

/// Gives source keys their names at the destination and refuses those it cannot
/// hold.
#[derive(Debug)]
pub(crate) struct Names {
    mapping: Arc<Mapping>,
    rules: lepton_core::KeyRules,
    /// Keys that begin the present one: `a` while `a.b` and `a/b` pass.
    open: Vec<ObjectKey>,
}

impl Names {
    pub(crate) fn new(mapping: Arc<Mapping>, capabilities: &Capabilities) -> Self {
        Self { mapping, rules: capabilities.keys.clone(), open: Vec::new() }
    }

    /// The entry of a source object. Their places ascend. The error is the object's,
    /// not the run's.
    pub(crate) fn entry(&mut self, source: ObjectMeta, there: There) -> (Entry, Result<()>) {
        let target = self.mapping.target(&self.mapping.place(&source.key));
        let verdict = self.rules.check(&target).and_then(|()| self.beside(&target));
        (Entry { source, target, there, known: true, planned: None, behind: None }, verdict)
    }

    fn beside(&mut self, target: &ObjectKey) -> Result<()> {
        if self.rules.file_beside_folder == KeyHandling::Kept {
            return Ok(());
        }
        self.open.retain(|open| target.as_bytes().starts_with(open.as_bytes()));
        let parent = self.open.iter().find(|open| target.as_bytes()[open.as_bytes().len()..].starts_with(b"/"));
        if let Some(parent) = parent.filter(|parent| *parent != target) {
            let message =
                format!("the destination cannot hold {target} beside {parent}, which takes the folder's name");
            return Err(Error::new(ErrorKind::InvalidKey, message).with_context("key", target));
        }
        self.open.push(target.clone());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lepton_core::MultipartLimits;
    use proptest::prelude::*;

    const MIB: u64 = 1 << 20;

    fn s3() -> Capabilities {
        let mut s3 = Capabilities::everything("s3");
        s3.multipart = Some(MultipartLimits::new(5 * MIB, 5 << 30, 10_000));
        s3.max_single_put = 5 << 30;
        s3.max_object = 5 << 40;
        s3
    }

    proptest! {
        #[test]
        fn parts_cover_the_object_within_the_limits(size in 0u64..=5 << 40, log in 0u32..10) {
            let layout = Layout::choose(size, MIB << log, &s3()).unwrap();
            prop_assert!(layout.part_size.is_power_of_two() && layout.part_size >= MIB);
            let parts = layout.parts();
            prop_assert!((1..=10_000).contains(&parts));
            prop_assert_eq!(layout.part(1).range.start, 0);
            prop_assert_eq!(layout.part(parts).range.end, size);
            for number in [1, parts / 2, parts].into_iter().filter(|n| *n > 1) {
                prop_assert_eq!(layout.part(number - 1).range.end, layout.part(number).range.start);
                prop_assert!(layout.part(number - 1).len() >= 5 * MIB);
            }
        }
    }

    #[test]
    fn too_large_is_refused_by_name() {
        let error = Layout::choose((5 << 40) + 1, MIB, &s3()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
    }

    #[test]
    fn a_file_beside_its_folder_is_found_across_keys_between() {
        let mut capabilities = Capabilities::everything("disk");
        capabilities.keys.file_beside_folder = KeyHandling::Refused;
        let mut names = Names::new(Mapping::new("in/".into(), "out/".into(), Vec::new()).into(), &capabilities);
        let mut verdict =
            |key: &str| names.entry(ObjectMeta::new(ObjectKey::try_from(key).unwrap(), 1), There::Unknown).1;
        verdict("in/a").unwrap();
        verdict("in/a-b").unwrap();
        verdict("in/a.b/c").unwrap();
        let error = verdict("in/a/b").unwrap_err();
        assert!(error.to_string().contains("out/a/b beside out/a,"), "{error}");
        verdict("in/ab/c").unwrap();
    }
}
