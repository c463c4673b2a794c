//! Conversion of paths, attributes and errors between the two crates.

use std::error::Error as StdError;

use lepton_core::{
    Attributes, ETag, Effect, Error, ErrorKind, ObjectKey, ObjectMeta, PutReceipt, Result, RetryClass, VersionId,
};
use object_store::path::Path;
use object_store::{Attribute, Attributes as TheirAttributes, Error as TheirError};

/// The path of a key.
pub(super) fn path(key: &ObjectKey) -> Result<Path> {
    let refuse = |why: &str| {
        let message = format!("the key {why}, and a path of the object_store crate may not");
        Err(Error::new(ErrorKind::InvalidKey, message).with_context("key", key))
    };
    let Some(text) = key.as_str() else { return refuse("is not UTF-8") };
    match Path::parse(text) {
        Ok(path) if path.as_ref() == text => Ok(path),
        Ok(_) => refuse("begins or ends with `/`"),
        Err(_) => refuse("has an empty segment, a `.` or `..`, or a control character"),
    }
}

/// The key of a path.
pub(super) fn key(path: &Path) -> Result<ObjectKey> {
    ObjectKey::new(path.as_ref().as_bytes().to_vec())
}

/// The result of a write, as `object_store` reports it.
pub(super) fn put_result(receipt: PutReceipt) -> object_store::PutResult {
    object_store::PutResult {
        e_tag: receipt.etag.map(|tag| tag.as_str().to_owned()),
        version: receipt.version.map(|version| version.as_str().to_owned()),
        extensions: Default::default(),
    }
}

/// The description of an object, as `object_store` represents it.
pub(super) fn outward_meta(meta: &ObjectMeta, location: Path) -> object_store::ObjectMeta {
    object_store::ObjectMeta {
        location,
        last_modified: meta.last_modified.unwrap_or(std::time::UNIX_EPOCH).into(),
        size: meta.size,
        e_tag: meta.etag.as_ref().map(|tag| tag.as_str().to_owned()),
        version: meta.version.as_ref().map(|version| version.as_str().to_owned()),
    }
}

/// The description of an object, as Lepton represents it.
pub(super) fn inward_meta(meta: object_store::ObjectMeta) -> Result<ObjectMeta> {
    let mut object = ObjectMeta::new(key(&meta.location)?, meta.size);
    object.last_modified = Some(meta.last_modified.into());
    object.etag = meta.e_tag.map(tag);
    object.version = meta.version.map(VersionId::new);
    Ok(object)
}

/// An ETag in its header form, with quotes. Some stores omit them, and some do so only in
/// listings.
pub(super) fn tag(theirs: String) -> ETag {
    ETag::new(if is_quoted(&theirs) { theirs } else { format!("\"{theirs}\"") })
}

pub(super) fn is_quoted(tag: &str) -> bool {
    tag.starts_with(['"']) || tag.starts_with("W/")
}

/// The attributes of an object and its storage class, for `object_store`.
pub(super) fn outward_attributes(attributes: Attributes, class: Option<String>) -> TheirAttributes {
    let named = [
        (Attribute::ContentType, attributes.content_type),
        (Attribute::ContentEncoding, attributes.content_encoding),
        (Attribute::ContentDisposition, attributes.content_disposition),
        (Attribute::ContentLanguage, attributes.content_language),
        (Attribute::CacheControl, attributes.cache_control),
        (Attribute::StorageClass, class),
    ];
    let mut theirs = TheirAttributes::new();
    for (name, value) in named {
        if let Some(value) = value {
            theirs.insert(name, value.into());
        }
    }
    for (name, value) in attributes.user_metadata {
        theirs.insert(Attribute::Metadata(name.into()), value.into());
    }
    theirs
}

