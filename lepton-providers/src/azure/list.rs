//! Listings, byte for byte.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use lepton_core::{Attributes, KeyPrefix, ListPage, ListRequest, ObjectKey, ObjectMeta, PageStream, Result};
use percent_encoding::percent_decode;

use super::client::{Client, Request};
use super::headers::{quoted, stored_md5};
use crate::wire;
use crate::wire::attributes::unless_large;
use crate::wire::encode::Query;
use crate::wire::request::unexpected;
use crate::wire::xml::Element;
use crate::wire::{mtime, rfc2047};

/// The maximum page size of the service.
const PAGE: usize = 5000;

/// The position where a page begins; empty for the first.
pub(super) type Marker = Vec<u8>;

/// Parses a page, and the position where the next one begins.
type Parse<T> = fn(&[u8]) -> Result<(T, Option<Marker>)>;

/// The pages of a listing.
pub(super) fn pages(client: Arc<Client>, request: ListRequest) -> PageStream {
    let page =
        |(client, request): (Arc<Client>, ListRequest), place| async move { client.list_page(&request, place).await };
    wire::pages::pages((client, request), Marker::new(), page)
}

impl Client {
    async fn list_page(&self, request: &ListRequest, marker: Marker) -> Result<(ListPage, Option<Marker>)> {
        let (include, parse): (_, Parse<ListPage>) = match request.attributes {
            true => (Some("metadata"), parse_described),
            false => (None, parse_page),
        };
        let (mut page, next) = self.page(request, &marker, include, "list", parse).await?;
        let Some(after) = &request.start_after else { return Ok((page, next)) };
        // The service cannot start after a given key.
        page.objects.retain(|object| object.key.as_bytes() > &after[..]);
        let mut kept = Vec::new();
        for prefix in page.prefixes {
            let behind = prefix.as_bytes() > &after[..];
            if behind || (after.starts_with(prefix.as_bytes()) && self.has_behind(&prefix, after).await?) {
                kept.push(prefix);
            }
        }
        page.prefixes = kept;
        Ok((page, next))
    }

    /// Whether there is a key after `after` below a prefix.
    async fn has_behind(&self, prefix: &KeyPrefix, after: &Bytes) -> Result<bool> {
        let request = ListRequest::new().prefix(prefix.clone());
        let mut marker = Some(Marker::new());
        while let Some(from) = marker {
            let (page, next) = self.page(&request, &from, None, "list", parse_page).await?;
            if page.objects.iter().any(|object| object.key.as_bytes() > &after[..]) {
                return Ok(true);
            }
            marker = next;
        }
        Ok(false)
    }

    /// One page, and the position where the next one begins.
    pub(super) async fn page<T>(
        &self,
        request: &ListRequest,
        marker: &Marker,
        include: Option<&str>,
        operation: &'static str,
        parse: Parse<T>,
    ) -> Result<(T, Option<Marker>)> {
        let mut query = Query::new().with("restype", "container").with("comp", "list");
        if !request.prefix.is_empty() {
            query.push("prefix", request.prefix.as_bytes());
        }
        if let Some(delimiter) = request.delimiter {
            query.push("delimiter", [delimiter]);
        }
        if let Some(size) = request.page_size {
            query.push("maxresults", size.clamp(1, PAGE).to_string());
        }
        if let Some(include) = include {
            query.push("include", include);
        }
        if !marker.is_empty() {
            query.push("marker", marker);
        }
        let request = Request::new(operation, Method::GET, None).query(query);
        let (_, document, secrets) = self.send_for_document(request).await?;
        let page = parse(&document).and_then(|(page, next)| match next {
            Some(next) if next == *marker => Err(unexpected("a page continues where it began")),
            next => Ok((page, next)),
        });
        page.map_err(|error| secrets.hidden(error).with_operation(operation).with_context("container", &self.container))
    }
}

/// Parses a page.
fn parse_page(document: &[u8]) -> Result<(ListPage, Option<Marker>)> {
    read_page(document, |_| None)
}

/// Parses a page that was requested with metadata, including the attributes of each blob.
pub(super) fn parse_described(document: &[u8]) -> Result<(ListPage, Option<Marker>)> {
    read_page(document, attached)
}

