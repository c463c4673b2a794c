//! The S3 operations on a storage for each bucket.
//!
//! - `read`: GetObject, HeadObject, GetObjectTagging
//! - `write`: PutObject, DeleteObject, DeleteObjects
//! - `ingest`: request bodies, checked as they pass
//! - `uploads`: multipart uploads; `staging`: for storages without them
//! - `copy`: CopyObject, UploadPartCopy
//! - `list`: ListObjects, ListObjectsV2, `versions`: ListObjectVersions
//! - `attributes`, `condition`, `error`: conversion between S3's and Lepton's types

mod attributes;
mod condition;
mod copy;
mod error;
mod ingest;
mod list;
mod read;
mod staging;
mod uploads;
mod versions;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use lepton_core::{Multipart, ObjectKey, SharedStorage};
use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};

use error::IntoS3 as _;
use staging::Staging;

/// A storage for each bucket.
pub(crate) struct Backend {
    buckets: BTreeMap<String, BucketState>,
    region: String,
    started: SystemTime,
}

pub(crate) struct BucketState {
    storage: SharedStorage,
    /// Holds uploads if the storage cannot.
    staging: Staging,
    staged: bool,
    /// The keys for which uploads were started through this server: a storage can list the
    /// uploads of a single key only.
    upload_keys: Mutex<BTreeSet<ObjectKey>>,
}

impl BucketState {
    fn new(storage: SharedStorage) -> Self {
        let staged = storage.multipart().is_none() || storage.capabilities().parts_by_place;
        Self { staging: Staging::new(storage.clone()), staged, storage, upload_keys: Mutex::default() }
    }

    /// The key of a request, unless it is internal to the server.
    fn key(&self, key: &str) -> S3Result<ObjectKey> {
        if self.hides(key.as_bytes()) {
            return Err(s3_error!(InvalidArgument, "this server keeps uploads below {}", staging::STAGING));
        }
        ObjectKey::new(key.as_bytes().to_vec()).s3()
    }

    /// Whether a key or prefix belongs to uploads in progress.
    fn hides(&self, key: &[u8]) -> bool {
        self.staged && key.starts_with(staging::STAGING.as_bytes())
    }

    fn multipart(&self) -> &dyn Multipart {
        self.storage.multipart().filter(|_| !self.staged).unwrap_or(&self.staging)
    }

    fn with_upload_keys<T>(&self, work: impl FnOnce(&mut BTreeSet<ObjectKey>) -> T) -> T {
        work(&mut self.upload_keys.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Backend {
    pub(crate) fn new(buckets: BTreeMap<String, SharedStorage>, region: String) -> Self {
        let buckets = buckets.into_iter().map(|(name, storage)| (name, BucketState::new(storage))).collect();
        Self { buckets, region, started: SystemTime::now() }
    }

    fn bucket(&self, name: &str) -> S3Result<&BucketState> {
        self.buckets.get(name).ok_or_else(|| s3_error!(NoSuchBucket, "there is no bucket {name}"))
    }
}

/// A size in the type of S3.
fn signed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

#[async_trait::async_trait]
impl S3 for Backend {
    async fn list_buckets(&self, _: S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
        let bucket = |name: &String| Bucket {
            name: Some(name.clone()),
            creation_date: Some(self.started.into()),
            ..Default::default()
        };
        let buckets = Some(self.buckets.keys().map(bucket).collect());
        Ok(S3Response::new(ListBucketsOutput { buckets, ..Default::default() }))
    }

    async fn head_bucket(&self, request: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        self.bucket(&request.input.bucket)?;
        let bucket_region = Some(self.region.clone());
        Ok(S3Response::new(HeadBucketOutput { bucket_region, ..Default::default() }))
    }

    async fn create_bucket(&self, request: S3Request<CreateBucketInput>) -> S3Result<S3Response<CreateBucketOutput>> {
        match self.bucket(&request.input.bucket) {
            Ok(_) => Err(s3_error!(BucketAlreadyOwnedByYou, "the bucket exists")),
            Err(_) => Err(s3_error!(NotImplemented, "the buckets of this server are set when it starts")),
        }
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        self.bucket(&request.input.bucket)?;
        // S3 represents its oldest region by an empty value.
        let location = (self.region != "us-east-1").then(|| self.region.clone().into());
        Ok(S3Response::new(GetBucketLocationOutput { location_constraint: location }))
    }

    async fn get_bucket_versioning(
        &self,
        request: S3Request<GetBucketVersioningInput>,
    ) -> S3Result<S3Response<GetBucketVersioningOutput>> {
        self.versioning(request.input).await
    }

    async fn list_objects(&self, request: S3Request<ListObjectsInput>) -> S3Result<S3Response<ListObjectsOutput>> {
        self.list_v1(request.input).await
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        self.list_v2(request.input).await
    }

    async fn list_object_versions(
        &self,
        request: S3Request<ListObjectVersionsInput>,
    ) -> S3Result<S3Response<ListObjectVersionsOutput>> {
        self.list_versions(request.input).await
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        self.head(request).await
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        self.get(request).await
    }

    async fn get_object_tagging(
        &self,
        request: S3Request<GetObjectTaggingInput>,
    ) -> S3Result<S3Response<GetObjectTaggingOutput>> {
        self.tagging(request.input).await
    }

    async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        self.put(request).await
    }

    async fn copy_object(&self, request: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
        self.copy(request).await
    }

    async fn delete_object(&self, request: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.delete(request.input).await
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        self.delete_many(request.input).await
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        self.create_upload(request).await
    }

    async fn upload_part(&self, request: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        self.put_part(request).await
    }

    async fn upload_part_copy(
        &self,
        request: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        self.copy_part(request).await
    }

    async fn list_parts(&self, request: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
        self.parts(request.input).await
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        self.complete(request.input).await
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        self.abort(request.input).await
    }

    async fn list_multipart_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        self.uploads(request.input).await
    }
}
