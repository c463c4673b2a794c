//! Blocks that the service copies: "Put Block From URL" in the REST reference. This
//! allows copies in parts, and copies with other attributes than those of the source.

use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::{HeaderMap, Method};
use lepton_core::{
    Attributes, Body, CompleteOptions, CopyOptions, CopySource, Effect, Error, ErrorKind, ObjectKey, PartReceipt,
    PartSpec, PutOptions, PutReceipt, Result, Upload,
};
use secrecy::ExposeSecret as _;

use super::auth::Auth;
use super::blocks::{Begun, Block};
use super::client::{Client, LONG_TIMEOUT, Request};
use super::copy::Looked;
use super::headers::insert_secret;
use super::multipart::begun;
use super::object::version_query;
use crate::wire::attributes::insert;
use crate::wire::encode::Query;

/// The block size of a copy, as long as the number of blocks stays within the maximum.
const BLOCK: u64 = 64 << 20;
const MOST_BLOCKS: u64 = 50_000;
/// Blocks that are copied concurrently.
const AT_ONCE: usize = 8;
/// The validity of the signature with which the service reads the source.
const SIGNED_FOR: Duration = Duration::from_secs(3600);

impl Client {
    /// Copies an object and gives it these attributes.
    pub(super) async fn copy_with(
        &self,
        container: &str,
        Looked { source, size, .. }: &Looked,
        key: &ObjectKey,
        attributes: &Attributes,
        options: &CopyOptions,
    ) -> Result<PutReceipt> {
        if *size == 0 {
            let attached =
                PutOptions::new().attributes(attributes.clone()).storage_class(options.storage_class.clone());
            return self.put(key, Body::from_pieces([]), attached.precondition(options.precondition.clone())).await;
        }
        // Attributes that cannot be attached at the end are refused now.
        self.write_headers(attributes, options.storage_class.as_deref())?;
        let begun = Begun::new(self.env.now(), self.env.random(), attributes.clone(), options.storage_class.clone());
        let upload = Upload::new(key.clone(), begun.id());
        let block = BLOCK.max(size.div_ceil(MOST_BLOCKS));
        let starts = (0..size.div_ceil(block)).map(|number| number * block);
        let blocks = (1..).zip(starts).map(|(number, start)| PartSpec::new(number, start..(start + block).min(*size)));
        let copied = blocks.map(|part| {
            let upload = &upload;
            async move { self.copy_block(container, source, upload, &part).await }
        });
        let parts: Result<Vec<_>> = stream::iter(copied).buffered(AT_ONCE).try_collect().await;
        // Uncommitted blocks are not visible.
        let parts = parts.map_err(|error| error.with_effect(Effect::None))?;
        self.complete(&upload, &parts, &CompleteOptions::new().precondition(options.precondition.clone())).await
    }

    /// Copies these bytes of the source into a block.
    pub(super) async fn copy_block(
        &self,
        container: &str,
        source: &CopySource,
        upload: &Upload,
        part: &PartSpec,
    ) -> Result<PartReceipt> {
        let begun = begun(upload)?;
        if part.is_empty() {
            return Err(Error::invalid_input(format!("part {} has no bytes", part.number)));
        }
        let mut headers = HeaderMap::new();
        headers.extend(self.options.write.clone());
        self.insert_source(&mut headers, container, source).await?;
        let range = format!("bytes={}-{}", part.range.start, part.range.end - 1);
        insert(&mut headers, "x-ms-source-range", &range)?;
        if let Some(etag) = &source.if_match {
            insert(&mut headers, "x-ms-source-if-match", etag.as_str())?;
        }
        let block = Block::new(begun.nonce, part.number, part.range.start, None, self.moment());
        let query = Query::new().with("comp", "block").with("blockid", block.name());
        let request = Request::new("copy_part", Method::PUT, Some(&upload.key))
            .query(query)
            .headers(headers)
            .response_timeout(LONG_TIMEOUT);
        let reply = self.send(request).await?;
        reply.drain().await;
        Ok(block.receipt(part.len()))
    }

    /// Adds the source and a permission to read it: unlike a copy of a whole blob, this
    /// copy does not use the caller's authorization to read it.
    async fn insert_source(&self, headers: &mut HeaderMap, container: &str, source: &CopySource) -> Result<()> {
        let mut query = version_query(source.version.as_ref());
        match &self.auth {
            Auth::Anonymous => {}
            Auth::Sas(sas) => query.append_encoded(sas.expose_secret()),
            Auth::Key(key) => {
                let not_text = || Error::new(ErrorKind::InvalidKey, "only a key of UTF-8 can be signed");
                let name = source.key.as_str().ok_or_else(not_text)?;
                let signature = self.signature(key, (container, name, source.version.as_ref()), "r", SIGNED_FOR);
                query.append_encoded(&signature.canonical());
            }
            Auth::Token(cache) => {
                headers.insert("x-ms-copy-source-authorization", cache.get().await?.header()?);
            }
        }
        insert_secret(headers, "x-ms-copy-source", &self.address_of(container, source, query))
    }
}