fn read_page(
    document: &[u8],
    attached: fn(&Element<'_>) -> Option<Arc<Attributes>>,
) -> Result<(ListPage, Option<Marker>)> {
    let root = Element::parse(document)?;
    let (mut objects, mut prefixes) = (Vec::new(), Vec::new());
    for entry in entries(&root)? {
        match entry.name() {
            b"Blob" if !is_folder(entry) => {
                let mut object = object(entry)?;
                object.attributes = attached(entry);
                objects.push(object);
            }
            b"BlobPrefix" => prefixes.push(KeyPrefix::new(name(entry)?)),
            _ => {}
        }
    }
    Ok((ListPage::new(objects, prefixes), next(&root)))
}

/// The entries of a page.
pub(super) fn entries<'a, 'b>(root: &'b Element<'a>) -> Result<impl Iterator<Item = &'b Element<'a>>> {
    if root.name() != b"EnumerationResults" {
        let found = String::from_utf8_lossy(root.name()).into_owned();
        let why =
            format!("the answer is <{found}> where <EnumerationResults> should be; is the endpoint a blob service?");
        return Err(unexpected(why));
    }
    Ok(root.child("Blobs").into_iter().flat_map(Element::elements))
}

/// The position where the next page begins.
pub(super) fn next(root: &Element<'_>) -> Option<Marker> {
    root.bytes("NextMarker").filter(|marker| !marker.is_empty()).map(<[u8]>::to_vec)
}

/// A folder of an account with a hierarchical namespace is not a blob.
pub(super) fn is_folder(blob: &Element<'_>) -> bool {
    blob.child("Properties").and_then(|properties| properties.text("ResourceType")) == Some("directory")
}

/// The metadata of an entry's blob.
pub(super) fn object(blob: &Element<'_>) -> Result<ObjectMeta> {
    let key = ObjectKey::new(name(blob)?)?;
    let incomplete = || unexpected("a blob without properties or a length").with_context("key", &key);
    let properties = blob.child("Properties").ok_or_else(incomplete)?;
    let size = properties.parsed("Content-Length").ok_or_else(incomplete)?;
    let mut meta = ObjectMeta::new(key.clone(), size);
    meta.etag = properties.text("Etag").map(quoted);
    meta.last_modified = properties.text("Last-Modified").and_then(|date| httpdate::parse_http_date(date).ok());
    meta.checksums.extend(properties.text("Content-MD5").and_then(stored_md5));
    let inferred = properties.text("AccessTierInferred") == Some("true");
    meta.storage_class = properties.text("AccessTier").filter(|_| !inferred).map(str::to_owned);
    Ok(meta)
}

/// The attributes of an entry's blob, if the listing holds all of them: it omits tags,
/// names that XML cannot hold, and the metadata of blobs that are encrypted with a
/// customer-provided key.
fn attached(blob: &Element<'_>) -> Option<Arc<Attributes>> {
    let properties = blob.child("Properties")?;
    let text = |name: &str| properties.text(name).filter(|text| !text.is_empty()).map(str::to_owned);
    if properties.parsed("TagCount").is_some_and(|tags: u32| tags > 0) {
        return None;
    }
    let mut attributes = Attributes::default();
    attributes.content_type = text("Content-Type");
    attributes.content_encoding = text("Content-Encoding");
    attributes.content_disposition = text("Content-Disposition");
    attributes.content_language = text("Content-Language");
    attributes.cache_control = text("Cache-Control");
    if let Some(metadata) = blob.child("Metadata") {
        if metadata.has_attribute("Encrypted", "true") || metadata.child("x-ms-invalid-name").is_some() {
            return None;
        }
        for pair in metadata.elements() {
            let name = str::from_utf8(pair.name()).ok()?.to_ascii_lowercase();
            let value = rfc2047::decode(str::from_utf8(pair.content()).ok()?);
            attributes.user_metadata.extend([mtime::inward((name, value))]);
        }
    }
    unless_large(attributes)
}

/// The name of an entry. It is encoded if XML could not hold it, which an attribute of
/// the tag states.
fn name(entry: &Element<'_>) -> Result<Bytes> {
    let name = entry.child("Name").ok_or_else(|| unexpected("an entry without a name"))?;
    let bytes = name.content();
    if !name.has_attribute("Encoded", "true") {
        return Ok(Bytes::copy_from_slice(bytes));
    }
    Ok(Cow::from(percent_decode(bytes)).into_owned().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(inner: &str, next: &str) -> Result<(ListPage, Option<Marker>)> {
        let document = format!(
            "<?xml version='1.0'?><EnumerationResults ContainerName='c'><Blobs>{inner}</Blobs>\
             <NextMarker>{next}</NextMarker></EnumerationResults>"
        );
        parse_described(document.as_bytes())
    }

    #[test]
    fn names_and_properties_are_read() {
        let (page, next) = page(
            "<Blob><Name>a&amp; b</Name><Properties><Last-Modified>Sun, 06 Nov 1994 08:49:37 GMT</Last-Modified>\
             <Etag>0x8D</Etag><Content-Length>5</Content-Length><Content-MD5>1B2M2Y8AsgTpgAmY7PhCfg==</Content-MD5>\
             <AccessTier>Cool</AccessTier></Properties></Blob>\
             <Blob><Name Encoded=\"true\">x%01%EF%BF%BE</Name><Properties><Content-Length>0</Content-Length>\
             <AccessTier>Hot</AccessTier><AccessTierInferred>true</AccessTierInferred></Properties></Blob>\
             <Blob><Name>d</Name><Properties><ResourceType>directory</ResourceType></Properties></Blob>\
             <BlobPrefix><Name>z/</Name></BlobPrefix>",
            "more",
        )
        .unwrap();
        let keys: Vec<&[u8]> = page.objects.iter().map(|object| object.key.as_bytes()).collect();
        assert_eq!(keys, [&b"a& b"[..], b"x\x01\xef\xbf\xbe"]);
        let first = &page.objects[0];
        assert_eq!((first.size, first.etag.as_ref().unwrap().as_str()), (5, "\"0x8D\""));
        assert_eq!((first.checksums.len(), first.storage_class.as_deref()), (1, Some("Cool")));
        assert_eq!(page.objects[1].storage_class, None);
        assert_eq!(page.prefixes[0].as_bytes(), b"z/");
        assert_eq!(next.as_deref(), Some(&b"more"[..]));
    }

    #[test]
    fn attributes_in_a_listing_are_complete_or_absent() {
        let attributes_of = |properties: &str, metadata: &str| {
            let blob = format!(
                "<Blob><Name>a</Name><Properties><Content-Length>1</Content-Length>{properties}</Properties>\
                 {metadata}</Blob>"
            );
            page(&blob, "").unwrap().0.objects.remove(0).attributes
        };
        let metadata = "<Metadata><Origin>=?UTF-8?B?w6Q=?=</Origin><mtime>2020-01-01T00:00:00Z</mtime></Metadata>";
        let all = attributes_of("<Content-Type>text/plain</Content-Type><Content-Encoding />", metadata).unwrap();
        assert_eq!((all.content_type.as_deref(), all.content_encoding.as_deref()), (Some("text/plain"), None));
        assert_eq!(all.user_metadata["origin"], "ä");
        assert_eq!(all.user_metadata["mtime"], "1577836800.000000000");
        assert_eq!(attributes_of("", "").as_deref(), Some(&Attributes::default()));
        assert!(attributes_of("<TagCount>2</TagCount>", "").is_none());
        assert!(attributes_of("", "<Metadata Encrypted=\"true\" />").is_none());
        assert!(attributes_of("", "<Metadata><x-ms-invalid-name>1</x-ms-invalid-name></Metadata>").is_none());
    }

    #[test]
    fn broken_pages_are_errors() {
        assert_eq!(page("", "").unwrap().1, None);
        for inner in ["<Blob/>", "<Blob><Name>a</Name></Blob>", "<Blob><Name></Name><Properties/></Blob>"] {
            assert!(page(inner, "").is_err(), "{inner}");
        }
        assert!(parse_page(b"<html></html>").unwrap_err().to_string().contains("endpoint"));
    }
}
