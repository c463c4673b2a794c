//! Multipart uploads, in the XML protocol: "XML API multipart uploads".

use std::fmt::Write as _;
use std::sync::Arc;

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method};
use lepton_core::{
    Body, ChecksumAlgorithm, CompleteOptions, CreateUploadOptions, ETag, Effect, Error, ErrorKind, Multipart,
    ObjectKey, PartInfo, PartReceipt, PartSpec, Precondition, PutReceipt, Result, RetryClass, ServerCheck, Upload,
    UploadId, UploadInfo,
};

use super::client::{Client, LONG_TIMEOUT, Request, Target, crc32c};
use super::headers::{insert_attributes, object_meta};
use super::resource::checksum;
use super::storage::GcsStorage;
use crate::wire::attributes::{insert, text};
use crate::wire::encode::Query;
use crate::wire::pages::{entries, pages, says_more};
use crate::wire::payload::Payload;
use crate::wire::request::{check_key, malformed};
use crate::wire::time::parse_iso8601;
use crate::wire::xml::{Element, push_text};

#[async_trait]
impl Multipart for GcsStorage {
    async fn create(&self, key: &ObjectKey, options: CreateUploadOptions) -> Result<Upload> {
        let created = self.client.create_upload(key, &options).await;
        created.map_err(|error| self.client.about(error, "create_upload", key))
    }

    async fn upload_part(&self, upload: &Upload, part: PartSpec, body: Body) -> Result<PartReceipt> {
        let sent = self.client.upload_part(upload, &part, body).await;
        sent.map_err(|error| self.client.about(error, "upload_part", &upload.key).with_context("part", part.number))
    }

