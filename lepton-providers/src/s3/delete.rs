//! Deletes, with many objects per request where possible.

use std::collections::HashMap;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::header::IF_MATCH;
use http::{HeaderMap, Method};
use lepton_core::{DeleteRequest, Effect, Error, ErrorKind, ObjectKey, Result, VersionId, md5};

use super::client::{Client, Request};
use super::error::Refusal;
use super::list::expect_root;
use super::object::version_query;
use super::payload::Payload;
use crate::wire::attributes::insert;
use crate::wire::encode::Query;
use crate::wire::request::unexpected;
use crate::wire::secrets::Secrets;
use crate::wire::xml::{Element, push_text};

/// How many single deletes are in flight.
const AT_ONCE: usize = 8;

impl Client {
    /// One result per request, in order.
    pub(super) async fn delete(&self, requests: Vec<DeleteRequest>) -> Result<Vec<Result<()>>> {
        let mut batch = Batch::default();
        let mut singles = Vec::new();
        let mut results: Vec<Option<Result<()>>> = Vec::new();
        for (index, request) in requests.iter().enumerate() {
            let refused = self.deleting.check(&request.key).map_err(|error| error.with_operation("delete")).err();
            let to_batch = refused.is_none() && request.if_match.is_none() && batch.push(index, request);
            if refused.is_none() && !to_batch {
                singles.push((index, request.clone()));
            }
            results.push(refused.map(Err));
            if batch.len() >= self.capabilities.delete_batch.clamp(1, 1000) {
                self.delete_batch(std::mem::take(&mut batch), &mut results).await?;
            }
        }
        self.delete_batch(batch, &mut results).await?;
        let deleted =
            stream::iter(singles).map(|(index, request)| async move { (index, self.delete_one(&request).await) });
        for (index, result) in deleted.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await {
            results[index] = Some(result);
        }
        Ok(results.into_iter().map(|result| result.unwrap_or_else(|| Err(unmentioned()))).collect())
    }

