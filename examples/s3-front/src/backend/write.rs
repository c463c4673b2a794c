//! PutObject, DeleteObject, DeleteObjects.

use http::header::ETAG;
use http::{Response, StatusCode};
use lepton_core::{DeleteRequest, Error, ErrorKind, ObjectKey, PutOptions};

use super::attributes::{add_checksums, insert, quoted, refuse_unsupported, requested};
use super::condition::Wanted;
use super::{Backend, BucketState, condition, versions};
use crate::call::Call;
use crate::payload::Payload;
use crate::protocol::{self, Body, Element, IntoS3 as _, S3Error, S3Result, Xml, s3_error, s3_error_of};

/// Maximum number of keys in one DeleteObjects, as in Amazon S3.
const DELETE_LIMIT: usize = 1000;

impl Backend {
    pub(super) async fn put(&self, call: Call<'_>, payload: Payload) -> S3Result<Response<Body>> {
        refuse_unsupported(call)?;
        let bucket = self.bucket(call.bucket())?;
        let (storage, key) = (&bucket.storage, bucket.key(call.key()?)?);
        let options = PutOptions::new()
            .precondition(condition::of_write(storage, &key, call).await?)
            .attributes(requested(call)?)
            .storage_class(call.header("x-amz-storage-class")?.map(str::to_owned));
        let ingested = payload.ingest(call.headers).await?;
        let receipt = storage.put(&key, ingested.body.clone(), options).await.s3()?;
        let mut response = protocol::empty(StatusCode::OK);
        insert(&mut response, ETAG, receipt.etag.as_ref().map(quoted));
        insert(&mut response, "x-amz-version-id", receipt.version.as_ref());
        add_checksums(&receipt.checksums, response.headers_mut());
        ingested.echo(response.headers_mut());
        Ok(response)
    }

    pub(super) async fn delete(&self, call: Call<'_>) -> S3Result<Response<Body>> {
        refuse_unsupported(call)?;
        let bucket = self.bucket(call.bucket())?;
        let (storage, key) = (&bucket.storage, bucket.key(call.key()?)?);
        let version = call.query.text("versionId")?;
        let mut response = protocol::empty(StatusCode::NO_CONTENT);
        let mut request = DeleteRequest::new(key.clone()).version(versions::named(storage, version.clone()));
        if let Some(wanted) = Wanted::of(call, "if-match")? {
            match condition::of_delete(storage, &key, &wanted).await? {
                Some(etag) => request = request.if_match(Some(etag)),
                None => return Ok(response),
            }
        }
        let results = storage.delete(vec![request]).await.s3()?;
        results.into_iter().next().unwrap_or_else(no_result).s3()?;
        insert(&mut response, "x-amz-version-id", version);
        Ok(response)
    }

    pub(super) async fn delete_many(&self, call: Call<'_>, payload: Payload) -> S3Result<Response<Body>> {
        let bucket = self.bucket(call.bucket())?;
        let storage = &bucket.storage;
        let document = Element::parse(&payload.document(call.headers).await?, "Delete")?;
        let objects: Vec<Named> = document.children("Object").map(Named::read).collect::<S3Result<_>>()?;
        if objects.is_empty() || objects.len() > DELETE_LIMIT {
            return Err(s3_error!(MalformedXML, "{} keys; 1 to {DELETE_LIMIT} are deleted at once", objects.len()));
        }
        let (mut deleted, mut errors) = (Vec::new(), Vec::new());
        for batch in objects.chunks(storage.capabilities().delete_batch.max(1)) {
            let mut sent = Vec::new();
            let mut requests = Vec::new();
            for object in batch {
                match object.deletion(bucket).await {
                    Ok(Some(request)) => {
                        sent.push(object);
                        requests.push(request);
                    }
                    Ok(None) => deleted.push(object),
                    Err(error) => errors.push((object, error)),
                }
            }
            let mut results = storage.delete(requests).await.s3()?.into_iter();
            for object in sent {
                match results.next().unwrap_or_else(no_result) {
                    Ok(()) => deleted.push(object),
                    Err(error) => errors.push((object, s3_error_of(&error))),
                }
            }
        }
        if document.child("Quiet") == Some("true") {
            deleted.clear();
        }
        Ok(protocol::with_document(result(&deleted, &errors)))
    }
}

fn result(deleted: &[&Named], errors: &[(&Named, S3Error)]) -> Xml {
    Xml::document("DeleteResult", |xml| {
        for object in deleted {
            xml.element("Deleted", |xml| object.write(xml));
        }
        for (object, error) in errors {
            xml.element("Error", |xml| {
                object.write(xml);
                xml.text("Code", &error.code);
                xml.text("Message", &error.message);
            });
        }
    })
}

/// An object that DeleteObjects names.
struct Named {
    key: String,
    version: Option<String>,
    wanted: Option<Wanted>,
}

impl Named {
    fn read(object: &Element) -> S3Result<Self> {
        let key = object.child("Key").ok_or_else(|| s3_error!(MalformedXML, "an object has no key"))?;
        let version = object.child("VersionId").map(str::to_owned);
        let etag = object.child("ETag");
        if let Some(other) = ["LastModifiedTime", "Size"].into_iter().find(|name| object.child(name).is_some()) {
            return Err(s3_error!(NotImplemented, "a delete takes no condition but ETag, and there is {other}"));
        }
        Ok(Self { key: key.to_owned(), version, wanted: etag.map(Wanted::parse) })
    }

    /// The request to the storage; `None` if the object does not exist.
    async fn deletion(&self, bucket: &BucketState) -> S3Result<Option<DeleteRequest>> {
        let (storage, key) = (&bucket.storage, bucket.key(&ObjectKey::try_from(self.key.as_str()).s3()?)?);
        let request = DeleteRequest::new(key.clone()).version(versions::named(storage, self.version.clone()));
        let Some(wanted) = &self.wanted else { return Ok(Some(request)) };
        let etag = condition::of_delete(storage, &key, wanted).await?;
        Ok(etag.map(|etag| request.if_match(Some(etag))))
    }

    fn write(&self, xml: &mut Xml) {
        xml.text("Key", &self.key);
        xml.optional("VersionId", self.version.as_ref());
    }
}

fn no_result() -> lepton_core::Result<()> {
    Err(Error::new(ErrorKind::Unexpected, "the storage gave no result for this key"))
}