    fn list_parts(&self, upload: &Upload) -> BoxStream<'static, Result<PartInfo>> {
        let context = (Arc::clone(&self.client), upload.clone());
        entries(pages(context, 0, |(client, upload), after| async move { client.parts_page(&upload, after).await }))
    }

    async fn complete(&self, upload: &Upload, parts: Vec<PartReceipt>, options: CompleteOptions) -> Result<PutReceipt> {
        let completed = self.client.complete(upload, &parts, &options).await;
        completed.map_err(|error| self.client.about(error, "complete", &upload.key))
    }

    async fn abort(&self, upload: &Upload) -> Result<()> {
        check_key(&self.client.capabilities.keys, &upload.key, "abort")?;
        let query = Query::new().with("uploadId", upload.id.as_str());
        let request = Request::new("abort", Method::DELETE, Some(&upload.key))
            .target(Target::path(self.client.plain(Some(&upload.key))));
        match self.client.send(request.query(query)).await {
            Ok(reply) => {
                reply.drain().await;
                Ok(())
            }
            Err(error) if matches!(error.kind(), ErrorKind::UploadNotFound | ErrorKind::NotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn list_uploads(&self, key: &ObjectKey) -> BoxStream<'static, Result<UploadInfo>> {
        let context = (Arc::clone(&self.client), key.clone());
        entries(pages(context, None, |(client, key), after| async move { client.uploads_page(&key, after).await }))
    }
}

/// Where the next page of uploads begins: after this key and upload.
type Marker = Option<(Vec<u8>, Vec<u8>)>;

impl Client {
    async fn create_upload(&self, key: &ObjectKey, options: &CreateUploadOptions) -> Result<Upload> {
        check_key(&self.capabilities.keys, key, "create_upload")?;
        self.check_attributes(&options.attributes)?;
        let mut headers = HeaderMap::new();
        insert_attributes(&mut headers, &options.attributes)?;
        let class = options.storage_class.as_deref().or(self.options.storage_class.as_deref());
        for (name, value) in
            [("x-goog-storage-class", class), ("x-goog-encryption-kms-key-name", self.options.kms_key_name.as_deref())]
        {
            if let Some(value) = value {
                insert(&mut headers, name, value)?;
            }
        }
        let request =
            Request::new("create_upload", Method::POST, Some(key)).target(Target::path(self.plain(Some(key))));
        let request = request.query(Query::new().with("uploads", "")).headers(headers);
        let id = |_: &HeaderMap, root: &Element<'_>| {
            root.text("UploadId").map(UploadId::new).ok_or_else(|| malformed("an upload without an id"))
        };
        let id = self.send_for_xml(request, "InitiateMultipartUploadResult", id).await?;
        Ok(Upload::new(key.clone(), id))
    }

    async fn upload_part(&self, upload: &Upload, part: &PartSpec, body: Body) -> Result<PartReceipt> {
        if body.len() != part.len() {
            let message = format!("the body has {} bytes and the part {}", body.len(), part.len());
            return Err(Error::invalid_input(message));
        }
        let payload = Payload::buffer(&body, self.options.upload_buffer).await?;
        let mut headers = HeaderMap::new();
        let ours = checksum(ChecksumAlgorithm::Crc32c, &crc32c(&payload), 4);
        let hash = format!("crc32c={}", crc32c(&payload));
        insert(&mut headers, "x-goog-hash", &hash)?;
        let query = Query::new().with("partNumber", part.number.to_string()).with("uploadId", upload.id.as_str());
        let request = Request::new("upload_part", Method::PUT, Some(&upload.key))
            .target(Target::path(self.plain(Some(&upload.key))));
        let reply = self.send(request.query(query).headers(headers).payload(payload)).await?;
        let tag = text(&reply.headers, "etag")
            .ok_or_else(|| malformed("a part without a tag").with_effect(Effect::Unknown))?;
        let stated = object_meta(&upload.key, 0, &reply.headers).checksums;
        let theirs = stated.into_iter().find(|one| one.algorithm == ChecksumAlgorithm::Crc32c);
        reply.drain().await;
        if theirs.is_some() && theirs != ours {
            let message = "the service holds other bytes than were sent";
            return Err(Error::new(ErrorKind::ChecksumMismatch, message).with_retry(RetryClass::Now));
        }
        Ok(PartReceipt::new(part.number, part.len(), ETag::new(tag)).checksum(theirs))
    }

    async fn parts_page(&self, upload: &Upload, after: u32) -> Result<(Vec<PartInfo>, Option<u32>)> {
        check_key(&self.capabilities.keys, &upload.key, "list_parts")?;
        let mut query = Query::new().with("uploadId", upload.id.as_str());
        if after > 0 {
            query.push("part-number-marker", after.to_string());
        }
        let request = Request::new("list_parts", Method::GET, Some(&upload.key))
            .target(Target::path(self.plain(Some(&upload.key))));
        self.send_for_xml(request.query(query), "ListPartsResult", |_, root| parts(root, after)).await
    }

    async fn complete(&self, upload: &Upload, parts: &[PartReceipt], options: &CompleteOptions) -> Result<PutReceipt> {
        if options.precondition != Precondition::None {
            return Err(Error::unsupported("Google Cloud Storage completes uploads in parts without conditions"));
        }
        if parts.is_empty() {
            let message = "an upload cannot be completed without parts; put an empty object instead";
            return Err(Error::invalid_input(message));
        }
        let mut headers = HeaderMap::new();
        insert(&mut headers, CONTENT_TYPE, "application/xml")?;
        let request = Request::new("complete", Method::POST, Some(&upload.key))
            .target(Target::path(self.plain(Some(&upload.key))))
            .response_timeout(LONG_TIMEOUT)
            .query(Query::new().with("uploadId", upload.id.as_str()))
            .headers(headers)
            .payload(Payload::document(completion(parts).into()));
        let meta = |headers: &HeaderMap, _: &Element<'_>| Ok(object_meta(&upload.key, 0, headers));
        let meta = self.send_for_xml(request, "CompleteMultipartUploadResult", meta).await?;
        Ok(PutReceipt::new(ServerCheck::None).etag(meta.etag).version(meta.version).checksums(meta.checksums))
    }

    async fn uploads_page(&self, key: &ObjectKey, after: Marker) -> Result<(Vec<UploadInfo>, Option<Marker>)> {
        let mut query = Query::new().with("uploads", "").with("prefix", key.as_bytes());
        if let Some((key, upload)) = after {
            query.push("key-marker", key);
            query.push("upload-id-marker", upload);
        }
        let request =
            Request::new("list_uploads", Method::GET, Some(key)).target(Target::path(self.plain(None))).query(query);
        self.send_for_xml(request, "ListMultipartUploadsResult", |_, root| uploads(root, key)).await
    }
}