/// The attributes of an object and its storage class, for Lepton.
///
/// # Errors
/// `unsupported` for an attribute that `object_store` added later.
pub(super) fn inward_attributes(theirs: &TheirAttributes) -> Result<(Attributes, Option<String>)> {
    let (mut attributes, mut class) = (Attributes::default(), None);
    for (name, value) in theirs {
        let value = value.as_ref().to_owned();
        match name {
            Attribute::ContentType => attributes.content_type = Some(value),
            Attribute::ContentEncoding => attributes.content_encoding = Some(value),
            Attribute::ContentDisposition => attributes.content_disposition = Some(value),
            Attribute::ContentLanguage => attributes.content_language = Some(value),
            Attribute::CacheControl => attributes.cache_control = Some(value),
            Attribute::StorageClass => class = Some(value),
            Attribute::Metadata(name) => {
                attributes.user_metadata.insert(name.to_lowercase(), value);
            }
            other => return Err(Error::unsupported(format!("the attribute {other:?} is not known here"))),
        }
    }
    Ok((attributes, class))
}

/// A Lepton error as an `object_store` error.
pub(super) fn outward(error: Error, path: &Path) -> TheirError {
    use ErrorKind as K;
    let path = path.to_string();
    let (kind, source) = (error.kind(), Box::new(error));
    match kind {
        K::NotFound | K::UploadNotFound => TheirError::NotFound { path, source },
        K::AlreadyExists => TheirError::AlreadyExists { path, source },
        K::PreconditionFailed | K::SourceChanged => TheirError::Precondition { path, source },
        K::PermissionDenied | K::ReadOnly => TheirError::PermissionDenied { path, source },
        K::Unauthenticated | K::ClockSkew => TheirError::Unauthenticated { path, source },
        K::Unsupported => {
            TheirError::NotImplemented { operation: source.full_message(), implementer: STORE.to_owned() }
        }
        _ => TheirError::Generic { store: STORE, source },
    }
}

/// The name of this store in `object_store` errors.
pub(super) const STORE: &str = "Lepton";

/// An `object_store` error as a Lepton error. `writes`: whether the failed operation may have
/// changed something.
pub(super) fn inward(error: TheirError, operation: &'static str, writes: bool) -> Error {
    use ErrorKind as K;
    let kind = match &error {
        TheirError::NotFound { source, .. } if says_bucket(&source.to_string()) => K::BucketNotFound,
        TheirError::NotFound { .. } => K::NotFound,
        TheirError::InvalidPath { .. } => K::InvalidKey,
        TheirError::NotSupported { .. } | TheirError::NotImplemented { .. } => K::Unsupported,
        TheirError::AlreadyExists { .. } => K::AlreadyExists,
        TheirError::Precondition { .. } | TheirError::NotModified { .. } => K::PreconditionFailed,
        TheirError::PermissionDenied { .. } => K::PermissionDenied,
        TheirError::Unauthenticated { .. } => K::Unauthenticated,
        TheirError::UnknownConfigurationKey { .. } => K::InvalidInput,
        other => of_cause(other).or_else(|| of_status(&other.to_string())).unwrap_or(K::Unavailable),
    };
    let again = matches!(kind, K::Unavailable | K::Timeout | K::Network | K::Throttled | K::Io);
    let effect = if writes && again { Effect::Unknown } else { Effect::None };
    let retry = if again { RetryClass::Now } else { RetryClass::Never };
    let message = format!("the object_store below says: {error}");
    Error::new(kind, message).with_operation(operation).with_retry(retry).with_effect(effect).with_source(error)
}

/// The kind of the first cause that is more specific: an I/O error or a Lepton error.
fn of_cause(error: &(dyn StdError + 'static)) -> Option<ErrorKind> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(ours) = error.downcast_ref::<Error>() {
            return Some(ours.kind());
        }
        if let Some(system) = error.downcast_ref::<std::io::Error>() {
            // The name belongs to a folder, or a file is in the place of a folder: there is no
            // such object.
            let folder = [std::io::ErrorKind::IsADirectory, std::io::ErrorKind::NotADirectory].contains(&system.kind());
            return Some(if folder { ErrorKind::NotFound } else { ErrorKind::from(system) });
        }
        cause = error.source();
    }
    None
}

