//! Deletes, with one request per object.

use futures_util::{StreamExt as _, stream};
use http::Method;
use lepton_core::{DeleteRequest, Error, ErrorKind, KeyPrefix, ListRequest, ObjectKey, Result, Support};

use super::client::{Client, Request, Target, generation};
use super::copy::Rewrite;
use super::resource::Resource;
use super::versions::deleted_after;
use crate::wire::encode::Query;
use crate::wire::request::check_key;

/// How many requests of one call are in flight.
const AT_ONCE: usize = 16;

impl Client {
    pub(super) async fn delete(&self, requests: Vec<DeleteRequest>) -> Result<Vec<Result<()>>> {
        let each: Vec<Vec<DeleteRequest>> = requests.chunk_by(|a, b| a.key == b.key).map(<[_]>::to_vec).collect();
        let deletes = each.into_iter().map(|requests| self.delete_of_one(requests));
        let results: Vec<Vec<Result<()>>> = stream::iter(deletes).buffered(AT_ONCE).collect().await;
        Ok(results.into_iter().flatten().collect())
    }

    /// Deletes requested for one object, one after another. Delete markers come last: a
    /// marker depends on the generation before it.
    async fn delete_of_one(&self, requests: Vec<DeleteRequest>) -> Vec<Result<()>> {
        let is_marker = |request: &DeleteRequest| request.version.as_ref().is_some_and(|v| deleted_after(v).is_some());
        let mut requests: Vec<(usize, DeleteRequest)> = requests.into_iter().enumerate().collect();
        requests.sort_by_key(|(_, request)| is_marker(request));
        let mut results = Vec::with_capacity(requests.len());
        for (place, request) in requests {
            results.push((place, self.delete_one(&request).await));
        }
        results.sort_by_key(|(place, _)| *place);
        results.into_iter().map(|(_, result)| result).collect()
    }

    async fn delete_one(&self, request: &DeleteRequest) -> Result<()> {
        let key = &request.key;
        check_key(&self.capabilities.keys, key, "delete")?;
        if let Some(before) = request.version.as_ref().and_then(deleted_after) {
            return self.restore(key, before).await;
        }
        let mut query = Query::new();
        if let Some(version) = &request.version {
            query.push("generation", version.as_str());
        }
        if let Some(etag) = &request.if_match {
            if self.capabilities.conditional_delete == Support::Unsupported {
                let message = format!("the {} service deletes without conditions", self.capabilities.preset);
                return Err(Error::unsupported(message).with_operation("delete").with_context("key", key));
            }
            let generation = generation(etag).map_err(|e| e.with_operation("delete").with_context("key", key))?;
            query.push("ifGenerationMatch", generation);
        }
        match self
            .send(Request::new("delete", Method::DELETE, Some(key)).target(Target::path(self.object(key))).query(query))
            .await
        {
            Ok(reply) => {
                reply.drain().await;
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Deletes a delete marker: the generation before it is copied over itself, unless
    /// the object exists again or that generation is gone too. A marker that a newer
    /// generation follows hides nothing, so nothing has to be done then.
    async fn restore(&self, key: &ObjectKey, generation: &str) -> Result<()> {
        if self.newest(key).await?.as_deref() != Some(generation) {
            return Ok(());
        }
        let query = Query::new().with("ifGenerationMatch", "0").with("sourceGeneration", generation);
        match self
            .rewrite(Rewrite { operation: "delete", bucket: &self.bucket, source: key, key, query, object: None })
            .await
        {
            Ok(_) => Ok(()),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PreconditionFailed) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The newest generation of an object, even if it was deleted.
    async fn newest(&self, key: &ObjectKey) -> Result<Option<String>> {
        let request = ListRequest::new().prefix(KeyPrefix::new(key.to_bytes()));
        let (mut newest, mut token) = (None, None);
        loop {
            let page = self.page(&request, token, true, "delete").await.map_err(|e| self.about(e, "delete", key))?;
            let of_key = |resource: &&Resource| resource.name.as_bytes() == key.as_bytes();
            let numbers = page.items.iter().filter(of_key).filter_map(|resource| resource.generation.parse().ok());
            newest = newest.max(numbers.max());
            // The generations of one name are listed together, and before all longer
            // names.
            let others = page.items.last().is_some_and(|last| last.name.as_bytes() != key.as_bytes());
            match page.next_page_token {
                Some(next) if !others => token = Some(next),
                _ => return Ok(newest.map(|number: u64| number.to_string())),
            }
        }
    }
}
