//! Listings, byte for byte.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use lepton_core::{ETag, KeyPrefix, ListPage, ListRequest, ObjectKey, ObjectMeta, PageStream, Result};
use percent_encoding::percent_decode;

use super::client::{Client, Request};
use crate::wire;
use crate::wire::encode::Query;
use crate::wire::pages::{check_count, is_truncated};
use crate::wire::request::unexpected;
use crate::wire::time::parse_iso8601;
use crate::wire::xml::Element;

/// The pages of a listing.
pub(super) fn pages(client: Arc<Client>, request: ListRequest) -> PageStream {
    let page =
        |(client, request): (Arc<Client>, ListRequest), cursor| async move { client.list_page(&request, cursor).await };
    wire::pages::pages((client, request), Cursor::Start, page)
}

/// Where a page begins.
#[derive(PartialEq)]
pub(super) enum Cursor {
    Start,
    Token(Vec<u8>),
}

impl Client {
    async fn list_page(&self, request: &ListRequest, cursor: Cursor) -> Result<(ListPage, Option<Cursor>)> {
        let mut query = list_query(request).with("list-type", "2");
        match &cursor {
            Cursor::Token(token) => query.push("continuation-token", token),
            Cursor::Start => {
                if let Some(key) = &request.start_after {
                    query.push("start-after", key);
                }
            }
        }
        let request = Request::new("list", Method::GET, None).query(query);
        let (_, document, secrets) = self.send_for_document(request).await?;
        let page = parse_page(&document).and_then(|(page, next)| match next {
            Some(next) if next == cursor => Err(unexpected("a page continues where it began")),
            next => Ok((page, next)),
        });
        page.map_err(|error| secrets.hidden(error).with_operation("list").with_context("bucket", &self.bucket))
    }
}

/// The parameters common to all listings.
pub(super) fn list_query(request: &ListRequest) -> Query {
    let mut query = Query::new().with("encoding-type", "url");
    if !request.prefix.is_empty() {
        query.push("prefix", request.prefix.as_bytes());
    }
    if let Some(delimiter) = request.delimiter {
        query.push("delimiter", [delimiter]);
    }
    if let Some(entries) = request.page_size {
        query.push("max-keys", entries.clamp(1, 1000).to_string());
    }
    query
}

pub(super) fn parse_page(document: &[u8]) -> Result<(ListPage, Option<Cursor>)> {
    let root = Element::parse(document)?;
    expect_root(&root, &["ListBucketResult"])?;
    let names = Names::of(&root);
    let mut objects = Vec::new();
    for contents in root.children("Contents") {
        let key = names.key(contents, "Key")?;
        objects.push(object(contents, key)?);
    }
    let mut prefixes = Vec::new();
    for group in root.children("CommonPrefixes") {
        prefixes.push(KeyPrefix::new(names.bytes(group, "Prefix")));
    }
    check_count(&root, objects.len() + prefixes.len())?;
    let token = root.bytes("NextContinuationToken");
    let more = is_truncated(&root, token)?;
    let next = token.filter(|_| more).map(|token| Cursor::Token(token.to_vec()));
    Ok((ListPage::new(objects, prefixes), next))
}

/// The metadata of an object in a listing.
pub(super) fn object(element: &Element<'_>, key: ObjectKey) -> Result<ObjectMeta> {
    let size =
        element.parsed("Size").ok_or_else(|| unexpected("an object without a size").with_context("key", &key))?;
    let mut meta = ObjectMeta::new(key, size);
    meta.last_modified = element.text("LastModified").and_then(parse_iso8601);
    meta.etag = element.text("ETag").map(ETag::new);
    meta.storage_class = element.text("StorageClass").filter(|class| *class != "STANDARD").map(str::to_owned);
    Ok(meta)
}

/// The encoding of names in a listing: not every server honours `encoding-type=url`, and
/// those that do report it.
#[derive(Clone, Copy)]
pub(super) struct Names {
    encoded: bool,
}

impl Names {
    pub(super) fn of(root: &Element<'_>) -> Self {
        Self { encoded: root.text("EncodingType").is_some_and(|kind| kind.eq_ignore_ascii_case("url")) }
    }

