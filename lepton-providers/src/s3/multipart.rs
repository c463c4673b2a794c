//! Uploads in parts.

use std::fmt::Write as _;
use std::sync::Arc;

use async_trait::async_trait;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use futures_core::stream::BoxStream;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method};
use lepton_core::{
    Body, ChecksumAlgorithm, ChecksumScope, CompleteOptions, CreateUploadOptions, ETag, Effect, Error, ErrorKind,
    Multipart, ObjectKey, PartInfo, PartReceipt, PartSpec, PutReceipt, Result, ServerCheck, StoredChecksum, Upload,
    UploadId, UploadInfo,
};

use super::client::{Client, Request, expect_success};
use super::headers::{CHECKSUMS, checksum, checksums, etag, version};
use super::list::{Names, expect_root};
use super::payload::Payload;
use super::presets;
use super::storage::S3Storage;
use crate::wire::attributes::{header, insert, insert_precondition};
use crate::wire::encode::Query;
use crate::wire::pages::{entries, pages, says_more};
use crate::wire::refusal::Condition;
use crate::wire::request::{check_key, malformed, unexpected};
use crate::wire::secrets::Secrets;
use crate::wire::time::parse_iso8601;
use crate::wire::xml::{Element, push_text};

#[async_trait]
impl Multipart for S3Storage {
    async fn create(&self, key: &ObjectKey, options: CreateUploadOptions) -> Result<Upload> {
        self.client.create_upload(key, options).await
    }

    async fn upload_part(&self, upload: &Upload, part: PartSpec, body: Body) -> Result<PartReceipt> {
        let operation = "upload_part";
        let result = self.client.upload_part(upload, &part, body).await;
        result.map_err(|error| error.with_operation(operation).with_context("part", part.number))
    }

    fn list_parts(&self, upload: &Upload) -> BoxStream<'static, Result<PartInfo>> {
        let context = (Arc::clone(&self.client), upload.clone());
        entries(pages(
            context,
            0,
            |(client, upload), after| async move { client.list_parts_page(&upload, after).await },
        ))
    }

    async fn complete(&self, upload: &Upload, parts: Vec<PartReceipt>, options: CompleteOptions) -> Result<PutReceipt> {
        self.client.complete_upload(upload, &parts, &options).await
    }

    async fn abort(&self, upload: &Upload) -> Result<()> {
        let query = Query::new().with("uploadId", upload.id.as_str());
        let request = Request::new("abort", Method::DELETE, Some(&upload.key)).query(query);
        match self.client.send(request).await {
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
        entries(pages(context, None, |(client, key), after| async move { client.list_uploads_page(&key, after).await }))
    }
}

/// Where the next page of uploads begins: after this key and upload.
type UploadMarker = Option<(Vec<u8>, Vec<u8>)>;

impl Client {
    async fn create_upload(&self, key: &ObjectKey, options: CreateUploadOptions) -> Result<Upload> {
        check_key(&self.capabilities.keys, key, "create_upload")?;
        self.prove(key).await?;
        let headers = self.write_headers(&options.attributes, options.storage_class.as_deref());
        let mut headers = headers.map_err(|error| error.with_operation("create_upload").with_context("key", key))?;
        headers.extend(self.options.customer_key.clone());
        let refuses_copies = presets::checksums_refuse_copied_parts(&self.capabilities);
        if let Some(sum) = self.framings().announced().filter(|_| !(options.copied && refuses_copies)) {
            // Parts must carry the checksum that the upload announced, and no other.
            headers.extend([header("x-amz-checksum-algorithm", sum.name)]);
            headers.extend([header("x-amz-checksum-type", "FULL_OBJECT")]);
        }
        let query = Query::new().with("uploads", "");
        let request = Request::new("create_upload", Method::POST, Some(key)).query(query).headers(headers);
        let (_, document, secrets) = self.send_for_document(request).await?;
        let id = Element::parse(&document).and_then(|root| {
            expect_success(&root, &secrets)?;
            expect_root(&root, &["InitiateMultipartUploadResult"])?;
            root.text("UploadId").map(UploadId::new).ok_or_else(|| unexpected("an upload without an id"))
        });
        let named = |error: Error| error.with_operation("create_upload").with_context("key", key);
        let id = id.map_err(|error| named(secrets.hidden(error)).with_effect(Effect::Unknown))?;
        Ok(Upload::new(key.clone(), id))
    }