fn completion(parts: &[PartReceipt]) -> String {
    let mut text = String::from("<CompleteMultipartUpload>");
    for part in parts {
        // Writing to a String cannot fail.
        let _ = write!(text, "<Part><PartNumber>{}</PartNumber><ETag>", part.number);
        let mut tag = String::new();
        push_text(&mut tag, part.etag.as_str().as_bytes());
        // The service compares tags as written, with plain quotes.
        text.push_str(&tag.replace("&quot;", "\""));
        text.push_str("</ETag></Part>");
    }
    text.push_str("</CompleteMultipartUpload>");
    text
}

pub(super) fn parts(root: &Element<'_>, after: u32) -> Result<(Vec<PartInfo>, Option<u32>)> {
    let (mut parts, mut last) = (Vec::new(), after);
    for part in root.children("Part") {
        let fields = (part.parsed::<u32>("PartNumber"), part.parsed("Size"), part.text("ETag"));
        let (Some(number), Some(size), Some(etag)) = fields else {
            return Err(malformed("a part without a number, size or tag"));
        };
        if number <= last {
            return Err(malformed("parts that do not ascend"));
        }
        last = number;
        parts.push(PartReceipt::new(number, size, ETag::new(etag)));
    }
    let more = says_more(root)?;
    if more && parts.is_empty() {
        return Err(malformed("an empty page of parts that says that there are more"));
    }
    Ok((parts, more.then_some(last)))
}

pub(super) fn uploads(root: &Element<'_>, key: &ObjectKey) -> Result<(Vec<UploadInfo>, Option<Marker>)> {
    let (mut found, mut passed) = (Vec::new(), false);
    for upload in root.children("Upload") {
        let id = upload.text("UploadId").ok_or_else(|| malformed("an upload without an id"))?;
        let name = upload.bytes("Key").unwrap_or_default();
        passed |= name > key.as_bytes();
        if name == key.as_bytes() {
            let mut info = UploadInfo::new(Upload::new(key.clone(), UploadId::new(id)));
            info.initiated = upload.text("Initiated").and_then(parse_iso8601);
            found.push(info);
        }
    }
    if !says_more(root)? || passed {
        return Ok((found, None));
    }
    let marker = |name: &str| root.bytes(name).map(<[u8]>::to_vec).filter(|marker| !marker.is_empty());
    let (Some(key), Some(upload)) = (marker("NextKeyMarker"), marker("NextUploadIdMarker")) else {
        return Err(malformed("a page of uploads that says that there are more but not where"));
    };
    Ok((found, Some(Some((key, upload)))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_ascend_and_go_on_behind_the_last() {
        let page = b"<ListPartsResult><IsTruncated>true</IsTruncated>\
            <Part><PartNumber>2</PartNumber><Size>5</Size><ETag>\"a\"</ETag></Part></ListPartsResult>";
        let page = Element::parse(page).unwrap();
        let (found, next) = parts(&page, 1).unwrap();
        assert_eq!((found[0].number, found[0].size, next), (2, 5, Some(2)));
        assert!(parts(&page, 2).is_err());
    }

    #[test]
    fn uploads_of_other_keys_are_left_out() {
        let page = |more: bool| {
            format!(
                "<ListMultipartUploadsResult><IsTruncated>{more}</IsTruncated><NextKeyMarker>a</NextKeyMarker>\
                 <NextUploadIdMarker>u</NextUploadIdMarker><Upload><Key>a</Key><UploadId>u</UploadId>\
                 <Initiated>2021-01-01T00:00:00.000Z</Initiated></Upload></ListMultipartUploadsResult>"
            )
        };
        let key = ObjectKey::try_from("a").unwrap();
        let (more, last) = (page(true), page(false));
        let (more, last) = (Element::parse(more.as_bytes()).unwrap(), Element::parse(last.as_bytes()).unwrap());
        let (found, next) = uploads(&more, &key).unwrap();
        assert!(found[0].initiated.is_some() && next.is_some());
        let other = ObjectKey::try_from("A").unwrap();
        let (found, next) = uploads(&more, &other).unwrap();
        assert!(found.is_empty() && next.is_none());
        assert!(uploads(&last, &key).unwrap().1.is_none());
    }

    #[test]
    fn tags_go_back_with_plain_quotes() {
        let parts = [PartReceipt::new(1, 1, ETag::new("\"a&b\""))];
        assert!(completion(&parts).contains("<ETag>\"a&amp;b\"</ETag>"), "{}", completion(&parts));
    }
}
