//! Server-side copies within an account.

use std::time::Duration;

use async_trait::async_trait;
use http::header::IF_MATCH;
use http::{HeaderMap, Method};
use lepton_core::{
    Attribute, Attributes, CopyOptions, CopySource, ETag, Effect, Error, ErrorKind, ObjectKey, PartReceipt, PartSpec,
    Precondition, PutReceipt, Result, RetryClass, ServerCheck, ServerCopy, Storage as _, Upload,
};
use secrecy::ExposeSecret as _;

use super::auth::Auth;
use super::client::{Client, Request};
use super::headers::{etag, insert_precondition, insert_secret, insert_tags};
use super::object::{info, length, receipt, version_query};
use super::storage::AzureStorage;
use crate::wire::attributes::{insert, text};
use crate::wire::encode::Query;
use crate::wire::request::check_key;

/// The intervals between checks whether a copy has ended: short at first, then longer.
const FIRST_LOOK: Duration = Duration::from_millis(50);
const LAST_LOOK: Duration = Duration::from_secs(5);

#[async_trait]
impl ServerCopy for AzureStorage {
    /// Reaches every container of the same account.
    fn reaches(&self, source_url: &str) -> bool {
        self.container_of(source_url).is_some()
    }

    fn largest(&self) -> u64 {
        self.client.capabilities.max_object
    }

    async fn is_cheaper(&self, _: &CopySource, _: &ObjectKey) -> Result<bool> {
        Ok(true)
    }

    async fn copy(&self, source: CopySource, key: &ObjectKey, options: CopyOptions) -> Result<PutReceipt> {
        let copied = match self.container_of(&source.store) {
            Some(container) => self.client.copy(container, &source, key, &options).await,
            None => Err(Error::unsupported(format!("{} is not of this account", source.store))),
        };
        copied.map_err(|e| e.with_operation("copy").with_context("key", key).with_context("source", &source.key))
    }

    async fn copy_part(&self, source: CopySource, upload: &Upload, part: PartSpec) -> Result<PartReceipt> {
        let copied = match self.container_of(&source.store) {
            Some(container) => self.client.copy_block(container, &source, upload, &part).await,
            None => Err(Error::unsupported(format!("{} is not of this account", source.store))),
        };
        copied.map_err(|error| {
            let error = error.with_operation("copy_part").with_context("key", &upload.key);
            error.with_context("part", part.number).with_context("source", &source.key)
        })
    }
}

impl AzureStorage {
    /// The container in the URL of a store of the same account.
    fn container_of<'a>(&self, url: &'a str) -> Option<&'a str> {
        let (container, account) = url.strip_prefix("az://")?.split_once('?')?;
        (self.url().split_once('?')?.1 == account).then_some(container)
    }
}

/// The source of a copy, after it was examined.
pub(super) struct Looked {
    /// Pinned to the examined state.
    pub(super) source: CopySource,
    pub(super) size: u64,
    pub(super) attributes: Attributes,
}

impl Client {
    /// Requests a copy and waits until it ends.
    async fn copy(
        &self,
        container: &str,
        source: &CopySource,
        key: &ObjectKey,
        options: &CopyOptions,
    ) -> Result<PutReceipt> {
        check_key(&self.capabilities.keys, key, "copy")?;
        let looked = self.look(container, source, options.attributes.is_none()).await?;
        // A copy of a whole blob ignores the encryption scope.
        let scoped = self.options.write.contains_key("x-ms-encryption-scope");
        if scoped || options.attributes.is_some() {
            let attributes = options.attributes.as_ref().unwrap_or(&looked.attributes);
            return self.copy_with(container, &looked, key, attributes, options).await;
        }
        let mut headers = HeaderMap::new();
        headers.extend(self.options.write.clone());
        insert_tags(&mut headers, &looked.attributes.tags)?;
        insert_secret(&mut headers, "x-ms-copy-source", &self.source_address(container, source))?;
        if let Some(etag) = &looked.source.if_match {
            insert(&mut headers, "x-ms-source-if-match", etag.as_str())?;
        }
        let tier = options.storage_class.as_deref().or(self.options.access_tier.as_deref());
        if let Some(tier) = tier {
            insert(&mut headers, "x-ms-access-tier", tier)?;
        }
        let condition = insert_precondition(&mut headers, &options.precondition)?;
        let request = Request::new("copy", Method::PUT, Some(key)).headers(headers).condition(condition);
        let reply = self.send(request).await?;
        let answered = reply.headers.clone();
        reply.drain().await;
        match text(&answered, "x-ms-copy-status").as_deref() {
            Some("success") => Ok(receipt(&answered, ServerCheck::None)),
            _ => self.copied(key, text(&answered, "x-ms-copy-id"), &options.precondition).await,
        }
    }

