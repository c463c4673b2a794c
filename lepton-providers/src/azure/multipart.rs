//! Uploads in parts: uncommitted blocks, then the list that makes a blob of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::{HeaderMap, Method};
use lepton_core::{
    Body, CompleteOptions, Crc, CreateUploadOptions, Effect, Error, ErrorKind, Multipart, ObjectKey, PartInfo,
    PartReceipt, PartSpec, PutReceipt, Result, ServerCheck, Upload, UploadInfo,
};

use super::blocks::{Begun, Block, Nonce};
use super::client::{Client, LONG_TIMEOUT, Request};
use super::headers::insert_precondition;
use super::object::receipt;
use super::storage::AzureStorage;
use crate::wire::encode::Query;
use crate::wire::payload::Payload;
use crate::wire::request::{check_key, unexpected};
use crate::wire::xml::Element;

#[async_trait]
impl Multipart for AzureStorage {
    /// Sends nothing: an upload begins with its first block.
    async fn create(&self, key: &ObjectKey, options: CreateUploadOptions) -> Result<Upload> {
        let client = &self.client;
        check_key(&client.capabilities.keys, key, "create_upload")?;
        // Attributes that cannot be attached at the end are refused now.
        let headers = client.write_headers(&options.attributes, options.storage_class.as_deref());
        headers.map_err(|error| error.with_operation("create_upload").with_context("key", key))?;
        let env = &client.env;
        let begun = Begun::new(env.now(), env.random(), options.attributes, options.storage_class);
        Ok(Upload::new(key.clone(), begun.id()))
    }

    async fn upload_part(&self, upload: &Upload, part: PartSpec, body: Body) -> Result<PartReceipt> {
        let sent = self.client.upload_part(upload, &part, body).await;
        sent.map_err(|error| {
            error.with_operation("upload_part").with_context("key", &upload.key).with_context("part", part.number)
        })
    }

    fn list_parts(&self, upload: &Upload) -> BoxStream<'static, Result<PartInfo>> {
        let (client, upload) = (Arc::clone(&self.client), upload.clone());
        let parts = stream::once(async move { client.list_parts(&upload).await });
        parts.map_ok(|parts| stream::iter(parts.into_iter().map(Ok))).try_flatten().boxed()
    }

    async fn complete(&self, upload: &Upload, parts: Vec<PartReceipt>, options: CompleteOptions) -> Result<PutReceipt> {
        let completed = self.client.complete(upload, &parts, &options).await;
        completed.map_err(|error| error.with_operation("complete").with_context("key", &upload.key))
    }

    /// Sends nothing: the service has no such request. Uncommitted blocks are discarded
    /// within a week, or when the blob is written.
    async fn abort(&self, _upload: &Upload) -> Result<()> {
        Ok(())
    }

    fn list_uploads(&self, key: &ObjectKey) -> BoxStream<'static, Result<UploadInfo>> {
        let message = "the service keeps no account of uploads, only of blocks that nobody committed";
        let error = Error::unsupported(message).with_operation("list_uploads").with_context("key", key);
        stream::once(async move { Err(error) }).boxed()
    }
}

pub(super) fn begun(upload: &Upload) -> Result<Begun> {
    Begun::of(&upload.id).ok_or_else(|| Error::new(ErrorKind::UploadNotFound, "no upload here has such an id"))
}

impl Client {
    async fn upload_part(&self, upload: &Upload, part: &PartSpec, body: Body) -> Result<PartReceipt> {
        let begun = begun(upload)?;
        if body.len() != part.len() {
            let message = format!("the body has {} bytes and the part {}", body.len(), part.len());
            return Err(Error::invalid_input(message));
        }
        if part.number == 0 {
            return Err(Error::invalid_input("parts are numbered from 1"));
        }
        let payload = Payload::buffer(&body, self.options.upload_buffer).await?;
        let crc64 = payload.crc(Crc::Crc64Nvme);
        let mut headers = self.options.customer_key.clone();
        headers.extend(self.options.write.clone());
        self.checked(&mut headers, &payload, crc64)?;
        let block = Block::new(begun.nonce, part.number, part.range.start, Some(crc64), self.moment());
        let query = Query::new().with("comp", "block").with("blockid", block.name());
        let request = Request::new("upload_part", Method::PUT, Some(&upload.key)).query(query);
        let reply = self.send(request.headers(headers).payload(payload)).await?;
        reply.drain().await;
        Ok(block.receipt(part.len()))
    }

