//! The metadata that a store reports for an object.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::checksum::StoredChecksum;
use crate::key::ObjectKey;

macro_rules! text_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps the text exactly as the store returned it.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The text exactly as the store returned it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_newtype! {
    /// The entity tag of an object, with its quotes if the store sends them. It is
    /// opaque: two tags are equal if and only if the store holds the same state.
    ETag
}

text_newtype! {
    /// The opaque id of one version of an object, in a store that keeps versions.
    VersionId
}

impl ETag {
    /// The tag without its quotes and without the `W/` of a weak tag.
    pub fn unquoted(&self) -> &str {
        self.0.strip_prefix("W/").unwrap_or(&self.0).trim_matches('"')
    }
}

/// An object as a listing or a head reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ObjectMeta {
    /// Its key.
    pub key: ObjectKey,
    /// Its size in bytes.
    pub size: u64,
    /// When it was last written, if the store reports it. In JSON this is text:
    /// seconds since 1970, with a fraction.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "unix_time")]
    pub last_modified: Option<SystemTime>,
    /// Its entity tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<ETag>,
    /// Its version, if the store keeps versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionId>,
    /// The checksums that the store keeps. Most listings do not report them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checksums: Vec<StoredChecksum>,
    /// Its storage class, under the store's own name; `None` is the store's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
    /// The attributes of the object, in a listing that requested them
    /// ([`ListRequest::attributes`](crate::ListRequest::attributes)). They, and `checksums`,
    /// are then as complete as in a head with tags. `None` means unknown: use a head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<Arc<Attributes>>,
}

/// Serializes times as text: seconds since 1970, with a fraction of nine digits.
mod unix_time {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(time) = time else { return serializer.serialize_none() };
        let (sign, apart) = match time.duration_since(UNIX_EPOCH) {
            Ok(after) => ("", after),
            Err(before) => ("-", before.duration()),
        };
        serializer.collect_str(&format_args!("{sign}{}.{:09}", apart.as_secs(), apart.subsec_nanos()))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SystemTime>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
        let time =
            parse(&text).ok_or_else(|| D::Error::custom(format!("{text:?} is no number of seconds since 1970")))?;
        Ok(Some(time))
    }

    fn parse(text: &str) -> Option<SystemTime> {
        let (before, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
        let (seconds, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(seconds) || !is_number(fraction) || fraction.len() > 9 {
            return None;
        }
        let apart = Duration::new(seconds.parse().ok()?, format!("{fraction:0<9}").parse().ok()?);
        if before { UNIX_EPOCH.checked_sub(apart) } else { UNIX_EPOCH.checked_add(apart) }
    }
}

impl ObjectMeta {
    /// An object with only its key and size known.
    pub fn new(key: ObjectKey, size: u64) -> Self {
        Self {
            key,
            size,
            last_modified: None,
            etag: None,
            version: None,
            checksums: Vec::new(),
            storage_class: None,
            attributes: None,
        }
    }
}

/// The attributes that a user can attach to an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Attributes {
    /// `Content-Type`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// `Content-Encoding`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    /// `Content-Disposition`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_disposition: Option<String>,
    /// `Content-Language`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_language: Option<String>,
    /// `Cache-Control`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<String>,
    /// `Expires`, as written in the header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// Names (lower case) and values that the user chose. A local disk reads and
    /// writes `mtime` (seconds since 1970, with a fraction) and `mode` (octal)
    /// here, under rclone's names.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub user_metadata: BTreeMap<String, String>,
    /// Tags of the object.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

impl Attributes {
    /// Whether there are no attributes.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The approximate number of bytes that the attributes take in memory.
    pub fn weight(&self) -> usize {
        /// The bytes that a map takes for a name and its value, in addition to their text.
        const PAIR: usize = 64;
        let headers = [
            &self.content_type,
            &self.content_encoding,
            &self.content_disposition,
            &self.content_language,
            &self.cache_control,
            &self.expires,
        ];
        let headers: usize = headers.into_iter().flatten().map(String::len).sum();
        let pairs = self.user_metadata.iter().chain(&self.tags);
        size_of::<Self>() + headers + pairs.map(|(name, value)| PAIR + name.len() + value.len()).sum::<usize>()
    }

    /// The attributes that are set, under the names that capabilities, manifests
    /// and messages use: `content-type`, …, `user-metadata`, `tags`.
    pub fn present(&self) -> Vec<Attribute> {
        Attribute::ALL.iter().copied().filter(|attribute| self.has(*attribute)).collect()
    }

    /// Whether this attribute is set.
    pub fn has(&self, attribute: Attribute) -> bool {
        match attribute {
            Attribute::ContentType => self.content_type.is_some(),
            Attribute::ContentEncoding => self.content_encoding.is_some(),
            Attribute::ContentDisposition => self.content_disposition.is_some(),
            Attribute::ContentLanguage => self.content_language.is_some(),
            Attribute::CacheControl => self.cache_control.is_some(),
            Attribute::Expires => self.expires.is_some(),
            Attribute::UserMetadata => !self.user_metadata.is_empty(),
            Attribute::Tags => !self.tags.is_empty(),
        }
    }

    /// Removes one attribute.
    pub fn remove(&mut self, attribute: Attribute) {
        match attribute {
            Attribute::ContentType => self.content_type = None,
            Attribute::ContentEncoding => self.content_encoding = None,
            Attribute::ContentDisposition => self.content_disposition = None,
            Attribute::ContentLanguage => self.content_language = None,
            Attribute::CacheControl => self.cache_control = None,
            Attribute::Expires => self.expires = None,
            Attribute::UserMetadata => self.user_metadata.clear(),
            Attribute::Tags => self.tags.clear(),
        }
    }
}

/// The name of one of the [`Attributes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Attribute {
    /// `Content-Type`.
    ContentType,
    /// `Content-Encoding`.
    ContentEncoding,
    /// `Content-Disposition`.
    ContentDisposition,
    /// `Content-Language`.
    ContentLanguage,
    /// `Cache-Control`.
    CacheControl,
    /// `Expires`.
    Expires,
    /// Names and values that the user chose.
    UserMetadata,
    /// Tags.
    Tags,
}

