//! Attributes that come with a listing.

use std::sync::Arc;

use lepton_core::Attributes;

/// The most attributes that a listing holds for one object, in bytes of memory: a page
/// holds a thousand objects.
const MOST: usize = 1 << 10;

/// The attributes of a listed object, unless they are large.
pub(crate) fn unless_large(attributes: Attributes) -> Option<Arc<Attributes>> {
    (attributes.weight() <= MOST).then(|| Arc::new(attributes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_large_is_left_out() {
        let with = |pairs: usize, len: usize| {
            let mut attributes = Attributes::default();
            attributes.user_metadata = (0..pairs).map(|pair| (format!("n{pair}"), "v".repeat(len))).collect();
            unless_large(attributes)
        };
        assert!(with(0, 0).is_some() && with(5, 50).is_some());
        assert!(with(1, 1000).is_none() && with(20, 1).is_none());
    }
}
