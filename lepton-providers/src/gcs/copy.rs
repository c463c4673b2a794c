//! Server-side copies.

use async_trait::async_trait;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method};
use lepton_core::{
    CopyOptions, CopySource, Effect, Error, ErrorKind, HeadOptions, ObjectKey, PartReceipt, PartSpec, PutReceipt,
    Result, ServerCheck, ServerCopy, Storage as _, Upload,
};
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use super::client::{Client, LONG_TIMEOUT, Request, Target, generation, push_precondition};
use super::resource::{NewObject, Resource};
use super::storage::GcsStorage;
use crate::wire::attributes::insert;
use crate::wire::encode::{Query, encode_query};
use crate::wire::payload::Payload;
use crate::wire::refusal::{Condition, for_condition};
use crate::wire::request::{check_key, malformed};

/// The progress of a copy.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Step {
    #[serde(default)]
    done: bool,
    rewrite_token: Option<String>,
    /// As decimal text.
    #[serde(default)]
    total_bytes_rewritten: String,
    resource: Option<Resource>,
}

#[async_trait]
impl ServerCopy for GcsStorage {
    /// Reaches every bucket of the service, if the credentials permit it.
    fn reaches(&self, source_url: &str) -> bool {
        self.bucket_of(source_url).is_some()
    }

    fn largest(&self) -> u64 {
        self.client.options.largest_copy
    }

    async fn is_cheaper(&self, _: &CopySource, _: &ObjectKey) -> Result<bool> {
        Ok(true)
    }

    async fn copy(&self, source: CopySource, key: &ObjectKey, options: CopyOptions) -> Result<PutReceipt> {
        let copied = match self.bucket_of(&source.store) {
            Some(bucket) => self.client.copy(&bucket, &source, key, &options).await,
            None => Err(Error::unsupported(format!("{} is not of this service", source.store))),
        };
        copied.map_err(|e| e.with_operation("copy").with_context("key", key).with_context("source", &source.key))
    }

    /// Never supported: a copy of any size takes one request, or a few that belong
    /// together.
    async fn copy_part(&self, source: CopySource, _: &Upload, part: PartSpec) -> Result<PartReceipt> {
        let error = Error::unsupported("objects are copied whole, whatever their size");
        Err(error.with_operation("copy_part").with_context("part", part.number).with_context("source", &source.key))
    }
}

impl GcsStorage {
    /// The bucket in the URL of a store at the same endpoint.
    fn bucket_of(&self, url: &str) -> Option<String> {
        let split = |url: &str| {
            let rest = url.strip_prefix("gs://")?;
            let (bucket, endpoint) = rest.split_once('?').map_or((rest, ""), |(bucket, endpoint)| (bucket, endpoint));
            Some((percent_decode_str(bucket).decode_utf8_lossy().into_owned(), endpoint.to_owned()))
        };
        let (bucket, endpoint) = split(url)?;
        (split(self.url())?.1 == endpoint).then_some(bucket)
    }
}

/// A copy of one object to another place.
pub(super) struct Rewrite<'a> {
    pub(super) operation: &'static str,
    /// The bucket of the source.
    pub(super) bucket: &'a str,
    pub(super) source: &'a ObjectKey,
    pub(super) key: &'a ObjectKey,
    /// Conditions and generations.
    pub(super) query: Query,
    /// The description of the copy; `None` keeps that of the source.
    pub(super) object: Option<String>,
}