impl Attribute {
    /// All attributes.
    pub const ALL: &'static [Attribute] = &[
        Attribute::ContentType,
        Attribute::ContentEncoding,
        Attribute::ContentDisposition,
        Attribute::ContentLanguage,
        Attribute::CacheControl,
        Attribute::Expires,
        Attribute::UserMetadata,
        Attribute::Tags,
    ];
}

/// The condition under which an object is written or deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Precondition {
    /// No condition.
    #[default]
    None,
    /// Only if there is no object with that key (`If-None-Match: *`); fails with
    /// [`ErrorKind::AlreadyExists`](crate::ErrorKind::AlreadyExists).
    IfAbsent,
    /// Only if the object has this tag (`If-Match`); fails with
    /// [`ErrorKind::PreconditionFailed`](crate::ErrorKind::PreconditionFailed).
    IfMatch(ETag),
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn the_time_of_an_object_survives_json() {
        let mut object = ObjectMeta::new(ObjectKey::try_from("a").unwrap(), 1);
        for (time, text) in [
            (UNIX_EPOCH + Duration::new(1_700_000_000, 5), "\"1700000000.000000005\""),
            (UNIX_EPOCH - Duration::new(1, 500_000_000), "\"-1.500000000\""),
            (UNIX_EPOCH, "\"0.000000000\""),
        ] {
            object.last_modified = Some(time);
            let json = serde_json::to_string(&object).unwrap();
            assert!(json.contains(text), "{json}");
            assert_eq!(serde_json::from_str::<ObjectMeta>(&json).unwrap(), object);
        }
        for wrong in ["\"\"", "\"1.\"", "\".5\"", "\"1.0000000001\"", "\"x\"", "\"99999999999999999999\"", "5"] {
            let json = format!("{{\"key\":\"a\",\"size\":1,\"last_modified\":{wrong}}}");
            assert!(serde_json::from_str::<ObjectMeta>(&json).is_err(), "{wrong}");
        }
    }
}
