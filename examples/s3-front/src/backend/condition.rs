//! Conditions: on reads in the order of RFC 9110 (section 13.2.2), on writes as the storage can
//! enforce them.

use std::time::{Duration, SystemTime};

use http::header::ETAG;
use lepton_core::{ETag, ErrorKind, HeadOptions, ObjectKey, ObjectMeta, Precondition, SharedStorage};

use super::attributes::quoted;
use crate::call::Call;
use crate::protocol::{IntoS3 as _, S3Result, s3_error};

/// The value of `If-Match` or `If-None-Match`.
#[derive(Debug)]
pub(super) enum Wanted {
    Any,
    Tag(ETag),
}

impl Wanted {
    pub(super) fn parse(text: &str) -> Self {
        if text.trim() == "*" { Self::Any } else { Self::Tag(ETag::new(text.trim())) }
    }

    /// The value of a header.
    pub(super) fn of(call: Call<'_>, name: &str) -> S3Result<Option<Self>> {
        Ok(call.header(name)?.map(Self::parse))
    }

    fn is_met_by(&self, etag: Option<&ETag>) -> bool {
        match self {
            Self::Any => true,
            Self::Tag(wanted) => etag.is_some_and(|etag| etag.unquoted() == wanted.unquoted()),
        }
    }
}

/// The conditions of a read or of the source of a copy.
#[derive(Debug)]
pub(super) struct ReadConditions {
    if_match: Option<Wanted>,
    if_none_match: Option<Wanted>,
    if_modified_since: Option<SystemTime>,
    if_unmodified_since: Option<SystemTime>,
}

impl ReadConditions {
    /// The conditions in the headers whose names begin with this. A date that is none is
    /// ignored, as RFC 9110 says.
    pub(super) fn of(call: Call<'_>, prefix: &str) -> S3Result<Self> {
        let tag = |name: &str| Wanted::of(call, &format!("{prefix}{name}"));
        let date = |name: &str| {
            let text = call.header(&format!("{prefix}{name}"))?;
            Ok(text.and_then(|text| httpdate::parse_http_date(text).ok()))
        };
        Ok(Self {
            if_match: tag("if-match")?,
            if_none_match: tag("if-none-match")?,
            if_modified_since: date("if-modified-since")?,
            if_unmodified_since: date("if-unmodified-since")?,
        })
    }

    /// Fails with PreconditionFailed or NotModified if the object does not meet the client's
    /// conditions.
    pub(super) fn check(&self, meta: &ObjectMeta) -> S3Result<()> {
        let changed_after = |time: &SystemTime| meta.last_modified.is_some_and(|at| seconds(at) > *time);
        let met = match (&self.if_match, &self.if_unmodified_since) {
            (Some(wanted), _) => wanted.is_met_by(meta.etag.as_ref()),
            (None, Some(time)) => !changed_after(time),
            (None, None) => true,
        };
        if !met {
            return Err(s3_error!(PreconditionFailed, "the object is not the one that the condition names"));
        }
        let modified = match (&self.if_none_match, &self.if_modified_since) {
            (Some(known), _) => !known.is_met_by(meta.etag.as_ref()),
            (None, Some(time)) => changed_after(time),
            (None, None) => true,
        };
        if modified {
            return Ok(());
        }
        let error = s3_error!(NotModified, "the object is the one that the client has");
        Err(match &meta.etag {
            Some(etag) => error.with(ETAG, quoted(etag)),
            None => error,
        })
    }

    /// The same for the source of a copy, where NotModified is not a valid answer.
    pub(super) fn check_source(&self, meta: &ObjectMeta) -> S3Result<()> {
        self.check(meta)
            .map_err(|_| s3_error!(PreconditionFailed, "the source is not the one that the condition names"))
    }
}

/// HTTP dates have a resolution of whole seconds.
fn seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

/// The condition of a write in its headers. For `If-Match` the storage receives the ETag in its
/// own form.
pub(super) async fn of_write(storage: &SharedStorage, key: &ObjectKey, call: Call<'_>) -> S3Result<Precondition> {
    match (Wanted::of(call, "if-match")?, Wanted::of(call, "if-none-match")?) {
        (None, None) => Ok(Precondition::None),
        (None, Some(Wanted::Any)) => Ok(Precondition::IfAbsent),
        (Some(wanted), None) => {
            let meta = storage.head(key, HeadOptions::new()).await.s3()?.meta;
            match meta.etag.filter(|etag| wanted.is_met_by(Some(etag))) {
                Some(etag) => Ok(Precondition::IfMatch(etag)),
                None => Err(s3_error!(PreconditionFailed, "the object has another ETag")),
            }
        }
        _ => Err(s3_error!(NotImplemented, "a write takes If-Match with an ETag or If-None-Match with *")),
    }
}

/// The ETag for a conditional delete; `None` if the object does not exist, which counts as
/// deleted.
pub(super) async fn of_delete(storage: &SharedStorage, key: &ObjectKey, wanted: &Wanted) -> S3Result<Option<ETag>> {
    let meta = match storage.head(key, HeadOptions::new()).await {
        Ok(info) => info.meta,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).s3(),
    };
    match meta.etag.filter(|etag| wanted.is_met_by(Some(etag))) {
        Some(etag) => Ok(Some(etag)),
        None => Err(s3_error!(PreconditionFailed, "the object has another ETag")),
    }
}