    pub(super) fn bytes(self, element: &Element<'_>, name: &str) -> Bytes {
        let bytes = element.bytes(name).unwrap_or_default();
        if !self.encoded {
            return Bytes::copy_from_slice(bytes);
        }
        // Form encoding: a plus is a space, and a real plus is escaped.
        let spaced: Cow<'_, [u8]> = if bytes.contains(&b'+') {
            Cow::Owned(bytes.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect())
        } else {
            Cow::Borrowed(bytes)
        };
        percent_decode(&spaced).collect::<Vec<u8>>().into()
    }

    pub(super) fn key(self, element: &Element<'_>, name: &str) -> Result<ObjectKey> {
        ObjectKey::new(self.bytes(element, name)).map_err(|_| unexpected("an entry without a key"))
    }
}

/// Fails unless the root has one of these names; servers differ in some of them.
pub(super) fn expect_root(root: &Element<'_>, names: &[&str]) -> Result<()> {
    if names.iter().any(|name| name.as_bytes() == root.name()) {
        return Ok(());
    }
    let (found, wanted) = (String::from_utf8_lossy(root.name()), names.first().unwrap_or(&""));
    Err(unexpected(format!("the answer is <{found}> where <{wanted}> should be; is the endpoint that of an S3 store?")))
}

#[cfg(test)]
mod tests {
    use lepton_core::ErrorKind;

    use super::*;

    fn page(inner: &str) -> Result<(ListPage, Option<Cursor>)> {
        parse_page(format!("<?xml version='1.0'?><ListBucketResult xmlns='x'>{inner}</ListBucketResult>").as_bytes())
    }

    #[test]
    fn encoded_and_raw_names_are_read_byte_for_byte() {
        let (encoded, _) = page(
            "<EncodingType>url</EncodingType><Contents><Key>a+b%2Bc%01%FF%2F%2F</Key><Size>1</Size></Contents>\
             <CommonPrefixes><Prefix>x+y/</Prefix></CommonPrefixes>",
        )
        .unwrap();
        assert_eq!(encoded.objects[0].key.as_bytes(), b"a b+c\x01\xff//");
        assert_eq!(encoded.prefixes[0].as_bytes(), b"x y/");
        let (raw, _) = page("<Contents><Key>a+b%2B&#x1;&amp; ü//</Key><Size>1</Size></Contents>").unwrap();
        assert_eq!(raw.objects[0].key.as_bytes(), "a+b%2B\u{1}& ü//".as_bytes());
    }

    #[test]
    fn an_object_with_everything() {
        let (page, next) = page(
            "<IsTruncated>true</IsTruncated><NextContinuationToken>a&amp;b=</NextContinuationToken>\
             <Contents><Key>k</Key><Size>7</Size><ETag>&quot;e&quot;</ETag><StorageClass>GLACIER</StorageClass>\
             <LastModified>2009-10-12T17:50:30.000Z</LastModified><Owner><ID>x</ID></Owner></Contents>",
        )
        .unwrap();
        let object = &page.objects[0];
        assert_eq!((object.size, object.etag.as_ref().map(ETag::as_str)), (7, Some("\"e\"")));
        assert_eq!(object.storage_class.as_deref(), Some("GLACIER"));
        assert!(object.last_modified.is_some());
        assert!(matches!(next, Some(Cursor::Token(token)) if token == b"a&b="));
    }

    #[test]
    fn broken_pages_are_errors() {
        for inner in [
            "<Contents><Key>k</Key></Contents>",
            "<Contents><Size>1</Size></Contents>",
            "<IsTruncated>true</IsTruncated>",
            "<NextContinuationToken>t</NextContinuationToken>",
            "<IsTruncated>false</IsTruncated><NextContinuationToken>t</NextContinuationToken>",
            "<IsTruncated>True</IsTruncated><NextContinuationToken>t</NextContinuationToken>",
            "<IsTruncated>1</IsTruncated>",
            "<IsTruncated> true </IsTruncated><NextContinuationToken>t</NextContinuationToken>",
            "<IsTruncated>false</IsTruncated><KeyCount>1</KeyCount>",
            "<IsTruncated>false</IsTruncated><KeyCount>many</KeyCount>",
        ] {
            assert_eq!(page(inner).err().unwrap().kind(), ErrorKind::Unexpected, "{inner}");
        }
        let error = parse_page(b"<html></html>").err().unwrap();
        assert!(error.to_string().contains("<html>"), "{error}");
    }
}
