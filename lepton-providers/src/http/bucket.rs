//! The public listing of a bucket, as S3 and compatible stores return it without
//! credentials.

use std::borrow::Cow;
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, Method};
use lepton_core::{
    ETag, Error, ErrorKind, KeyPrefix, ListPage, ListRequest, ObjectKey, ObjectMeta, PageStream, Result,
};
use percent_encoding::percent_decode;

use super::client::{Client, LONGEST_PAGE};
use crate::wire::encode::Query;
use crate::wire::pages::{check_count, is_truncated};
use crate::wire::time::parse_iso8601;
use crate::wire::xml::Element;

/// The position where the next page begins.
type Token = Vec<u8>;

/// The pages of a listing.
pub(super) fn pages(client: Arc<Client>, request: ListRequest) -> PageStream {
    let first = Some(None);
    let pages = stream::unfold((client, request, first), |(client, request, place)| async move {
        let (page, next) = match client.bucket_page(&request, place?).await {
            Ok((page, next)) => (Ok(page), next.map(Some)),
            Err(error) => (Err(error.with_operation("list")), None),
        };
        Some((page, (client, request, next)))
    });
    pages.boxed()
}

impl Client {
    async fn bucket_page(&self, request: &ListRequest, place: Option<Token>) -> Result<(ListPage, Option<Token>)> {
        let mut query = Query::new().with("list-type", "2").with("encoding-type", "url");
        query.push("prefix", request.prefix.as_bytes());
        if let Some(delimiter) = request.delimiter {
            query.push("delimiter", [delimiter]);
        }
        if let Some(entries) = request.page_size {
            query.push("max-keys", entries.clamp(1, 1000).to_string());
        }
        let here = place.clone();
        match (place, &request.start_after) {
            (Some(token), _) => query.push("continuation-token", token),
            (None, Some(key)) => query.push("start-after", key),
            (None, None) => {}
        }
        query.append_encoded(&self.query);
        let uri = self.base.join("/", &query.canonical())?;
        let missing = |error: Error| match error.kind() {
            ErrorKind::NotFound => error.with_kind(ErrorKind::BucketNotFound),
            _ => error,
        };
        let reply = self.ask(Method::GET, uri, HeaderMap::new()).await.map_err(missing)?;
        let page = parse_page(&reply.body.read(LONGEST_PAGE).await?);
        let (page, next) = page.map_err(|error| reply.secrets.hidden(error))?;
        if next.is_some() && next == here {
            return Err(Error::new(ErrorKind::Unexpected, "a page of the listing continues where it began"));
        }
        Ok((page, next))
    }
}

/// Parses a page. Also returns where the next one begins.
pub(super) fn parse_page(document: &[u8]) -> Result<(ListPage, Option<Token>)> {
    let wrong = |why: &'static str| Error::new(ErrorKind::Unexpected, why);
    let root = Element::parse(document)?;
    if root.name() != b"ListBucketResult" {
        return Err(wrong("the answer is no listing of a bucket; is the URL that of the bucket itself?"));
    }
    let encoded = root.text("EncodingType").is_some_and(|kind| kind.eq_ignore_ascii_case("url"));
    let mut page = ListPage::default();
    for contents in root.children("Contents") {
        let key = name(contents.bytes("Key").unwrap_or_default(), encoded);
        let key = ObjectKey::new(key).map_err(|_| wrong("an entry has no key"))?;
        let size = contents.parsed("Size").ok_or_else(|| wrong("an object has no size").with_context("key", &key))?;
        let mut meta = ObjectMeta::new(key, size);
        meta.last_modified = contents.text("LastModified").and_then(parse_iso8601);
        meta.etag = contents.text("ETag").map(tag);
        page.objects.push(meta);
    }
    for group in root.children("CommonPrefixes") {
        page.prefixes.push(KeyPrefix::new(name(group.bytes("Prefix").unwrap_or_default(), encoded)));
    }
    check_count(&root, page.objects.len() + page.prefixes.len())?;
    let token = root.bytes("NextContinuationToken");
    let more = is_truncated(&root, token)?;
    Ok((page, token.filter(|_| more).map(<[u8]>::to_vec)))
}

/// Decodes a name. Not every server honours `encoding-type=url`, and those that do report
/// it.
fn name(bytes: &[u8], encoded: bool) -> Vec<u8> {
    if !encoded {
        return bytes.to_vec();
    }
    // Form encoding: a plus is a space, and a real plus is escaped.
    let spaced: Vec<u8> = bytes.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    percent_decode(&spaced).collect()
}

/// A tag in the form that the header of a read has.
fn tag(text: &str) -> ETag {
    let quoted = if text.starts_with('"') { Cow::Borrowed(text) } else { Cow::Owned(format!("\"{text}\"")) };
    ETag::new(quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(inner: &str) -> Result<(ListPage, Option<Token>)> {
        parse_page(format!("<?xml version='1.0'?><ListBucketResult xmlns='x'>{inner}</ListBucketResult>").as_bytes())
    }

    #[test]
    fn an_entry_with_everything() {
        let (page, next) = page(
            "<IsTruncated>true</IsTruncated><NextContinuationToken>a&amp;b=</NextContinuationToken>\
             <EncodingType>url</EncodingType><Contents><Key>a+b%2B%FF</Key><Size>7</Size><ETag>e</ETag>\
             <LastModified>2009-10-12T17:50:30.000Z</LastModified></Contents>\
             <CommonPrefixes><Prefix>x+y/</Prefix></CommonPrefixes>",
        )
        .unwrap();
        let object = &page.objects[0];
        assert_eq!((object.key.as_bytes(), object.size), (&b"a b+\xff"[..], 7));
        assert_eq!(object.etag.as_ref().map(ETag::as_str), Some("\"e\""));
        assert!(object.last_modified.is_some());
        assert_eq!((page.prefixes[0].as_bytes(), next.as_deref()), (&b"x y/"[..], Some(&b"a&b="[..])));
    }

    #[test]
    fn broken_pages_are_errors() {
        for inner in [
            "<Contents><Key>k</Key></Contents>",
            "<Contents><Size>1</Size></Contents>",
            "<IsTruncated>true</IsTruncated>",
        ] {
            assert_eq!(page(inner).err().unwrap().kind(), ErrorKind::Unexpected, "{inner}");
        }
        assert!(parse_page(b"<html></html>").unwrap_err().to_string().contains("no listing of a bucket"));
    }
}