    async fn upload_part(&self, upload: &Upload, part: &PartSpec, body: Body) -> Result<PartReceipt> {
        if body.len() != part.len() {
            let message = format!("the body has {} bytes and the part {}", body.len(), part.len());
            return Err(Error::invalid_input(message).with_context("key", &upload.key));
        }
        let request = Request::new("upload_part", Method::PUT, Some(&upload.key))
            .query(part_query(upload, part.number))
            .headers(self.options.customer_key.clone())
            .payload(Payload::Part(body));
        let reply = self.send(request).await?;
        let etag = etag(&reply.headers).ok_or_else(|| {
            malformed("a part without a tag")
                .with_operation("upload_part")
                .with_context("key", &upload.key)
                .with_effect(Effect::Unknown)
        })?;
        let checksum = checksums(&reply.headers).into_iter().next();
        reply.drain().await;
        Ok(PartReceipt::new(part.number, part.len(), etag).checksum(checksum))
    }

    async fn list_parts_page(&self, upload: &Upload, after: u32) -> Result<(Vec<PartInfo>, Option<u32>)> {
        let mut query = Query::new().with("uploadId", upload.id.as_str());
        if after > 0 {
            query.push("part-number-marker", after.to_string());
        }
        let request = Request::new("list_parts", Method::GET, Some(&upload.key)).query(query);
        let (_, document, secrets) = self.send_for_document(request).await?;
        let parts = parts(&document, after).map_err(|error| secrets.hidden(error));
        parts.map_err(|error| error.with_operation("list_parts").with_context("key", &upload.key))
    }

    async fn complete_upload(
        &self,
        upload: &Upload,
        parts: &[PartReceipt],
        options: &CompleteOptions,
    ) -> Result<PutReceipt> {
        if parts.is_empty() {
            let message = "an upload cannot be completed without parts; put an empty object instead";
            return Err(Error::invalid_input(message).with_operation("complete").with_context("key", &upload.key));
        }
        let mut headers = self.options.customer_key.clone();
        insert(&mut headers, CONTENT_TYPE, "application/xml")?;
        let condition = insert_precondition(&mut headers, &options.precondition)?;
        if condition != Condition::None {
            let required = self.require(self.capabilities.conditional_complete, "conditional completion", "complete");
            required.map_err(|error| error.with_context("key", &upload.key))?;
        }
        let request = Request::new("complete", Method::POST, Some(&upload.key))
            .query(Query::new().with("uploadId", upload.id.as_str()))
            .headers(headers)
            .payload(Payload::Document(completion(parts)))
            .condition(condition);
        let (headers, document, secrets) = self.send_for_document(request).await?;
        completed(&headers, &document, &secrets).map_err(|error| {
            let error = secrets.hidden(error);
            let unknown =
                if error.kind() == ErrorKind::Unexpected { error.with_effect(Effect::Unknown) } else { error };
            crate::wire::refusal::for_condition(unknown, condition)
                .with_operation("complete")
                .with_context("key", &upload.key)
        })
    }

    async fn list_uploads_page(
        &self,
        key: &ObjectKey,
        after: UploadMarker,
    ) -> Result<(Vec<UploadInfo>, Option<UploadMarker>)> {
        let mut query = Query::new().with("uploads", "").with("prefix", key.as_bytes()).with("encoding-type", "url");
        if let Some((key, upload)) = after {
            query.push("key-marker", key);
            query.push("upload-id-marker", upload);
        }
        let request = Request::new("list_uploads", Method::GET, None).query(query);
        let (_, document, secrets) = self.send_for_document(request).await?;
        let uploads = uploads(&document, key).map_err(|error| secrets.hidden(error));
        uploads.map_err(|error| error.with_operation("list_uploads").with_context("key", key))
    }
}