    /// Examines the source: whether it can be copied, its size and its attributes.
    /// `whole`: including its tags.
    async fn look(&self, container: &str, source: &CopySource, whole: bool) -> Result<Looked> {
        let key = &source.key;
        let mut headers = HeaderMap::new();
        if let Some(etag) = &source.if_match {
            insert(&mut headers, IF_MATCH, etag.as_str())?;
        }
        let request = Request::new("copy", Method::HEAD, Some(key))
            .query(version_query(source.version.as_ref()))
            .headers(headers)
            .target(Some(container));
        let headers = self.send(request).await?.headers;
        self.check_blob(&headers)?;
        let archived = text(&headers, "x-ms-access-tier").is_some_and(|tier| tier == "Archive");
        if archived || headers.contains_key("x-ms-archive-status") {
            let message = "the source is in the archive tier, and is to be rehydrated before it can be copied";
            return Err(Error::new(ErrorKind::Archived, message));
        }
        let size = length("copy", key, &headers)?;
        let info = info(key, size, &headers);
        let mut attributes = info.attributes;
        if whole && info.tag_count > 0 && self.capabilities.keeps(Attribute::Tags) {
            attributes.tags = self.tags_in(Some(container), key, source.version.as_ref()).await?;
        }
        let seen = source.if_match.clone().or_else(|| etag(&headers));
        Ok(Looked { source: source.clone().if_match(seen), size, attributes })
    }

    /// Waits until a copy has ended, and returns the result.
    async fn copied(&self, key: &ObjectKey, id: Option<String>, condition: &Precondition) -> Result<PutReceipt> {
        let mut wait = FIRST_LOOK;
        loop {
            self.env.sleep(wait).await;
            wait = (wait * 2).min(LAST_LOOK);
            let looked = self.send(Request::new("copy", Method::HEAD, Some(key))).await;
            let looked = looked.map_err(|error| error.with_effect(Effect::Unknown))?;
            let (headers, secrets) = (looked.headers, looked.secrets);
            let header = |name| text(&headers, name);
            if header("x-ms-copy-id") != id {
                let message = "another copy or upload came in between";
                return Err(Error::new(ErrorKind::Conflict, message).with_effect(Effect::Unknown));
            }
            match header("x-ms-copy-status").as_deref() {
                Some("pending") => {}
                Some("success") => return Ok(receipt(&headers, ServerCheck::None)),
                Some(ended @ ("failed" | "aborted")) => {
                    let why = header("x-ms-copy-status-description").unwrap_or_default();
                    let message = format!("the service's copy ended as {ended}: {}", secrets.printable(&why));
                    let effect = self.clear(key, etag(&headers), condition).await;
                    return Err(Error::new(ErrorKind::Unavailable, message)
                        .with_retry(RetryClass::Now)
                        .with_effect(effect));
                }
                // A copy in an unknown state may have succeeded.
                _ => {
                    let message = "the service does not say how its copy ended";
                    return Err(Error::new(ErrorKind::Unexpected, message).with_effect(Effect::Unknown));
                }
            }
        }
    }

    /// Removes the empty blob that a failed copy leaves. Returns the effect of the whole
    /// operation: none if no blob existed before.
    async fn clear(&self, key: &ObjectKey, etag: Option<ETag>, condition: &Precondition) -> Effect {
        let Some(etag) = etag else { return Effect::Unknown };
        match self.delete_blob(key, None, Some(&etag), false).await {
            Ok(()) if *condition == Precondition::IfAbsent => Effect::None,
            _ => Effect::Unknown,
        }
    }

    /// The URL of the source for the service, with the shared access signature if
    /// requests use one.
    fn source_address(&self, container: &str, source: &CopySource) -> String {
        let mut query = version_query(source.version.as_ref());
        if let Auth::Sas(sas) = &self.auth {
            query.append_encoded(sas.expose_secret());
        }
        self.address_of(container, source, query)
    }

    /// The URL of the source with this query.
    pub(super) fn address_of(&self, container: &str, source: &CopySource, query: Query) -> String {
        let address = self.endpoint.text(&self.endpoint.path_in(container, &source.key));
        let query = query.canonical();
        if query.is_empty() { address } else { format!("{address}?{query}") }
    }
}
