//! Objects of a mirror that a disk cannot hold yet, because an object that is to be deleted is in
//! the way: a file has the name of their folder, or a folder has their name.

use std::collections::BTreeMap;

use lepton_core::{Error, ErrorKind, ObjectKey};

/// The most objects that wait; more of them fail. This bounds the memory of a run.
const MOST: usize = 65_536;

/// Objects that wait for deletes: their keys at the source by those at the destination.
#[derive(Debug, Default)]
pub(crate) struct Blocked(BTreeMap<ObjectKey, ObjectKey>);

impl Blocked {
    /// Whether an object that failed with this error may wait for deletes.
    pub(crate) fn may_take(&self, error: &Error) -> bool {
        error.kind() == ErrorKind::InvalidKey && error.context("in_the_way").is_some() && self.0.len() < MOST
    }

    pub(crate) fn add(&mut self, target: ObjectKey, source: ObjectKey) {
        self.0.insert(target, source);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn sources(&self) -> impl Iterator<Item = &ObjectKey> {
        self.0.values()
    }

    /// Whether an object of the destination is in the way of one that waits.
    pub(crate) fn is_in_the_way(&self, there: &ObjectKey) -> bool {
        let bytes = there.as_bytes();
        let mut folders = (0..bytes.len()).filter(|at| bytes[*at] == b'/').map(|at| &bytes[..at]);
        let is_below = |key: &ObjectKey| key.as_bytes().strip_prefix(bytes).is_some_and(|rest| rest.starts_with(b"/"));
        // The keys below `there` are the first ones after `there/`.
        let below = [bytes, b"/"].concat();
        let next = ObjectKey::new(below).ok().and_then(|below| self.0.range(below..).next());
        next.is_some_and(|(key, _)| is_below(key))
            || folders.any(|folder| ObjectKey::new(folder.to_vec()).is_ok_and(|folder| self.0.contains_key(&folder)))
    }
}

/// The error of an object that is still blocked, because nothing was deleted.
pub(crate) fn still_blocked() -> Error {
    let message = "an object that is to be deleted has the name of a folder of the key, or a folder of such objects \
                   has its name; because other objects failed, nothing was deleted";
    Error::new(ErrorKind::InvalidKey, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_above_and_below_are_in_the_way() {
        let key = |text: &str| ObjectKey::try_from(text).unwrap();
        let mut blocked = Blocked::default();
        for name in ["d/x", "m/n/o"] {
            blocked.add(key(name), key(name));
        }
        for (there, is_in_the_way) in [
            ("d/x/y", true),
            ("d/x/y/z", true),
            ("d", true),
            ("m/n", true),
            ("m", true),
            ("d/x", false),
            ("d/xy", false),
            ("d/x-1/y", false),
            ("n", false),
            ("m/n/p", false),
        ] {
            assert_eq!(blocked.is_in_the_way(&key(there)), is_in_the_way, "{there}");
        }
    }
}
