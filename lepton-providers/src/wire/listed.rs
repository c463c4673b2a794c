//! Attributes that come with a listing.

use std::sync::Arc;

use lepton_core::Attributes;

/// What a listing tells of one object at the most, in bytes: pages are held by the thousand
/// objects.
const MOST: usize = 1 << 10;

/// The attributes of a listed object, unless they are large.
pub(crate) fn unless_large(attributes: Attributes) -> Option<Arc<Attributes>> {
    let Attributes { content_type, content_encoding, content_disposition, content_language, cache_control, .. } =
        &attributes;
    let headers = [content_type, content_encoding, content_disposition, content_language, cache_control];
    let headers: usize = headers.into_iter().flatten().map(String::len).sum();
    let pairs = attributes.user_metadata.iter().chain(&attributes.tags);
    let size = headers + pairs.map(|(name, value)| name.len() + value.len()).sum::<usize>();
    (size <= MOST).then(|| Arc::new(attributes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_large_is_left_out() {
        let with = |len: usize| {
            let mut attributes = Attributes::default();
            attributes.user_metadata.insert("n".into(), "v".repeat(len));
            unless_large(attributes)
        };
        assert!(with(MOST - 1).is_some() && with(MOST).is_none());
    }
}