pub(super) fn part_query(upload: &Upload, number: u32) -> Query {
    Query::new().with("partNumber", number.to_string()).with("uploadId", upload.id.as_str())
}

/// The element names of checksums in documents.
fn element_name(algorithm: ChecksumAlgorithm) -> Option<&'static str> {
    match algorithm {
        ChecksumAlgorithm::Crc64Nvme => Some("ChecksumCRC64NVME"),
        ChecksumAlgorithm::Crc32c => Some("ChecksumCRC32C"),
        ChecksumAlgorithm::Crc32 => Some("ChecksumCRC32"),
        ChecksumAlgorithm::Sha256 => Some("ChecksumSHA256"),
        ChecksumAlgorithm::Sha1 => Some("ChecksumSHA1"),
        _ => None,
    }
}

pub(super) fn document_checksums(element: &Element<'_>) -> Vec<StoredChecksum> {
    let kind = element.text("ChecksumType");
    let found = CHECKSUMS.iter().filter_map(|(_, algorithm)| {
        let text = element.text(element_name(*algorithm)?)?;
        checksum(*algorithm, text, kind)
    });
    found.collect()
}

fn completion(parts: &[PartReceipt]) -> Bytes {
    let mut text = String::from("<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for part in parts {
        // Writing to a String cannot fail.
        let _ = write!(text, "<Part><PartNumber>{}</PartNumber><ETag>", part.number);
        push_text(&mut text, part.etag.as_str().as_bytes());
        text.push_str("</ETag>");
        let full = part.checksum.as_ref().filter(|checksum| checksum.scope == ChecksumScope::Full);
        if let Some(checksum) = full
            && let Some(name) = element_name(checksum.algorithm)
        {
            let _ = write!(text, "<{name}>{}</{name}>", BASE64_STANDARD.encode(&checksum.value));
        }
        text.push_str("</Part>");
    }
    text.push_str("</CompleteMultipartUpload>");
    text.into()
}

pub(super) fn completed(headers: &HeaderMap, document: &[u8], secrets: &Secrets) -> Result<PutReceipt> {
    let root = Element::parse(document)?;
    expect_success(&root, secrets)?;
    expect_root(&root, &["CompleteMultipartUploadResult"])?;
    Ok(PutReceipt::new(ServerCheck::None)
        .etag(root.text("ETag").map(ETag::new))
        .version(version(headers))
        .checksums(document_checksums(&root)))
}

pub(super) fn parts(document: &[u8], after: u32) -> Result<(Vec<PartInfo>, Option<u32>)> {
    let root = Element::parse(document)?;
    expect_root(&root, &["ListPartsResult", "ListPartsResponse"])?;
    let mut parts = Vec::new();
    let mut last = after;
    for part in root.children("Part") {
        let fields = (part.parsed("PartNumber"), part.parsed("Size"), part.text("ETag"));
        let (Some(number), Some(size), Some(etag)) = fields else {
            return Err(unexpected("a part without a number, size or tag"));
        };
        if number <= last {
            return Err(unexpected(format!("part {number} is listed after part {last}")));
        }
        last = number;
        let checksum = document_checksums(part).into_iter().next();
        parts.push(PartReceipt::new(number, size, ETag::new(etag)).checksum(checksum));
    }
    let more = says_more(&root)?;
    if more && parts.is_empty() {
        return Err(unexpected("an empty page of parts says that there are more"));
    }
    Ok((parts, more.then_some(last)))
}

