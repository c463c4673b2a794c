//! CopyObject and UploadPartCopy: done by the storage itself if it can, otherwise by reading
//! and writing.

use std::ops::Range;
use std::time::SystemTime;

use http::Response;
use lepton_core::{
    Attributes, CopyOptions, CopySource, ETag, GetOptions, HeadOptions, ObjectInfo, ObjectKey, PartSpec, PutOptions,
    ServerCopy, SharedStorage, VersionId,
};
use percent_encoding::percent_decode_str;

use super::attributes::{insert, quoted, refuse_unsupported, requested};
use super::condition::{self, ReadConditions};
use super::range::ByteRange;
use super::{Backend, versions};
use crate::call::Call;
use crate::payload::once;
use crate::protocol::{self, Body, IntoS3 as _, S3Result, Xml, s3_error};

/// The object to copy, as last seen.
struct Source {
    storage: SharedStorage,
    key: ObjectKey,
    info: ObjectInfo,
}

impl Source {
    /// Identifies the object as it was seen, so that nothing else is copied, with the facet
    /// that copies it.
    fn pinned<'a>(&self, facet: Option<&'a dyn ServerCopy>) -> Option<(&'a dyn ServerCopy, CopySource)> {
        let (facet, source) = facet.zip(CopySource::new(self.storage.as_ref(), self.key.clone()))?;
        let source = source.version(self.info.meta.version.clone()).if_match(self.info.meta.etag.clone());
        facet.reaches(&source.store).then_some((facet, source))
    }

    fn get_options(&self) -> GetOptions {
        let meta = &self.info.meta;
        GetOptions::new().version(meta.version.clone()).if_match(meta.etag.clone())
    }

    fn version(&self) -> Option<&VersionId> {
        self.info.meta.version.as_ref()
    }
}

impl Backend {
    pub(super) async fn copy(&self, call: Call<'_>) -> S3Result<Response<Body>> {
        refuse_unsupported(call)?;
        let bucket = self.bucket(call.bucket())?;
        let (storage, key) = (&bucket.storage, bucket.key(call.key()?)?);
        let source = self.source(call).await?;
        let replaces = |name| Ok(call.header(name)? == Some("REPLACE"));
        let (new_metadata, new_tags) = (replaces("x-amz-metadata-directive")?, replaces("x-amz-tagging-directive")?);
        let attributes = replaced(&source.info.attributes, requested(call)?, new_metadata, new_tags);
        let precondition = condition::of_write(storage, &key, call).await?;
        let class = call.header("x-amz-storage-class")?.map(str::to_owned);
        let receipt = if let Some((facet, pinned)) = source.pinned(storage.server_copy()) {
            if source.info.meta.size > facet.largest() {
                return Err(s3_error!(InvalidRequest, "the source is larger than one copy may be: copy it in parts"));
            }
            let mut options = CopyOptions::new().precondition(precondition);
            options.storage_class = class;
            if new_metadata || new_tags {
                options = options.attributes(attributes);
            }
            facet.copy(pinned, &key, options).await.s3()?
        } else {
            let reply = source.storage.get(&source.key, source.get_options()).await.s3()?;
            let body = once(source.info.meta.size, reply.body);
            let options = PutOptions::new().precondition(precondition).attributes(attributes).storage_class(class);
            storage.put(&key, body, options).await.s3()?
        };
        let mut response = copied("CopyObjectResult", receipt.etag.as_ref(), &source);
        insert(&mut response, "x-amz-version-id", receipt.version.as_ref());
        Ok(response)
    }

    pub(super) async fn copy_part(&self, call: Call<'_>) -> S3Result<Response<Body>> {
        refuse_unsupported(call)?;
        let bucket = self.bucket(call.bucket())?;
        let upload = call.upload(bucket.key(call.key()?)?);
        let number = call.part_number()?;
        let source = self.source(call).await?;
        let range = source_range(call.header("x-amz-copy-source-range")?, source.info.meta.size)?;
        let own = bucket.storage.server_copy().filter(|_| !bucket.staged);
        let receipt = if let Some((facet, pinned)) = source.pinned(own) {
            facet.copy_part(pinned, &upload, PartSpec::new(number, range)).await.s3()?
        } else {
            let len = range.end - range.start;
            let options = source.get_options();
            let options = if len > 0 { options.range(range) } else { options };
            let reply = source.storage.get(&source.key, options).await.s3()?;
            let body = once(len, reply.body);
            bucket.multipart().upload_part(&upload, PartSpec::new(number, 0..len), body).await.s3()?
        };
        Ok(copied("CopyPartResult", Some(&receipt.etag), &source))
    }

    /// The object that `x-amz-copy-source` names, if it meets the conditions.
    async fn source(&self, call: Call<'_>) -> S3Result<Source> {
        let (bucket, key, version) = named(call.header("x-amz-copy-source")?.unwrap_or_default())?;
        let bucket = self.bucket(&bucket)?;
        let (storage, key) = (bucket.storage.clone(), bucket.key(&key)?);
        let version = versions::named(&storage, version);
        let info = storage.head(&key, HeadOptions::new().version(version).tags(true)).await.s3()?;
        ReadConditions::of(call, "x-amz-copy-source-")?.check_source(&info.meta)?;
        Ok(Source { storage, key, info })
    }
}

/// Bucket, key and version of a source: `/bucket/key?versionId=…`, percent-encoded.
fn named(source: &str) -> S3Result<(String, ObjectKey, Option<String>)> {
    let decode = |text: &str| percent_decode_str(text).decode_utf8().ok().map(String::from);
    let parse = || {
        let (path, version) = source.split_once("?versionId=").unwrap_or((source, ""));
        let path = decode(path).filter(|path| !path.starts_with("arn:"))?;
        let (bucket, key) = path.strip_prefix('/').unwrap_or(&path).split_once('/')?;
        let version = Some(decode(version)?).filter(|version| !version.is_empty());
        Some((bucket.to_owned(), ObjectKey::try_from(key).ok()?, version))
    };
    parse().ok_or_else(|| s3_error!(InvalidArgument, "a copy source is named by bucket and key on this server"))
}

fn copied(root: &str, etag: Option<&ETag>, source: &Source) -> Response<Body> {
    let mut response = protocol::with_document(Xml::document(root, |xml| {
        xml.time("LastModified", SystemTime::now());
        xml.optional("ETag", etag.map(quoted));
    }));
    insert(&mut response, "x-amz-copy-source-version-id", source.version());
    response
}

fn replaced(source: &Attributes, requested: Attributes, metadata: bool, tags: bool) -> Attributes {
    let mut attributes = if metadata { requested.clone() } else { source.clone() };
    attributes.tags = if tags { requested.tags } else { source.tags.clone() };
    attributes
}

/// The header `x-amz-copy-source-range` has only the form `bytes=first-last`.
fn source_range(header: Option<&str>, size: u64) -> S3Result<Range<u64>> {
    let Some(header) = header else { return Ok(0..size) };
    match ByteRange::parse(header) {
        Some(ByteRange::From { first, last: Some(last) }) if last < size => Ok(first..last + 1),
        Some(ByteRange::From { last: Some(_), .. }) => {
            Err(s3_error!(InvalidArgument, "the range {header} ends beyond the source's {size} bytes"))
        }
        _ => Err(s3_error!(InvalidArgument, "the copy source range is not of the form bytes=first-last")),
    }
}
