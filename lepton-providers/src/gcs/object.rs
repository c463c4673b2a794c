//! One object: describe, read, write.

use futures_util::StreamExt as _;
use futures_util::future::join;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method};
use lepton_core::{
    Attributes, Body, ChecksumAlgorithm, Effect, Error, ErrorKind, GetOptions, GetReply, HeadOptions, ObjectInfo,
    ObjectKey, PutOptions, PutReceipt, Result, RetryClass, ServerCheck, VersionId,
};

use super::client::{Client, Request, Target, crc32c, generation, push_precondition};
use super::headers::{attributes, check_name, object_meta};
use super::resource::{CUSTOM_TIME, NewObject, Resource};
use crate::wire::attributes::{insert, text};
use crate::wire::encode::Query;
use crate::wire::payload::Payload;
use crate::wire::range::{insert_range, response_range};
use crate::wire::request::{check_key, malformed};
use crate::wire::time::parse_iso8601;

/// How often an object that is overwritten repeatedly is read, until its bytes and its
/// description belong to one generation.
const ATTEMPTS: u32 = 10;

impl Client {
    pub(super) async fn head(&self, key: &ObjectKey, options: HeadOptions) -> Result<ObjectInfo> {
        self.describe(key, options.version.as_ref().map(VersionId::as_str), "head").await
    }

    async fn describe(&self, key: &ObjectKey, generation: Option<&str>, operation: &'static str) -> Result<ObjectInfo> {
        let mut query = Query::new();
        if let Some(generation) = generation {
            query.push("generation", generation);
        }
        let request =
            Request::new(operation, Method::GET, Some(key)).target(Target::path(self.object(key))).query(query);
        let resource: Resource = self.send_for_json(request).await?;
        let meta = resource.meta().map_err(|why| self.about(malformed(why), operation, key))?;
        Ok(ObjectInfo::new(meta, resource.attributes()))
    }

    /// Adds bucket and key to an error.
    pub(super) fn about(&self, error: Error, operation: &'static str, key: &ObjectKey) -> Error {
        error.with_operation(operation).with_context("bucket", &self.bucket).with_context("key", key)
    }

    /// Reads an object. The headers do not hold all attributes, so a read of the whole
    /// object gets them from a description, which is requested concurrently. A range is
    /// usually one of many, so it gets only what the headers hold; so does a caller that
    /// needs no attributes.
    pub(super) async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<GetReply> {
        if options.range.is_some() || options.without_attributes {
            return self.media(key, &options).await;
        }
        let mut attempt = 1;
        loop {
            match self.whole(key, &options).await {
                Err(error) if error.kind() == ErrorKind::SourceChanged && attempt < ATTEMPTS => attempt += 1,
                reply => return reply,
            }
        }
    }

    async fn whole(&self, key: &ObjectKey, options: &GetOptions) -> Result<GetReply> {
        let version = options.version.as_ref().map(VersionId::as_str);
        let pinned = match (version, &options.if_match) {
            (Some(version), _) => Some(version),
            (None, Some(etag)) => Some(generation(etag).map_err(|error| self.about(error, "get", key))?),
            (None, None) => None,
        };
        let (reply, described) = join(self.media(key, options), self.describe(key, pinned, "get")).await;
        let mut reply = reply?;
        // The object may be overwritten between the two requests.
        let same = |info: &ObjectInfo| info.meta.version == reply.meta.version;
        let described = match described {
            Ok(info) if same(&info) => info,
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {
                let again = self.describe(key, reply.meta.version.as_ref().map(VersionId::as_str), "get").await;
                again.map_err(|error| overwritten(error, options.if_match.is_some()))?
            }
        };
        reply.attributes = described.attributes;
        reply.meta.storage_class = described.meta.storage_class;
        Ok(reply)
    }

    async fn media(&self, key: &ObjectKey, options: &GetOptions) -> Result<GetReply> {
        let named = |error: Error| self.about(error, "get", key);
        let (mut headers, mut query) = (HeaderMap::new(), Query::new().with("alt", "media"));
        if let Some(range) = &options.range {
            insert_range(&mut headers, range).map_err(named)?;
        }
        let expected = options.if_match.as_ref().map(generation).transpose().map_err(named)?;
        if let Some(generation) = expected {
            query.push("ifGenerationMatch", generation);
        }
        if let Some(version) = &options.version {
            query.push("generation", version.as_str());
        }
        let request = Request::new("get", Method::GET, Some(key)).target(Target::media(self.object(key)));
        let reply = self.send(request.query(query).headers(headers)).await?;
        let given = text(&reply.headers, "x-goog-generation");
        if expected.is_some() && given.as_deref() != expected {
            // An emulator may ignore the condition.
            let message = "the object is not the one that was expected";
            return Err(named(Error::new(ErrorKind::PreconditionFailed, message)));
        }
        if is_unpacked(&reply.headers) {
            let message = "the service unpacks this object, so that its bytes as they are stored cannot be had";
            return Err(named(Error::unsupported(message)));
        }
        let served = response_range(reply.status, &reply.headers, reply.body.len(), options.range.as_ref());
        let (range, size) = served.map_err(|why| named(malformed(why)).with_retry(RetryClass::Now))?;
        let info = ObjectInfo::new(object_meta(key, size, &reply.headers), attributes(&reply.headers));
        let (key, bucket) = (key.clone(), self.bucket.clone());
        let named =
            move |error: Error| error.with_operation("get").with_context("bucket", &bucket).with_context("key", &key);
        let body = reply.body.map(move |piece| piece.map_err(&named));
        Ok(GetReply::new(info, range, body.boxed()))
    }

