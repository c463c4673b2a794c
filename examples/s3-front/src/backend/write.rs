//! PutObject, DeleteObject, DeleteObjects.

use lepton_core::{DeleteRequest, Error, ErrorKind, PutOptions};
use s3s::dto::{
    self, DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject, ETagCondition,
    PutObjectInput, PutObjectOutput,
};
use s3s::{S3Error, S3Request, S3Response, S3Result, s3_error};

use super::attributes::{add_checksums, refuse_unsupported, requested, s3_etag};
use super::error::{IntoS3 as _, s3_error_of};
use super::ingest::{echo, ingest};
use super::{Backend, BucketState, condition, versions};

/// Maximum number of keys in one DeleteObjects, as in Amazon S3.
const DELETE_LIMIT: usize = 1000;

impl Backend {
    pub(super) async fn put(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        refuse_unsupported(&request.headers)?;
        let input = request.input;
        let bucket = self.bucket(&input.bucket)?;
        let (storage, key) = (&bucket.storage, bucket.key(&input.key)?);
        if input.write_offset_bytes.is_some() {
            return Err(s3_error!(NotImplemented, "this server does not append"));
        }
        let condition = condition::of_write(storage, &key, input.if_match.as_ref(), input.if_none_match.as_ref());
        let options = PutOptions::new()
            .precondition(condition.await?)
            .attributes(requested(&request.headers, input.metadata)?)
            .storage_class(input.storage_class.map(|class| class.as_str().to_owned()));
        let ingested = ingest(input.body, &request.headers, request.trailing_headers).await?;
        let receipt = storage.put(&key, ingested.body, options).await.s3()?;
        let output = PutObjectOutput {
            e_tag: receipt.etag.as_ref().map(s3_etag),
            version_id: receipt.version.map(|version| version.as_str().to_owned()),
            ..Default::default()
        };
        let mut response = S3Response::new(output);
        add_checksums(&receipt.checksums, &mut response.headers);
        echo(&ingested.verified, &mut response.headers);
        Ok(response)
    }

    pub(super) async fn delete(&self, input: DeleteObjectInput) -> S3Result<S3Response<DeleteObjectOutput>> {
        let bucket = self.bucket(&input.bucket)?;
        let (storage, key) = (&bucket.storage, bucket.key(&input.key)?);
        if input.if_match_size.is_some() || input.if_match_last_modified_time.is_some() {
            return Err(s3_error!(NotImplemented, "a delete takes no condition but If-Match"));
        }
        let mut request =
            DeleteRequest::new(key.clone()).version(versions::named(storage, input.version_id.as_deref()));
        if let Some(wanted) = &input.if_match {
            match condition::of_delete(storage, &key, wanted).await? {
                Some(etag) => request = request.if_match(Some(etag)),
                None => return Ok(S3Response::new(DeleteObjectOutput::default())),
            }
        }
        let results = storage.delete(vec![request]).await.s3()?;
        results.into_iter().next().unwrap_or_else(no_result).s3()?;
        Ok(S3Response::new(DeleteObjectOutput { version_id: input.version_id, ..Default::default() }))
    }

    pub(super) async fn delete_many(&self, input: DeleteObjectsInput) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let bucket = self.bucket(&input.bucket)?;
        let storage = &bucket.storage;
        let objects = input.delete.objects;
        if objects.len() > DELETE_LIMIT {
            return Err(s3_error!(MalformedXML, "{} keys; at most {DELETE_LIMIT} are deleted at once", objects.len()));
        }
        let quiet = input.delete.quiet == Some(true);
        let (mut deleted, mut errors) = (Vec::new(), Vec::new());
        for batch in objects.chunks(storage.capabilities().delete_batch.max(1)) {
            let mut sent = Vec::new();
            let mut requests = Vec::new();
            for object in batch {
                match deletion(bucket, object).await {
                    Ok(Some(request)) => {
                        sent.push(object);
                        requests.push(request);
                    }
                    Ok(None) => deleted.push(gone(object)),
                    Err(error) => errors.push(failed(object, &error)),
                }
            }
            let mut results = storage.delete(requests).await.s3()?.into_iter();
            for object in sent {
                match results.next().unwrap_or_else(no_result) {
                    Ok(()) => deleted.push(gone(object)),
                    Err(error) => errors.push(failed(object, &s3_error_of(&error))),
                }
            }
        }
        let deleted = (!quiet).then_some(deleted);
        Ok(S3Response::new(DeleteObjectsOutput { deleted, errors: Some(errors), ..Default::default() }))
    }
}

async fn deletion(bucket: &BucketState, object: &dto::ObjectIdentifier) -> S3Result<Option<DeleteRequest>> {
    let (storage, key) = (&bucket.storage, bucket.key(&object.key)?);
    let version = versions::named(storage, object.version_id.as_deref());
    let request = DeleteRequest::new(key.clone()).version(version);
    let Some(etag) = object.e_tag.clone() else { return Ok(Some(request)) };
    let etag = condition::of_delete(storage, &key, &ETagCondition::ETag(etag)).await?;
    Ok(etag.map(|etag| request.if_match(Some(etag))))
}

fn no_result() -> lepton_core::Result<()> {
    Err(Error::new(ErrorKind::Unexpected, "the storage gave no result for this key"))
}

fn gone(object: &dto::ObjectIdentifier) -> DeletedObject {
    DeletedObject { key: Some(object.key.clone()), version_id: object.version_id.clone(), ..Default::default() }
}

fn failed(object: &dto::ObjectIdentifier, error: &S3Error) -> dto::Error {
    dto::Error {
        key: Some(object.key.clone()),
        version_id: object.version_id.clone(),
        code: Some(error.code().as_str().to_owned()),
        message: error.message().map(str::to_owned),
    }
}