impl Client {
    async fn copy(
        &self,
        bucket: &str,
        source: &CopySource,
        key: &ObjectKey,
        options: &CopyOptions,
    ) -> Result<PutReceipt> {
        check_key(&self.capabilities.keys, key, "copy")?;
        let mut query = Query::new();
        let condition = push_precondition(&mut query, &options.precondition)?;
        let expected = source.if_match.as_ref().map(generation).transpose()?;
        if let Some(generation) = expected {
            query.push("ifSourceGenerationMatch", generation);
        }
        let class = options.storage_class.as_deref().or(self.options.storage_class.as_deref());
        let mut version = source.version.as_ref().map(|version| version.as_str().to_owned());
        let attributes = match (&options.attributes, class) {
            (Some(attributes), _) => Some(attributes.clone()),
            (None, None) => None,
            // A storage class has to be sent with all other attributes, or these are
            // lost.
            (None, Some(_)) => {
                let resource = self.source(bucket, source).await?;
                version = Some(resource.generation.clone());
                Some(resource.attributes())
            }
        };
        let object = match &attributes {
            None => None,
            Some(attributes) => {
                self.check_attributes(attributes)?;
                let mut object = NewObject::copy(key.as_str().unwrap_or_default(), attributes);
                object.storage_class = class;
                Some(object.json()?)
            }
        };
        if let Some(version) = &version {
            query.push("sourceGeneration", version);
        }
        let rewrite = Rewrite { operation: "copy", bucket, source: &source.key, key, query, object };
        match self.rewrite(rewrite).await {
            Err(error) if error.kind() == ErrorKind::PreconditionFailed && condition == Condition::IfAbsent => {
                // Both conditions fail with the same error, so the failed one may be that
                // of the source.
                let found = expected.is_none() || self.head(key, HeadOptions::new()).await.is_ok();
                Err(if found { for_condition(error, condition) } else { error })
            }
            copied => copied,
        }
    }

    /// The service's description of the source.
    async fn source(&self, bucket: &str, source: &CopySource) -> Result<Resource> {
        let mut query = Query::new();
        if let Some(version) = &source.version {
            query.push("generation", version.as_str());
        }
        let request = Request::new("copy", Method::GET, Some(&source.key))
            .target(Target::path(of(bucket, &source.key)))
            .query(query);
        self.send_for_json(request).await
    }

    /// Copies, in as many requests as the service requires.
    pub(super) async fn rewrite(&self, rewrite: Rewrite<'_>) -> Result<PutReceipt> {
        let Rewrite { operation, bucket, source, key, query, object } = rewrite;
        let path = format!("{}/rewriteTo{}", of(bucket, source), self.object(key).trim_start_matches("/storage/v1"));
        let unknown = |error: Error| error.with_effect(Effect::Unknown).with_context("bucket", &self.bucket);
        let (mut token, mut rewritten): (Option<String>, u64) = (None, 0);
        loop {
            let mut query = query.clone();
            if let Some(kms) = &self.options.kms_key_name {
                query.push("destinationKmsKeyName", kms);
            }
            if let Some(token) = &token {
                query.push("rewriteToken", token);
            }
            let mut request = Request::new(operation, Method::POST, Some(key))
                .target(Target::path(path.clone()))
                .query(query)
                .response_timeout(LONG_TIMEOUT);
            if let Some(object) = &object {
                let mut headers = HeaderMap::new();
                insert(&mut headers, CONTENT_TYPE, "application/json; charset=UTF-8")?;
                request = request.headers(headers).payload(Payload::document(object.clone().into()));
            }
            let step: Step = self.send_for_json(request).await?;
            let so_far = step.total_bytes_rewritten.parse().unwrap_or(0);
            match (step.done, step.resource, step.rewrite_token) {
                (true, Some(resource), _) => {
                    let meta = resource.meta().map_err(|why| unknown(malformed(why)))?;
                    let receipt = PutReceipt::new(ServerCheck::None);
                    return Ok(receipt.etag(meta.etag).version(meta.version).checksums(meta.checksums));
                }
                // The service may give the same token again.
                (false, _, Some(next)) if so_far > rewritten || token.as_ref() != Some(&next) => {
                    (token, rewritten) = (Some(next), so_far);
                }
                _ => return Err(unknown(malformed("a copy is neither complete nor has a token to continue"))),
            }
        }
    }
}

/// The path of an object in a bucket.
fn of(bucket: &str, key: &ObjectKey) -> String {
    format!("/storage/v1/b/{}/o/{}", encode_query(bucket.as_bytes()), encode_query(key.as_bytes()))
}