/// Whether the service reports that the bucket is missing, which `object_store` does not
/// distinguish from a missing object. No key can produce these exact forms, because services
/// encode keys in their messages.
fn says_bucket(words: &str) -> bool {
    let forms = [
        "<Code>NoSuchBucket</Code>",
        "<Code>ContainerNotFound</Code>",
        "\"message\": \"The specified bucket does not exist",
    ];
    forms.iter().any(|form| words.contains(form))
}

/// The kind of a refusal whose status `object_store` reports only in its message.
fn of_status(words: &str) -> Option<ErrorKind> {
    use ErrorKind as K;
    let (_, status) = words.split_once("status code: ")?;
    if says_bucket(status) {
        return Some(K::BucketNotFound);
    }
    Some(match status.get(..3)?.parse().ok()? {
        401 => K::Unauthenticated,
        403 => K::PermissionDenied,
        404 => K::NotFound,
        408 => K::Timeout,
        412 => K::PreconditionFailed,
        429 | 503 => K::Throttled,
        400..=499 => K::Unexpected,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_and_a_key_are_the_same_bytes() {
        for text in ["a", "a/b", "a b/%20/ü", "a%2Fb", "$@~#"] {
            let of = ObjectKey::try_from(text).unwrap();
            assert_eq!(key(&path(&of).unwrap()).unwrap(), of);
        }
        for odd in [&b"/a"[..], b"a/", b"a//b", b"./a", b"a/..", b"a\x01", b"\xff"] {
            let odd = ObjectKey::new(odd.to_vec()).unwrap();
            assert_eq!(path(&odd).unwrap_err().kind(), ErrorKind::InvalidKey, "{odd}");
        }
    }

    #[test]
    fn errors_keep_their_kind_both_ways() {
        use ErrorKind as K;
        for kind in [
            K::NotFound,
            K::AlreadyExists,
            K::PreconditionFailed,
            K::PermissionDenied,
            K::Unauthenticated,
            K::Unsupported,
            K::OutOfSpace,
            K::Throttled,
        ] {
            let theirs = outward(Error::new(kind, "why"), &Path::from("a"));
            let back = inward(theirs, "put", true);
            assert_eq!(back.kind(), kind);
            assert!(back.full_message().contains("why"), "{}", back.full_message());
        }
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let error = inward(TheirError::Generic { store: "theirs", source: full.into() }, "put", true);
        assert_eq!(error.kind(), K::OutOfSpace);
        for (status, kind, effect) in [
            ("400 Bad Request", K::Unexpected, Effect::None),
            ("403 Forbidden", K::PermissionDenied, Effect::None),
            ("404 Not Found: <Error><Code>NoSuchBucket</Code>", K::BucketNotFound, Effect::None),
            ("404 Not Found: <Error><Code>NoSuchKey</Code><Key>NoSuchBucket", K::NotFound, Effect::None),
            ("503 Service Unavailable", K::Throttled, Effect::Unknown),
            ("500 Internal Server Error", K::Unavailable, Effect::Unknown),
            ("5", K::Unavailable, Effect::Unknown),
        ] {
            let source = format!("Server returned non-2xx status code: {status}: <Error/>").into();
            let error = inward(TheirError::Generic { store: "theirs", source }, "put", true);
            assert_eq!((error.kind(), error.effect()), (kind, effect), "{status}");
        }
        let error = inward(TheirError::Generic { store: "theirs", source: "503".into() }, "put", true);
        assert_eq!((error.kind(), error.retry(), error.effect()), (K::Unavailable, RetryClass::Now, Effect::Unknown));
    }

    #[test]
    fn attributes_come_back() {
        let mut attributes = Attributes::default();
        attributes.content_type = Some("text/plain".into());
        attributes.cache_control = Some("no-store".into());
        attributes.user_metadata.insert("name".into(), "value".into());
        let theirs = outward_attributes(attributes.clone(), Some("COLD".into()));
        assert_eq!(theirs.len(), 4);
        assert_eq!(inward_attributes(&theirs).unwrap(), (attributes, Some("COLD".into())));
    }
}
