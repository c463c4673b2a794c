//! The S3 operations on a storage for each bucket.
//!
//! - `read`: GetObject, HeadObject, GetObjectTagging
//! - `write`: PutObject, DeleteObject, DeleteObjects
//! - `uploads`: multipart uploads; `staging`: for storages without them
//! - `copy`: CopyObject, UploadPartCopy
//! - `list`: ListObjects, ListObjectsV2, `versions`: ListObjectVersions
//! - `attributes`, `condition`, `range`: conversion between headers and Lepton's types

mod attributes;
mod condition;
mod copy;
mod list;
mod range;
mod read;
mod staging;
mod uploads;
mod versions;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use http::{Method, Response, StatusCode};
use lepton_core::{Multipart, ObjectKey, SharedStorage};

use crate::call::Call;
use crate::payload::Payload;
use crate::protocol::{self, Body, S3Result, Xml, s3_error};
use attributes::insert;
use staging::Staging;

/// The methods of S3's operations.
const KNOWN: [Method; 5] = [Method::GET, Method::HEAD, Method::PUT, Method::POST, Method::DELETE];

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
        let staged = storage.multipart().is_none() || storage.capabilities().positional_parts;
        Self { staging: Staging::new(storage.clone()), staged, storage, upload_keys: Mutex::default() }
    }

    /// The key of a request, unless it is internal to the server.
    fn key(&self, key: &ObjectKey) -> S3Result<ObjectKey> {
        if self.hides(key.as_bytes()) {
            return Err(s3_error!(InvalidArgument, "this server keeps uploads below {}", staging::STAGING));
        }
        Ok(key.clone())
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

    /// Carries out an operation of [`RequestInfo`](crate::RequestInfo).
    pub(crate) async fn carry_out(
        &self,
        operation: &'static str,
        call: Call<'_>,
        payload: Payload,
    ) -> S3Result<Response<Body>> {
        match operation {
            "ListBuckets" => Ok(self.list_buckets()),
            "HeadBucket" => self.head_bucket(call),
            "CreateBucket" => self.create_bucket(call),
            "GetBucketLocation" => self.location(call),
            "GetBucketVersioning" => self.versioning(call).await,
            "ListObjects" => self.list_v1(call).await,
            "ListObjectsV2" => self.list_v2(call).await,
            "ListObjectVersions" => self.list_versions(call).await,
            "HeadObject" => self.head(call).await,
            "GetObject" => self.get(call).await,
            "GetObjectTagging" => self.tagging(call).await,
            "PutObject" => self.put(call, payload).await,
            "CopyObject" => self.copy(call).await,
            "DeleteObject" => self.delete(call).await,
            "DeleteObjects" => self.delete_many(call, payload).await,
            "CreateMultipartUpload" => self.create_upload(call).await,
            "UploadPart" => self.put_part(call, payload).await,
            "UploadPartCopy" => self.copy_part(call).await,
            "ListParts" => self.parts(call).await,
            "CompleteMultipartUpload" => self.complete(call, payload).await,
            "AbortMultipartUpload" => self.abort(call).await,
            "ListMultipartUploads" => self.uploads(call).await,
            _ if !KNOWN.contains(call.method()) => Err(s3_error!(MethodNotAllowed, "S3 has no {}", call.method())),
            _ => Err(s3_error!(NotImplemented, "this server does not have this operation")),
        }
    }

    fn list_buckets(&self) -> Response<Body> {
        protocol::with_document(Xml::document("ListAllMyBucketsResult", |xml| {
            xml.element("Buckets", |xml| {
                for name in self.buckets.keys() {
                    xml.element("Bucket", |xml| {
                        xml.text("Name", name);
                        xml.time("CreationDate", self.started);
                    });
                }
            });
        }))
    }

    fn head_bucket(&self, call: Call<'_>) -> S3Result<Response<Body>> {
        self.bucket(call.bucket())?;
        let mut response = protocol::empty(StatusCode::OK);
        insert(&mut response, "x-amz-bucket-region", Some(&self.region));
        Ok(response)
    }

    fn create_bucket(&self, call: Call<'_>) -> S3Result<Response<Body>> {
        match self.bucket(call.bucket()) {
            Ok(_) => Err(s3_error!(BucketAlreadyOwnedByYou, "the bucket exists")),
            Err(_) => Err(s3_error!(NotImplemented, "the buckets of this server are set when it starts")),
        }
    }

    fn location(&self, call: Call<'_>) -> S3Result<Response<Body>> {
        self.bucket(call.bucket())?;
        // S3 represents its oldest region by an empty value.
        let region = if self.region == "us-east-1" { "" } else { &self.region };
        Ok(protocol::with_document(Xml::document("LocationConstraint", |xml| xml.write(region))))
    }

    fn bucket(&self, name: &str) -> S3Result<&BucketState> {
        self.buckets.get(name).ok_or_else(|| s3_error!(NoSuchBucket, "there is no bucket {name}"))
    }
}
