//! How the bytes of an object are sent.

use std::ops::Range;

use lepton_core::{Capabilities, Error, ErrorKind, LEAF_SIZE, PartSpec, Result};
use serde::{Deserialize, Serialize};

/// How an object is sent: in one piece or in parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Layout {
    pub(crate) size: u64,
    /// A power of two of MiB; at least `size` for an object in one piece.
    pub(crate) part_size: u64,
    pub(crate) multipart: bool,
}

impl Layout {
    /// Chooses how an object of `size` bytes is sent to a store with these capabilities,
    /// with parts of at least `smallest` bytes.
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
pub(crate) fn whole(size: u64) -> u64 {
    size.max(LEAF_SIZE as u64).checked_next_power_of_two().unwrap_or(1 << 63)
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
}