    pub(super) async fn delete_one(&self, request: &DeleteRequest) -> Result<()> {
        let mut headers = HeaderMap::new();
        if let Some(etag) = &request.if_match {
            let required = self.require(self.capabilities.conditional_delete, "conditional deletes", "delete");
            required.map_err(|error| error.with_context("key", &request.key))?;
            insert(&mut headers, IF_MATCH, etag.as_str())?;
        }
        let query = version_query(request.version.as_ref());
        let sent = Request::new("delete", Method::DELETE, Some(&request.key)).query(query).headers(headers);
        match self.send(sent).await {
            Ok(reply) => {
                reply.drain().await;
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn delete_batch(&self, batch: Batch, results: &mut [Option<Result<()>>]) -> Result<()> {
        if batch.len() == 0 {
            return Ok(());
        }
        let document = batch.document();
        let mut headers = HeaderMap::new();
        // Every store supports this checksum, and Amazon requires one.
        let sum = BASE64_STANDARD.encode(md5(&document));
        insert(&mut headers, "content-md5", &sum)?;
        insert(&mut headers, http::header::CONTENT_TYPE, "application/xml")?;
        let request = Request::new("delete", Method::POST, None)
            .query(Query::new().with("delete", ""))
            .headers(headers)
            .payload(Payload::Document(document));
        let (_, answer, secrets) = self.send_for_document(request).await?;
        let read = batch.read(&answer, results, &secrets).map_err(|error| secrets.hidden(error));
        read.map_err(|error| error.with_operation("delete").with_effect(Effect::Unknown))
    }
}

/// The objects that one request deletes.
#[derive(Default)]
struct Batch {
    text: String,
    entries: HashMap<Name, Vec<usize>>,
}

/// The identification of an object in a response: its key and version.
type Name = (Vec<u8>, Option<String>);

impl Batch {
    fn len(&self) -> usize {
        self.entries.len()
    }

    /// Adds an object, unless XML cannot represent its key.
    fn push(&mut self, index: usize, request: &DeleteRequest) -> bool {
        let before = self.text.len();
        self.text.push_str("<Object><Key>");
        if !push_text(&mut self.text, request.key.as_bytes()) {
            self.text.truncate(before);
            return false;
        }
        self.text.push_str("</Key>");
        if let Some(version) = &request.version {
            self.text.push_str("<VersionId>");
            push_text(&mut self.text, version.as_str().as_bytes());
            self.text.push_str("</VersionId>");
        }
        self.text.push_str("</Object>");
        let name = (request.key.as_bytes().to_vec(), request.version.as_ref().map(VersionId::to_string));
        let named = self.entries.entry(name).or_default();
        if !named.is_empty() {
            self.text.truncate(before);
        }
        named.push(index);
        true
    }

    fn document(&self) -> Bytes {
        let head =
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">";
        [head, &self.text, "</Delete>"].concat().into()
    }

    /// Reads a response. Objects that it does not mention get no result.
    fn read(&self, answer: &[u8], results: &mut [Option<Result<()>>], secrets: &Secrets) -> Result<()> {
        let root = Element::parse(answer)?;
        super::client::expect_success(&root, secrets)?;
        expect_root(&root, &["DeleteResult"])?;
        for deleted in root.children("Deleted") {
            for index in self.named(deleted)? {
                results[*index] = Some(Ok(()));
            }
        }
        for refused in root.children("Error") {
            for index in self.named(refused)? {
                let error = Refusal::inside(refused).into_error(true, secrets);
                let key = ObjectKey::new(refused.bytes("Key").unwrap_or_default().to_vec())?;
                let gone = matches!(error.kind(), ErrorKind::NotFound);
                let error = error.with_operation("delete").with_context("key", key);
                results[*index] = Some(if gone { Ok(()) } else { Err(error) });
            }
        }
        Ok(())
    }

    fn named<'a>(&'a self, element: &Element<'_>) -> Result<&'a [usize]> {
        let key = element.bytes("Key").unwrap_or_default().to_vec();
        let version = element.text("VersionId").map(str::to_owned);
        let by_version = self.entries.get(&(key.clone(), version));
        // Some stores add the version that they deleted even if none was requested.
        let found = by_version.or_else(|| self.entries.get(&(key, None)));
        found.map(Vec::as_slice).ok_or_else(|| unexpected("the answer names an object that was not to be deleted"))
    }
}

fn unmentioned() -> Error {
    let message = "the store's answer does not say whether the object was deleted";
    Error::new(ErrorKind::Unexpected, message).with_operation("delete").with_effect(Effect::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(key: &str) -> DeleteRequest {
        DeleteRequest::new(ObjectKey::try_from(key).unwrap())
    }

    #[test]
    fn keys_that_xml_cannot_write_are_left_out_and_repeated_ones_sent_once() {
        let requests = [request("a&<\n"), request("a&<\n"), request("b\u{1}")];
        let mut batch = Batch::default();
        assert_eq!(requests.iter().enumerate().map(|(i, r)| batch.push(i, r)).collect::<Vec<_>>(), [true, true, false]);
        let document = batch.document();
        let text = std::str::from_utf8(&document).unwrap();
        assert_eq!(text.matches("<Object>").count(), 1);
        assert!(text.contains("<Key>a&amp;&lt;&#10;</Key></Object></Delete>"), "{text}");
    }

    #[test]
    fn each_key_gets_its_own_result() {
        let requests = [request("a"), request("b"), request("c"), request("a")];
        let mut batch = Batch::default();
        for (index, request) in requests.iter().enumerate() {
            batch.push(index, request);
        }
        let mut results: Vec<Option<Result<()>>> = (0..4).map(|_| None).collect();
        let answer = b"<DeleteResult><Deleted><Key>a</Key></Deleted>\
            <Error><Key>b</Key><Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>";
        batch.read(answer, &mut results, &Secrets::default()).unwrap();
        assert!(matches!((&results[0], &results[3]), (Some(Ok(())), Some(Ok(())))));
        let refused = results[1].as_ref().unwrap().as_ref().unwrap_err();
        assert_eq!((refused.kind(), refused.context("key")), (ErrorKind::PermissionDenied, Some("b")));
        assert!(results[2].is_none());
        let other = b"<DeleteResult><Deleted><Key>x</Key></Deleted></DeleteResult>";
        assert!(batch.read(other, &mut results, &Secrets::default()).is_err());
    }
}
