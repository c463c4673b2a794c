//! Old versions, and presigned URLs.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::Method as HttpMethod;
use lepton_core::{
    ETag, Error, ErrorKind, ListRequest, Method, ObjectKey, ObjectMeta, ObjectVersion, Result, SignedUrl, Signer,
    VersionId, VersionStream, Versions,
};

use super::client::{Client, Request};
use super::list::{Names, expect_root, list_query, object};
use super::storage::S3Storage;
use crate::wire::encode::Query;
use crate::wire::pages::{is_truncated, pages};
use crate::wire::request::{check_key, unexpected};
use crate::wire::time::parse_iso8601;
use crate::wire::xml::Element;

/// The longest validity of a presigned URL: a week.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);

#[async_trait]
impl Versions for S3Storage {
    fn list_versions(&self, request: ListRequest) -> VersionStream {
        let start = request.start_after.clone().map(|key| Marker { key: key.to_vec(), version: None });
        let context = (Arc::clone(&self.client), request);
        pages(context, start, |(client, request), place| async move { client.versions_page(&request, place).await })
    }

    async fn enabled(&self) -> Result<bool> {
        let query = Query::new().with("versioning", "");
        let request = Request::new("versioning", HttpMethod::GET, None).query(query);
        let (_, document, _) = self.client.send_for_document(request).await?;
        let root = Element::parse(&document).map_err(|error| error.with_operation("versioning"))?;
        Ok(root.text("Status") == Some("Enabled"))
    }
}

/// Where a page begins: after this key, or after this version of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Marker {
    key: Vec<u8>,
    version: Option<Vec<u8>>,
}

impl Client {
    async fn versions_page(
        &self,
        request: &ListRequest,
        after: Option<Marker>,
    ) -> Result<(Vec<ObjectVersion>, Option<Option<Marker>>)> {
        let mut query = list_query(request).with("versions", "");
        if let Some(Marker { key, version }) = &after {
            query.push("key-marker", key);
            if let Some(version) = version {
                query.push("version-id-marker", version);
            }
        }
        let request = Request::new("list_versions", HttpMethod::GET, None).query(query);
        let (_, document, secrets) = self.send_for_document(request).await?;
        let page = page(&document).and_then(|(versions, next)| match next {
            Some(next) if next.is_some() && next == after => Err(unexpected("a page continues where it began")),
            next => Ok((versions, next)),
        });
        page.map_err(|error| secrets.hidden(error).with_operation("list_versions").with_context("bucket", &self.bucket))
    }
}

pub(super) fn page(document: &[u8]) -> Result<(Vec<ObjectVersion>, Option<Option<Marker>>)> {
    let root = Element::parse(document)?;
    expect_root(&root, &["ListVersionsResult"])?;
    let names = Names::of(&root);
    let mut versions = Vec::new();
    for element in root.elements() {
        let is_delete_marker = match element.name() {
            b"Version" => false,
            b"DeleteMarker" => true,
            _ => continue,
        };
        let key = names.key(element, "Key")?;
        let mut meta = if is_delete_marker { marker(element, key) } else { object(element, key)? };
        // The id `null` marks a version that was written without versioning.
        meta.version = element.text("VersionId").map(VersionId::new);
        let mut version = ObjectVersion::new(meta);
        version.is_latest = element.text("IsLatest") == Some("true");
        version.is_delete_marker = is_delete_marker;
        versions.push(version);
    }
    let key = names.bytes(&root, "NextKeyMarker");
    if !is_truncated(&root, Some(&key))? {
        return Ok((versions, None));
    }
    let version = root.bytes("NextVersionIdMarker").filter(|id| !id.is_empty()).map(<[u8]>::to_vec);
    Ok((versions, Some(Some(Marker { key: key.to_vec(), version }))))
}

fn marker(element: &Element<'_>, key: ObjectKey) -> ObjectMeta {
    let mut meta = ObjectMeta::new(key, 0);
    meta.last_modified = element.text("LastModified").and_then(parse_iso8601);
    meta.etag = element.text("ETag").map(ETag::new);
    meta
}

#[async_trait]
impl Signer for S3Storage {
    async fn sign(&self, method: Method, key: &ObjectKey, valid_for: Duration) -> Result<SignedUrl> {
        let signed = self.client.presign(method, key, valid_for).await;
        signed.map_err(|error| error.with_operation("sign").with_context("key", key))
    }
}

impl Client {
    async fn presign(&self, method: Method, key: &ObjectKey, valid_for: Duration) -> Result<SignedUrl> {
        if valid_for > LONGEST || valid_for.as_secs() == 0 {
            return Err(Error::invalid_input("a signed URL lives between a second and a week"));
        }
        check_key(&self.capabilities.keys, key, "sign")?;
        let Some(cache) = &self.credentials else {
            let message = "anonymous requests have no credentials to sign with";
            return Err(Error::new(ErrorKind::Unauthenticated, message));
        };
        let method = match method {
            Method::Get => "GET",
            Method::Put => "PUT",
            Method::Head => "HEAD",
            Method::Delete => "DELETE",
            other => return Err(Error::unsupported(format!("URLs for {other:?} cannot be signed"))),
        };
        let credentials = cache.get().await?;
        let target = self.target();
        let path = target.path(Some(key));
        let context = self.context(&credentials, &target);
        let query = self.signer.presign(&context, method, &path, &target.host, valid_for.as_secs(), Query::new());
        Ok(SignedUrl::new(target.uri(&path, &query)?.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_delete_markers_keep_their_order() {
        let document = b"<ListVersionsResult><IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker>\
            <NextVersionIdMarker>v1</NextVersionIdMarker>\
            <DeleteMarker><Key>k</Key><VersionId>v2</VersionId><IsLatest>true</IsLatest></DeleteMarker>\
            <Version><Key>k</Key><VersionId>v1</VersionId><IsLatest>false</IsLatest><Size>5</Size></Version>\
            <Version><Key>l</Key><VersionId>null</VersionId><IsLatest>true</IsLatest><Size>6</Size></Version>\
            </ListVersionsResult>";
        let (versions, next) = page(document).unwrap();
        let seen: Vec<_> = versions.iter().map(|v| (v.meta.size, v.is_latest, v.is_delete_marker)).collect();
        assert_eq!(seen, [(0, true, true), (5, false, false), (6, true, false)]);
        assert_eq!(versions[1].meta.version, Some(VersionId::new("v1")));
        assert_eq!(versions[2].meta.version, Some(VersionId::new("null")));
        let marker = next.flatten().unwrap();
        assert_eq!((marker.key, marker.version), (b"k".to_vec(), Some(b"v1".to_vec())));
    }
}
