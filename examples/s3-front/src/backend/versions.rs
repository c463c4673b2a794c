//! ListObjectVersions, GetBucketVersioning.

use futures_util::{StreamExt as _, TryStreamExt as _};
use lepton_core::{KeyPrefix, ListRequest, ObjectVersion, SharedStorage, VersionId, VersionStream};
use s3s::dto::{
    self, BucketVersioningStatus, DeleteMarkerEntry, GetBucketVersioningInput, GetBucketVersioningOutput,
    ListObjectVersionsInput, ListObjectVersionsOutput,
};
use s3s::{S3Response, S3Result, s3_error};

use super::attributes::s3_etag;
use super::error::IntoS3 as _;
use super::list::Names;
use super::{Backend, signed};

impl Backend {
    pub(super) async fn versioning(
        &self,
        input: GetBucketVersioningInput,
    ) -> S3Result<S3Response<GetBucketVersioningOutput>> {
        let enabled = match self.bucket(&input.bucket)?.storage.versions() {
            Some(versions) => versions.enabled().await.s3()?,
            None => false,
        };
        let status = enabled.then(|| BucketVersioningStatus::from_static(BucketVersioningStatus::ENABLED));
        Ok(S3Response::new(GetBucketVersioningOutput { status, ..Default::default() }))
    }

    /// Old versions and delete markers are in two lists, each in order, as s3s writes them;
    /// Amazon S3 interleaves the two.
    pub(super) async fn list_versions(
        &self,
        input: ListObjectVersionsInput,
    ) -> S3Result<S3Response<ListObjectVersionsOutput>> {
        let bucket = self.bucket(&input.bucket)?;
        let names = Names::new(input.encoding_type.as_ref())?;
        if input.delimiter.as_ref().is_some_and(|delimiter| !delimiter.is_empty()) {
            return Err(s3_error!(NotImplemented, "this server lists versions without a delimiter"));
        }
        let limit = usize::try_from(input.max_keys.unwrap_or(1000).clamp(0, 1000)).unwrap_or_default();
        let (key_marker, version_marker) =
            (input.key_marker.clone().unwrap_or_default(), input.version_id_marker.clone().unwrap_or_default());
        let prefix = KeyPrefix::from(input.prefix.as_deref().unwrap_or_default());
        let mut request = ListRequest::new().prefix(prefix).page_size(limit + 1);
        if !key_marker.is_empty() {
            let within = !version_marker.is_empty();
            let after = if within { just_before(key_marker.as_bytes()) } else { key_marker.as_bytes().to_vec() };
            request = request.start_after(after);
        }
        let mut found: Vec<ObjectVersion> = Vec::new();
        let mut resume =
            Resume { key: key_marker.as_bytes(), version: &version_marker, passed: version_marker.is_empty() };
        let mut pages = all_versions(&bucket.storage, request);
        while limit > 0 && found.len() <= limit {
            let Some(page) = pages.next().await else { break };
            let shown = page.s3()?.into_iter().filter(|version| !bucket.hides(version.meta.key.as_bytes()));
            found.extend(shown.filter(|version| resume.takes(version)));
        }
        let more = found.len() > limit;
        found.truncate(limit);
        let last = found.last().filter(|_| more);
        let next_key_marker = last.map(|last| names.bytes(last.meta.key.as_bytes())).transpose()?;
        let next_version_id_marker = last.map(version_id);
        let mut output = ListObjectVersionsOutput {
            prefix: Some(names.text(input.prefix.as_deref().unwrap_or_default())),
            key_marker: Some(names.text(&key_marker)),
            version_id_marker: Some(version_marker.clone()),
            name: Some(input.bucket),
            max_keys: i32::try_from(limit).ok(),
            is_truncated: Some(more),
            next_key_marker,
            next_version_id_marker,
            encoding_type: input.encoding_type,
            ..Default::default()
        };
        for version in found {
            add(version, &names, &mut output)?;
        }
        Ok(S3Response::new(output))
    }
}

/// All versions. If the storage has no versions, each object counts as its only version, which
/// S3 calls `null`.
fn all_versions(storage: &SharedStorage, request: ListRequest) -> VersionStream {
    let only = |meta| {
        let mut version = ObjectVersion::new(meta);
        version.is_latest = true;
        version
    };
    match storage.versions() {
        Some(facet) => facet.list_versions(request),
        None => storage.list(request).map_ok(move |page| page.objects.into_iter().map(only).collect()).boxed(),
    }
}

/// The version named by a request.
pub(super) fn named(storage: &SharedStorage, id: Option<&str>) -> Option<VersionId> {
    id.filter(|id| *id != "null" || storage.versions().is_some()).map(VersionId::new)
}

/// Omits the versions of the last key that the previous page already listed.
struct Resume<'a> {
    key: &'a [u8],
    version: &'a str,
    passed: bool,
}

impl Resume<'_> {
    fn takes(&mut self, version: &ObjectVersion) -> bool {
        let key = version.meta.key.as_bytes();
        if self.passed || key > self.key {
            return true;
        }
        self.passed = key == self.key && version_id(version) == self.version;
        false
    }
}

fn version_id(version: &ObjectVersion) -> String {
    version.meta.version.as_ref().map_or_else(|| "null".to_owned(), |version| version.as_str().to_owned())
}

/// Bytes that sort before `key`, with no UTF-8 key in between.
fn just_before(key: &[u8]) -> Vec<u8> {
    let mut before = key.to_vec();
    match before.pop() {
        None | Some(0) => {}
        Some(last) => before.extend([last - 1, 0xff]),
    }
    before
}

fn add(version: ObjectVersion, names: &Names, output: &mut ListObjectVersionsOutput) -> S3Result<()> {
    let version_id = Some(version_id(&version));
    let key = Some(names.bytes(version.meta.key.as_bytes())?);
    let last_modified = version.meta.last_modified.map(Into::into);
    let is_latest = Some(version.is_latest);
    if version.is_delete_marker {
        let marker = DeleteMarkerEntry { key, version_id, last_modified, is_latest, ..Default::default() };
        output.delete_markers.get_or_insert_default().push(marker);
    } else {
        let class = version.meta.storage_class.unwrap_or_else(|| "STANDARD".to_owned());
        output.versions.get_or_insert_default().push(dto::ObjectVersion {
            key,
            version_id,
            last_modified,
            is_latest,
            size: Some(signed(version.meta.size)),
            e_tag: version.meta.etag.as_ref().map(s3_etag),
            storage_class: Some(class.into()),
            ..Default::default()
        });
    }
    Ok(())
}
