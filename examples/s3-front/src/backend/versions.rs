//! ListObjectVersions, GetBucketVersioning.

use futures_util::{StreamExt as _, TryStreamExt as _};
use http::Response;
use lepton_core::{ListRequest, ObjectVersion, SharedStorage, VersionId, VersionStream};

use super::Backend;
use super::list::{Names, limit, write_meta};
use crate::call::Call;
use crate::protocol::{self, Body, IntoS3 as _, S3Result, Xml, s3_error};

impl Backend {
    pub(super) async fn versioning(&self, call: Call<'_>) -> S3Result<Response<Body>> {
        let enabled = match self.bucket(call.bucket())?.storage.versions() {
            Some(versions) => versions.enabled().await.s3()?,
            None => false,
        };
        Ok(protocol::with_document(Xml::document("VersioningConfiguration", |xml| {
            xml.optional("Status", enabled.then_some("Enabled"));
        })))
    }

    pub(super) async fn list_versions(&self, call: Call<'_>) -> S3Result<Response<Body>> {
        let bucket = self.bucket(call.bucket())?;
        let names = Names::of(call)?;
        if call.query.text("delimiter")?.is_some_and(|delimiter| !delimiter.is_empty()) {
            return Err(s3_error!(NotImplemented, "this server lists versions without a delimiter"));
        }
        let limit = limit(call, "max-keys")?;
        let text = |name| Ok(call.query.text(name)?.unwrap_or_default());
        let (prefix, key_marker, version_marker) = (text("prefix")?, text("key-marker")?, text("version-id-marker")?);
        let mut request = ListRequest::new().prefix(prefix.as_str().into()).page_size(limit + 1);
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
        let found = found.into_iter().map(|version| Ok((names.bytes(version.meta.key.as_bytes())?, version)));
        let found: Vec<_> = found.collect::<S3Result<_>>()?;
        Ok(protocol::with_document(Xml::document("ListVersionsResult", |xml| {
            xml.text("Name", call.bucket());
            xml.text("Prefix", names.text(&prefix));
            xml.text("KeyMarker", names.text(&key_marker));
            xml.text("VersionIdMarker", &version_marker);
            xml.text("MaxKeys", limit);
            names.write(xml);
            xml.text("IsTruncated", more);
            if let Some((name, last)) = found.last().filter(|_| more) {
                xml.text("NextKeyMarker", name);
                xml.text("NextVersionIdMarker", version_id(last));
            }
            found.iter().for_each(|(name, version)| write(name, version, xml));
        })))
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
pub(super) fn named(storage: &SharedStorage, id: Option<String>) -> Option<VersionId> {
    id.filter(|id| id != "null" || storage.versions().is_some()).map(VersionId::new)
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

fn write(name: &str, version: &ObjectVersion, xml: &mut Xml) {
    xml.element(if version.is_delete_marker { "DeleteMarker" } else { "Version" }, |xml| {
        xml.text("Key", name);
        xml.text("VersionId", version_id(version));
        xml.text("IsLatest", version.is_latest);
        match version.meta.last_modified {
            Some(time) if version.is_delete_marker => xml.time("LastModified", time),
            _ if version.is_delete_marker => {}
            _ => write_meta(&version.meta, xml),
        }
    });
}