pub(super) fn uploads(document: &[u8], key: &ObjectKey) -> Result<(Vec<UploadInfo>, Option<UploadMarker>)> {
    let root = Element::parse(document)?;
    expect_root(&root, &["ListMultipartUploadsResult"])?;
    let names = Names::of(&root);
    let mut found = Vec::new();
    let mut passed = false;
    for upload in root.children("Upload") {
        let name = names.key(upload, "Key")?;
        passed |= name > *key;
        let id = upload.text("UploadId").ok_or_else(|| unexpected("an upload without an id"))?;
        if name == *key {
            let mut info = UploadInfo::new(Upload::new(name, UploadId::new(id)));
            info.initiated = upload.text("Initiated").and_then(parse_iso8601);
            info.initiator = upload
                .child("Initiator")
                .and_then(|who| who.text("ID").or_else(|| who.text("DisplayName")))
                .map(str::to_owned);
            found.push(info);
        }
    }
    let more = says_more(&root)? && !passed;
    let next = more.then(|| {
        let key = names.bytes(&root, "NextKeyMarker").to_vec();
        let upload = root.bytes("NextUploadIdMarker").unwrap_or_default().to_vec();
        Some((key, upload))
    });
    if next.as_ref().is_some_and(|next| next.as_ref().is_none_or(|(key, _)| key.is_empty())) {
        return Err(unexpected("a page of uploads says that there are more but not where"));
    }
    Ok((found, next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_ascend_and_go_on_behind_the_last() {
        let page = b"<ListPartsResult><IsTruncated>true</IsTruncated>\
            <Part><PartNumber>2</PartNumber><Size>5</Size><ETag>&quot;a&quot;</ETag><ChecksumCRC32C>AAAAAQ==</ChecksumCRC32C></Part>\
            <Part><PartNumber>7</PartNumber><Size>6</Size><ETag>b</ETag></Part></ListPartsResult>";
        let (listed, next) = parts(page, 1).unwrap();
        assert_eq!(listed.iter().map(|part| (part.number, part.size)).collect::<Vec<_>>(), [(2, 5), (7, 6)]);
        assert_eq!(listed[0].checksum.as_ref().unwrap().value, [0, 0, 0, 1]);
        assert_eq!(next, Some(7));
        assert!(parts(page, 2).unwrap_err().to_string().contains("part 2 is listed after part 2"));
    }

    #[test]
    fn uploads_of_other_keys_are_left_out() {
        let page = |more: bool| {
            format!(
                "<ListMultipartUploadsResult><EncodingType>url</EncodingType><IsTruncated>{more}</IsTruncated>\
                 <NextKeyMarker>a+b</NextKeyMarker><NextUploadIdMarker>u1</NextUploadIdMarker>\
                 <Upload><Key>a+b</Key><UploadId>u1</UploadId><Initiated>2009-10-12T17:50:30.000Z</Initiated>\
                 <Initiator><ID>me</ID></Initiator></Upload></ListMultipartUploadsResult>"
            )
        };
        let key = ObjectKey::try_from("a b").unwrap();
        let (found, next) = uploads(page(true).as_bytes(), &key).unwrap();
        assert_eq!((found[0].upload.id.as_str(), found[0].initiator.as_deref()), ("u1", Some("me")));
        assert!(found[0].initiated.is_some());
        assert_eq!(next, Some(Some((b"a b".to_vec(), b"u1".to_vec()))));
        let (found, next) = uploads(page(true).as_bytes(), &ObjectKey::try_from("a").unwrap()).unwrap();
        assert!(found.is_empty() && next.is_none());
        assert!(uploads(page(false).as_bytes(), &key).unwrap().1.is_none());
    }

    #[test]
    fn an_error_in_a_success_is_an_error() {
        let document = b"\n <Error><Code>InternalError</Code></Error>";
        let error = completed(&HeaderMap::new(), document, &Secrets::default()).unwrap_err();
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::Unknown));
    }

    #[test]
    fn a_completion_names_tags_and_checksums() {
        let sum = StoredChecksum::full(ChecksumAlgorithm::Crc64Nvme, vec![0; 8]);
        let document = completion(&[PartReceipt::new(1, 5, ETag::new("\"a\"")).checksum(Some(sum))]);
        let root = Element::parse(&document).unwrap();
        let part = root.child("Part").unwrap();
        assert_eq!(part.text("ETag"), Some("\"a\""));
        assert_eq!(part.text("ChecksumCRC64NVME"), Some("AAAAAAAAAAA="));
    }
}
