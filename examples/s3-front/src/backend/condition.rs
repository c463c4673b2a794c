//! Conditions: on reads in the order of RFC 9110 (section 13.2.2), on writes as the storage can
//! enforce them.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use lepton_core::{ETag, ErrorKind, HeadOptions, ObjectKey, ObjectMeta, Precondition, SharedStorage};
use s3s::dto::{ETagCondition, Timestamp};
use s3s::{S3Result, s3_error};

use super::error::IntoS3 as _;

/// The conditions of a read or of the source of a copy.
#[derive(Debug, Default)]
pub(super) struct ReadConditions {
    pub(super) if_match: Option<ETagCondition>,
    pub(super) if_none_match: Option<ETagCondition>,
    pub(super) if_modified_since: Option<Timestamp>,
    pub(super) if_unmodified_since: Option<Timestamp>,
}

impl ReadConditions {
    /// Fails with PreconditionFailed or NotModified if the object does not meet the client's
    /// conditions.
    pub(super) fn check(&self, meta: &ObjectMeta) -> S3Result<()> {
        let changed_after =
            |time: &Timestamp| meta.last_modified.is_some_and(|at| Timestamp::from(seconds(at)) > *time);
        let met = match (&self.if_match, &self.if_unmodified_since) {
            (Some(wanted), _) => matches(wanted, meta.etag.as_ref()),
            (None, Some(time)) => !changed_after(time),
            (None, None) => true,
        };
        if !met {
            return Err(s3_error!(PreconditionFailed, "the object is not the one that the condition names"));
        }
        let modified = match (&self.if_none_match, &self.if_modified_since) {
            (Some(known), _) => !matches(known, meta.etag.as_ref()),
            (None, Some(time)) => changed_after(time),
            (None, None) => true,
        };
        if modified { Ok(()) } else { Err(s3_error!(NotModified)) }
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

fn matches(condition: &ETagCondition, etag: Option<&ETag>) -> bool {
    match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(wanted) => etag.is_some_and(|etag| etag.unquoted() == wanted.value()),
    }
}

/// The condition of a write. For `If-Match` the storage receives the ETag in its own form.
pub(super) async fn of_write(
    storage: &SharedStorage,
    key: &ObjectKey,
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
) -> S3Result<Precondition> {
    match (if_match, if_none_match) {
        (None, None) => Ok(Precondition::None),
        (None, Some(ETagCondition::Any)) => Ok(Precondition::IfAbsent),
        (Some(wanted), None) => {
            let meta = storage.head(key, HeadOptions::new()).await.s3()?.meta;
            match meta.etag.filter(|etag| matches(wanted, Some(etag))) {
                Some(etag) => Ok(Precondition::IfMatch(etag)),
                None => Err(s3_error!(PreconditionFailed, "the object has another ETag")),
            }
        }
        _ => Err(s3_error!(NotImplemented, "a write takes If-Match with an ETag or If-None-Match with *")),
    }
}

/// The ETag for a conditional delete; `None` if the object does not exist, which counts as
/// deleted.
pub(super) async fn of_delete(
    storage: &SharedStorage,
    key: &ObjectKey,
    wanted: &ETagCondition,
) -> S3Result<Option<ETag>> {
    let meta = match storage.head(key, HeadOptions::new()).await {
        Ok(info) => info.meta,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).s3(),
    };
    match meta.etag.filter(|etag| matches(wanted, Some(etag))) {
        Some(etag) => Ok(Some(etag)),
        None => Err(s3_error!(PreconditionFailed, "the object has another ETag")),
    }
}

/// A condition that s3s does not parse for this operation.
pub(super) fn header(headers: &HeaderMap, name: &str) -> S3Result<Option<ETagCondition>> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let condition = ETagCondition::parse_http_header(value.as_bytes());
    condition.map(Some).map_err(|_| s3_error!(InvalidArgument, "the header {name} is not an ETag"))
}