    /// The current time, at least a millisecond later than the last result.
    pub(super) fn moment(&self) -> std::time::SystemTime {
        let now = self.env.now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX - 1);
        let before = self.moments.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(now.max(last + 1)));
        UNIX_EPOCH + Duration::from_millis(now.max(before.unwrap_or_default() + 1))
    }

    async fn list_parts(&self, upload: &Upload) -> Result<Vec<PartInfo>> {
        let named = |error: Error| error.with_operation("list_parts").with_context("key", &upload.key);
        let begun = begun(upload).map_err(named)?;
        let query = Query::new().with("comp", "blocklist").with("blocklisttype", "all");
        let request = Request::new("list_parts", Method::GET, Some(&upload.key)).query(query);
        match self.send_for_document(request).await {
            Ok((_, document, secrets)) => parts(&document, begun.nonce).map_err(|error| named(secrets.hidden(error))),
            // Neither a blob nor a block exists: the upload has no parts yet.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn complete(
        &self,
        upload: &Upload,
        parts: &[PartReceipt],
        options: &CompleteOptions,
    ) -> Result<PutReceipt> {
        let begun = begun(upload)?;
        let document = Payload::document(commit_list(parts, begun.nonce)?.into());
        let mut headers = self.write_headers(&begun.attributes, begun.storage_class.as_deref())?;
        let condition = insert_precondition(&mut headers, &options.precondition)?;
        let mut checked = HeaderMap::new();
        self.checked(&mut checked, &document, document.crc(Crc::Crc64Nvme))?;
        headers.extend(checked);
        let request = Request::new("complete", Method::PUT, Some(&upload.key))
            .query(Query::new().with("comp", "blocklist"))
            .headers(headers)
            .payload(document)
            .condition(condition)
            .response_timeout(LONG_TIMEOUT);
        let reply = self.send(request).await?;
        // Each block was verified when it was sent; the whole was not.
        let receipt = receipt(&reply.headers, ServerCheck::None);
        reply.drain().await;
        Ok(receipt)
    }
}

/// The document that makes a blob of these parts.
fn commit_list(parts: &[PartReceipt], nonce: Nonce) -> Result<String> {
    if parts.is_empty() {
        return Err(Error::invalid_input("an upload cannot be completed without parts; put an empty object instead"));
    }
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>");
    let mut last = 0;
    for part in parts {
        let block = Block::of(part.etag.as_str()).filter(|block| block.nonce == nonce && block.number == part.number);
        let Some(block) = block.filter(|block| block.number > last) else {
            let message = format!("part {} is none of this upload, or not in order", part.number);
            return Err(Error::invalid_input(message));
        };
        last = block.number;
        // Writing to a String cannot fail.
        let _ = write!(text, "<Uncommitted>{}</Uncommitted>", block.name());
    }
    text.push_str("</BlockList>");
    Ok(text)
}

/// The blocks of one upload; for each number, the one sent last.
pub(super) fn parts(document: &[u8], nonce: Nonce) -> Result<Vec<PartInfo>> {
    let root = Element::parse(document)?;
    if root.name() != b"BlockList" {
        return Err(unexpected("the answer is no list of blocks"));
    }
    let of = |list: &'static str| root.child(list).into_iter().flat_map(|list| list.children("Block"));
    let ours = |block: &&Element<'_>| block.text("Name").and_then(Block::of).is_some_and(|block| block.nonce == nonce);
    if of("CommittedBlocks").any(|block| ours(&block)) {
        let message = "there is no such upload any more: it was completed";
        return Err(Error::new(ErrorKind::UploadNotFound, message).with_effect(Effect::None));
    }
    let mut found: BTreeMap<u32, (Block, u64)> = BTreeMap::new();
    for element in of("UncommittedBlocks").filter(ours) {
        let block = element.text("Name").and_then(Block::of).ok_or_else(|| unexpected("a block without a name"))?;
        let size = element.parsed("Size").ok_or_else(|| unexpected("a block without a size"))?;
        let later = found.get(&block.number).is_none_or(|(known, _)| known.sent <= block.sent);
        if later {
            found.insert(block.number, (block, size));
        }
    }
    Ok(found.into_values().map(|(block, size)| block.receipt(size)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Nonce = [7; 12];

    fn block(number: u32, sent: u64) -> Block {
        Block { nonce: OURS, number, offset: 0, crc64: Some(sent), sent }
    }

    fn listed(committed: &[Block], uncommitted: &[Block]) -> Vec<u8> {
        let of = |blocks: &[Block]| -> String {
            blocks.iter().map(|block| format!("<Block><Name>{}</Name><Size>5</Size></Block>", block.name())).collect()
        };
        format!(
            "<BlockList><CommittedBlocks>{}</CommittedBlocks><UncommittedBlocks>{}\
             <Block><Name>AAAA</Name><Size>1</Size></Block></UncommittedBlocks></BlockList>",
            of(committed),
            of(uncommitted)
        )
        .into_bytes()
    }

    #[test]
    fn of_one_number_the_last_block_counts_and_those_of_others_do_not() {
        let other = Block { nonce: [8; 12], ..block(1, 9) };
        let document = listed(&[other], &[block(2, 1), other, block(1, 5), block(1, 4)]);
        let parts = parts(&document, OURS).unwrap();
        assert_eq!(parts, [block(1, 5).receipt(5), block(2, 1).receipt(5)]);
        let committed = listed(&[block(1, 1)], &[]);
        assert_eq!(super::parts(&committed, OURS).unwrap_err().kind(), ErrorKind::UploadNotFound);
    }

    #[test]
    fn only_parts_of_the_upload_in_order_are_committed() {
        let (first, second) = (block(1, 1).receipt(5), block(2, 1).receipt(5));
        let text = commit_list(&[first.clone(), second.clone()], OURS).unwrap();
        assert_eq!(text.matches("<Uncommitted>").count(), 2);
        let mut renumbered = second.clone();
        renumbered.number = 3;
        for wrong in [vec![], vec![second.clone(), first.clone()], vec![renumbered]] {
            assert_eq!(commit_list(&wrong, OURS).unwrap_err().kind(), ErrorKind::InvalidInput);
        }
        assert!(commit_list(&[first], [1; 12]).is_err());
    }
}
