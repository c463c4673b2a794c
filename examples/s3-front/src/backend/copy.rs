//! CopyObject and UploadPartCopy: done by the storage itself if it can, otherwise by reading
//! and writing.

use std::ops::Range;
use std::time::SystemTime;

use http::HeaderMap;
use lepton_core::{
    Attributes, CopyOptions, CopySource, GetOptions, HeadOptions, ObjectInfo, ObjectKey, PartSpec, PutOptions,
    ServerCopy, SharedStorage, Upload, UploadId,
};
use s3s::dto::{
    self, CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopyPartResult, MetadataDirective, TaggingDirective,
    UploadPartCopyInput, UploadPartCopyOutput,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::attributes::{refuse_unsupported, requested, s3_etag};
use super::condition::{self, ReadConditions};
use super::error::IntoS3 as _;
use super::uploads::part_number;
use super::{Backend, ingest, versions};

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

    fn version(&self) -> Option<String> {
        self.info.meta.version.as_ref().map(|version| version.as_str().to_owned())
    }
}

impl Backend {
    pub(super) async fn copy(&self, request: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
        refuse_unsupported(&request.headers)?;
        let input = request.input;
        let bucket = self.bucket(&input.bucket)?;
        let (storage, key) = (&bucket.storage, bucket.key(&input.key)?);
        let conditions = ReadConditions {
            if_match: input.copy_source_if_match,
            if_none_match: input.copy_source_if_none_match,
            if_modified_since: input.copy_source_if_modified_since,
            if_unmodified_since: input.copy_source_if_unmodified_since,
        };
        let source = self.source(&input.copy_source, &conditions).await?;
        let new_metadata = input.metadata_directive.is_some_and(|d| d.as_str() == MetadataDirective::REPLACE);
        let new_tags = input.tagging_directive.is_some_and(|d| d.as_str() == TaggingDirective::REPLACE);
        let attributes =
            replaced(&source.info.attributes, requested(&request.headers, input.metadata)?, new_metadata, new_tags);
        let if_match = condition::header(&request.headers, "if-match")?;
        let if_none_match = condition::header(&request.headers, "if-none-match")?;
        let precondition = condition::of_write(storage, &key, if_match.as_ref(), if_none_match.as_ref()).await?;
        let class = input.storage_class.map(|class| class.as_str().to_owned());
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
            let body = ingest::once(source.info.meta.size, reply.body);
            let options = PutOptions::new().precondition(precondition).attributes(attributes).storage_class(class);
            storage.put(&key, body, options).await.s3()?
        };
        let result = CopyObjectResult {
            e_tag: receipt.etag.as_ref().map(s3_etag),
            last_modified: Some(SystemTime::now().into()),
            ..Default::default()
        };
        Ok(S3Response::new(CopyObjectOutput {
            copy_object_result: Some(result),
            copy_source_version_id: source.version(),
            version_id: receipt.version.map(|version| version.as_str().to_owned()),
            ..Default::default()
        }))
    }

    pub(super) async fn copy_part(
        &self,
        request: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        refuse_unsupported(&request.headers)?;
        let input = request.input;
        let bucket = self.bucket(&input.bucket)?;
        let upload = Upload::new(bucket.key(&input.key)?, UploadId::new(input.upload_id));
        let number = part_number(input.part_number)?;
        let conditions = ReadConditions {
            if_match: input.copy_source_if_match,
            if_none_match: input.copy_source_if_none_match,
            if_modified_since: input.copy_source_if_modified_since,
            if_unmodified_since: input.copy_source_if_unmodified_since,
        };
        let source = self.source(&input.copy_source, &conditions).await?;
        let range = source_range(input.copy_source_range.as_deref(), source.info.meta.size)?;
        let own = bucket.storage.server_copy().filter(|_| !bucket.staged);
        let receipt = if let Some((facet, pinned)) = source.pinned(own) {
            facet.copy_part(pinned, &upload, PartSpec::new(number, range)).await.s3()?
        } else {
            let len = range.end - range.start;
            let options = source.get_options();
            let options = if len > 0 { options.range(range) } else { options };
            let reply = source.storage.get(&source.key, options).await.s3()?;
            let body = ingest::once(len, reply.body);
            bucket.multipart().upload_part(&upload, PartSpec::new(number, 0..len), body).await.s3()?
        };
        let result = CopyPartResult {
            e_tag: Some(s3_etag(&receipt.etag)),
            last_modified: Some(SystemTime::now().into()),
            ..Default::default()
        };
        Ok(S3Response::with_headers(
            UploadPartCopyOutput {
                copy_part_result: Some(result),
                copy_source_version_id: source.version(),
                ..Default::default()
            },
            HeaderMap::new(),
        ))
    }

    async fn source(&self, named: &dto::CopySource, conditions: &ReadConditions) -> S3Result<Source> {
        let dto::CopySource::Bucket { bucket, key, version_id } = named else {
            return Err(s3_error!(NotImplemented, "a copy source is named by bucket and key on this server"));
        };
        let bucket = self.bucket(bucket)?;
        let (storage, key) = (bucket.storage.clone(), bucket.key(key)?);
        let version = versions::named(&storage, version_id.as_deref());
        let info = storage.head(&key, HeadOptions::new().version(version).tags(true)).await.s3()?;
        conditions.check_source(&info.meta)?;
        Ok(Source { storage, key, info })
    }
}

fn replaced(source: &Attributes, requested: Attributes, metadata: bool, tags: bool) -> Attributes {
    let mut attributes = if metadata { requested.clone() } else { source.clone() };
    attributes.tags = if tags { requested.tags } else { source.tags.clone() };
    attributes
}

/// The header `x-amz-copy-source-range` has only the form `bytes=first-last`.
fn source_range(header: Option<&str>, size: u64) -> S3Result<Range<u64>> {
    let Some(header) = header else { return Ok(0..size) };
    match dto::Range::parse(header) {
        Ok(dto::Range::Int { first, last: Some(last) }) if last < size => Ok(first..last + 1),
        Ok(dto::Range::Int { last: Some(_), .. }) => {
            Err(s3_error!(InvalidArgument, "the range {header} ends beyond the source's {size} bytes"))
        }
        _ => Err(s3_error!(InvalidArgument, "the copy source range is not of the form bytes=first-last")),
    }
}