    pub(super) async fn put(&self, key: &ObjectKey, body: Body, options: PutOptions) -> Result<PutReceipt> {
        check_key(&self.capabilities.keys, key, "put")?;
        let named = |error: Error| self.about(error, "put", key);
        self.check_attributes(&options.attributes).map_err(named)?;
        let mut query = Query::new().with("uploadType", "multipart");
        let condition = push_precondition(&mut query, &options.precondition).map_err(named)?;
        if let Some(kms) = &self.options.kms_key_name {
            query.push("kmsKeyName", kms);
        }
        let payload = Payload::buffer(&body, self.options.upload_buffer).await.map_err(named)?;
        let mut object = NewObject::new(key.as_str().unwrap_or_default(), &options.attributes);
        let ours = crc32c(&payload);
        object.crc32c = Some(ours.clone());
        object.storage_class = options.storage_class.as_deref().or(self.options.storage_class.as_deref());
        let object = object.json().map_err(named)?;
        let boundary = format!("lepton-{:016x}{:016x}", self.env.random(), self.env.random());
        let kind = options.attributes.content_type.as_deref().unwrap_or("application/octet-stream");
        let head = format!(
            "--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{object}\r\n--{boundary}\r\n\
             Content-Type: {kind}\r\n\r\n"
        );
        let payload = payload.framed(head.into(), format!("\r\n--{boundary}--\r\n").into());
        let mut headers = HeaderMap::new();
        insert(&mut headers, CONTENT_TYPE, &format!("multipart/related; boundary={boundary}")).map_err(named)?;
        let request = Request::new("put", Method::POST, Some(key))
            .target(Target::path(format!("/upload{}", self.objects())))
            .query(query)
            .headers(headers)
            .payload(payload)
            .condition(condition);
        let resource: Resource = self.send_for_json(request).await?;
        receipt(&resource, &ours).map_err(named)
    }

    /// Refuses attributes that the service does not keep.
    pub(super) fn check_attributes(&self, attributes: &Attributes) -> Result<()> {
        self.capabilities.check_attributes(attributes)?;
        attributes.user_metadata.keys().try_for_each(|name| check_name(name))?;
        let kind = attributes.content_type.as_deref().unwrap_or_default();
        if kind.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(Error::invalid_input(format!("content-type: {kind:?} holds control characters")));
        }
        match attributes.user_metadata.get(CUSTOM_TIME) {
            Some(time) if parse_iso8601(time).is_none() => {
                let message = format!("{CUSTOM_TIME}: {time:?} is no time such as 2030-01-01T00:00:00Z");
                return Err(Error::invalid_input(message));
            }
            _ => {}
        }
        Ok(())
    }
}

/// Whether the service decompressed the stored bytes.
fn is_unpacked(headers: &HeaderMap) -> bool {
    let packed =
        |name: &str| text(headers, name).is_some_and(|encoding| encoding.to_ascii_lowercase().contains("gzip"));
    packed("x-goog-stored-content-encoding") && !packed("content-encoding")
}

/// If the generation that is being read is gone, the object was overwritten.
fn overwritten(error: Error, pinned: bool) -> Error {
    match (error.kind(), pinned) {
        (ErrorKind::NotFound, true) => error.with_kind(ErrorKind::PreconditionFailed),
        (ErrorKind::NotFound, false) => error.with_kind(ErrorKind::SourceChanged).with_retry(RetryClass::Now),
        _ => error,
    }
}

/// The receipt of a written object, after comparing the service's CRC-32C with the local
/// one.
fn receipt(resource: &Resource, ours: &str) -> Result<PutReceipt> {
    let meta = resource.meta().map_err(|why| malformed(why).with_effect(Effect::Unknown))?;
    let check = match resource.crc32c() {
        Some(theirs) if theirs == ours => ServerCheck::Checksum(ChecksumAlgorithm::Crc32c),
        None => ServerCheck::None,
        Some(_) => {
            let message = "the service holds other bytes than were sent";
            return Err(Error::new(ErrorKind::ChecksumMismatch, message).with_effect(Effect::Applied));
        }
    };
    Ok(PutReceipt::new(check).etag(meta.etag).version(meta.version).checksums(meta.checksums))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_receipt_states_the_compared_checksum() {
        let resource = |crc32c: &str| -> Resource {
            let json = format!(r#"{{"name": "a", "size": "1", "generation": "1"{crc32c}}}"#);
            serde_json::from_str(&json).unwrap()
        };
        let check = receipt(&resource(r#", "crc32c": "AAAAAQ==""#), "AAAAAQ==").unwrap().check;
        assert_eq!(check, ServerCheck::Checksum(ChecksumAlgorithm::Crc32c));
        assert_eq!(receipt(&resource(""), "AAAAAQ==").unwrap().check, ServerCheck::None);
        let error = receipt(&resource(r#", "crc32c": "AAAAAg==""#), "AAAAAQ==").unwrap_err();
        assert_eq!((error.kind(), error.effect()), (ErrorKind::ChecksumMismatch, Effect::Applied));
        let nonsense: Resource = serde_json::from_str(r#"{"name": "a"}"#).unwrap();
        assert_eq!(receipt(&nonsense, "").unwrap_err().effect(), Effect::Unknown);
    }

    #[test]
    fn unpacked_bytes_are_found_out() {
        let mut headers = HeaderMap::new();
        headers.insert("x-goog-stored-content-encoding", HeaderValue::from_static("gzip"));
        assert!(is_unpacked(&headers));
        headers.insert("content-encoding", HeaderValue::from_static("gzip"));
        assert!(!is_unpacked(&headers));
    }
}
