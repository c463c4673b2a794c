//! Object keys: non-empty, uninterpreted bytes.

use std::borrow::Borrow;
use std::fmt;

use bytes::Bytes;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode, percent_encode};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, ErrorKind, Result};

/// The bytes that are escaped when a key is written as text: everything that is not
/// printable ASCII, and `%` itself, so that the text can be read back.
const ESCAPED: &AsciiSet = &CONTROLS.add(b'%').add(b'"').add(b'\\');

/// The name of an object: non-empty bytes, uninterpreted.
///
/// A key may contain `//`, a leading or trailing `/`, `.` and `..` segments,
/// control characters or bytes that are not UTF-8. Lepton never changes a key. A
/// backend that cannot store a key exactly refuses it and names the reason (see
/// [`KeyRules`](crate::KeyRules)).
///
/// Keys are ordered by their unsigned bytes. Cloning a key copies no bytes.
///
/// ```
/// use lepton_core::ObjectKey;
/// let key = ObjectKey::new("photos//2024/a%b.jpg")?;
/// assert_eq!(key.to_string(), "photos//2024/a%25b.jpg");
/// assert_eq!(ObjectKey::from_text(&key.to_string())?, key);
/// # Ok::<(), lepton_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(Bytes);

impl ObjectKey {
    /// The length of the longest key, in bytes. No store is known to have longer ones; S3 ends at
    /// 1,024, Linux at 4,095.
    pub const MAX_BYTES: usize = 1 << 16;

    /// A key of exactly these bytes.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidKey`] if `bytes` is empty or longer than [`MAX_BYTES`](Self::MAX_BYTES).
    pub fn new(bytes: impl Into<Bytes>) -> Result<Self> {
        let bytes = bytes.into();
        if bytes.is_empty() {
            return Err(Error::new(ErrorKind::InvalidKey, "an object key cannot be empty"));
        }
        if bytes.len() > Self::MAX_BYTES {
            let message =
                format!("an object key has {} bytes; no store has keys above {}", bytes.len(), Self::MAX_BYTES);
            return Err(Error::new(ErrorKind::InvalidKey, message));
        }
        Ok(Self(bytes))
    }

    /// Reads a key back from the text that [`Display`](fmt::Display) writes:
    /// percent-encoded bytes.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidKey`] if the text is empty or too long.
    pub fn from_text(text: &str) -> Result<Self> {
        Self::new(percent_decode(text.as_bytes()).collect::<Vec<u8>>())
    }

    /// The bytes of the key.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes of the key, shared.
    pub fn to_bytes(&self) -> Bytes {
        self.0.clone()
    }

    /// The key as text, if it is valid UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// The key with `prefix` in front of it.
    pub fn prefixed(&self, prefix: &KeyPrefix) -> Self {
        if prefix.is_empty() {
            return self.clone();
        }
        Self([prefix.as_bytes(), self.as_bytes()].concat().into())
    }

    /// The rest of the key after `prefix`, or `None` if the key does not begin with
    /// it or nothing is left.
    pub fn stripped(&self, prefix: &KeyPrefix) -> Option<Self> {
        let rest = self.0.strip_prefix(prefix.as_bytes())?;
        (!rest.is_empty()).then(|| Self(self.0.slice_ref(rest)))
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        percent_encode(&self.0, ESCAPED).fmt(f)
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// Lets maps of keys be searched by bytes: a key sorts as its bytes do.
impl Borrow<[u8]> for ObjectKey {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<&str> for ObjectKey {
    type Error = Error;
    fn try_from(text: &str) -> Result<Self> {
        Self::new(text.as_bytes().to_vec())
    }
}

impl Serialize for ObjectKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ObjectKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::from_text(&text).map_err(serde::de::Error::custom)
    }
}

/// The bytes that keys begin with; an empty prefix matches every key.
///
/// A prefix is compared byte for byte: `data` also matches `database`. A prefix
/// that names a folder ends in `/`.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyPrefix(Bytes);

impl KeyPrefix {
    /// A prefix of exactly these bytes.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }

    /// The bytes of the prefix.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether the prefix is empty and so matches every key.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `key` begins with this prefix.
    pub fn matches(&self, key: &ObjectKey) -> bool {
        key.as_bytes().starts_with(&self.0)
    }
}

impl fmt::Display for KeyPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        percent_encode(&self.0, ESCAPED).fmt(f)
    }
}

impl fmt::Debug for KeyPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl From<&str> for KeyPrefix {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_survive_text_and_json(bytes in proptest::collection::vec(any::<u8>(), 1..64)) {
            let key = ObjectKey::new(bytes).unwrap();
            prop_assert_eq!(&ObjectKey::from_text(&key.to_string()).unwrap(), &key);
            let json = serde_json::to_string(&key).unwrap();
            prop_assert_eq!(&serde_json::from_str::<ObjectKey>(&json).unwrap(), &key);
        }

        #[test]
        fn prefixing_and_stripping_are_inverse(prefix: Vec<u8>, bytes in proptest::collection::vec(any::<u8>(), 1..32)) {
            let (prefix, key) = (KeyPrefix::new(prefix), ObjectKey::new(bytes).unwrap());
            prop_assert_eq!(key.prefixed(&prefix).stripped(&prefix), Some(key));
        }
    }

    #[test]
    fn an_empty_key_is_refused() {
        assert_eq!(ObjectKey::new("").unwrap_err().kind(), ErrorKind::InvalidKey);
        assert!(serde_json::from_str::<ObjectKey>("\"\"").is_err());
    }

    #[test]
    fn a_key_that_no_store_can_hold_is_refused_and_not_quoted() {
        let long = |bytes| ObjectKey::new(vec![b'k'; bytes]);
        assert_eq!(long(ObjectKey::MAX_BYTES).unwrap().as_bytes().len(), ObjectKey::MAX_BYTES);
        let error = long(10 << 20).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidKey);
        assert!(error.to_string().len() < 200 && error.to_string().contains("10485760"), "{error}");
    }
}
