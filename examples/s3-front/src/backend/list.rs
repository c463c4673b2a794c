//! ListObjects and ListObjectsV2.

use futures_util::StreamExt as _;
use http::Response;
use lepton_core::{KeyPrefix, ListRequest, ObjectMeta};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::attributes::quoted;
use super::{Backend, BucketState};
use crate::call::Call;
use crate::protocol::{self, Body, IntoS3 as _, S3Result, Xml, s3_error};

/// The largest page, as in Amazon S3.
const PAGE: usize = 1000;
/// A byte that occurs in no UTF-8 text: appended to a prefix it is greater than every key below
/// that prefix.
const BEYOND: u8 = 0xff;
/// The characters that `encoding-type=url` leaves unchanged.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

impl Backend {
    pub(super) async fn list_v2(&self, call: Call<'_>) -> S3Result<Response<Body>> {
        let bucket = self.bucket(call.bucket())?;
        let names = Names::of(call)?;
        let token = call.query.text("continuation-token")?;
        let start_after = call.query.text("start-after")?;
        let start = match &token {
            Some(token) => Start::from_token(token)?,
            None => Start::after_key(start_after.as_deref()),
        };
        let query = Query::of(call, start)?;
        let page = query.run(bucket).await?;
        let entries = names.entries(page.entries)?;
        Ok(protocol::with_document(Xml::document("ListBucketResult", |xml| {
            query.write(call.bucket(), &names, xml);
            xml.text("KeyCount", entries.len());
            xml.text("IsTruncated", page.next.is_some());
            xml.optional("StartAfter", start_after.map(|text| names.text(&text)));
            xml.optional("ContinuationToken", token);
            xml.optional("NextContinuationToken", page.next.map(|next| next.token()));
            entries.iter().for_each(|(name, entry)| entry.write(name, xml));
        })))
    }

    pub(super) async fn list_v1(&self, call: Call<'_>) -> S3Result<Response<Body>> {
        let bucket = self.bucket(call.bucket())?;
        let names = Names::of(call)?;
        let marker = call.query.text("marker")?;
        let start = match (&marker, call.query.text("delimiter")?) {
            // The marker of a page that ended with a common prefix.
            (Some(marker), Some(delimiter)) if !delimiter.is_empty() && marker.ends_with(&delimiter) => {
                Start::Prefix(marker.clone().into_bytes())
            }
            (marker, _) => Start::after_key(marker.as_deref()),
        };
        let query = Query::of(call, start)?;
        let page = query.run(bucket).await?;
        let entries = names.entries(page.entries)?;
        let next = match page.next {
            Some(Start::Key(last) | Start::Prefix(last)) => Some(names.bytes(&last)?),
            Some(Start::Beginning) | None => None,
        };
        Ok(protocol::with_document(Xml::document("ListBucketResult", |xml| {
            query.write(call.bucket(), &names, xml);
            xml.text("IsTruncated", next.is_some());
            xml.text("Marker", names.text(&marker.unwrap_or_default()));
            xml.optional("NextMarker", next);
            entries.iter().for_each(|(name, entry)| entry.write(name, xml));
        })))
    }
}

/// Where a listing resumes.
enum Start {
    Beginning,
    /// After this key.
    Key(Vec<u8>),
    /// After every key below this common prefix.
    Prefix(Vec<u8>),
}

impl Start {
    fn after_key(key: Option<&str>) -> Self {
        key.filter(|key| !key.is_empty()).map_or(Self::Beginning, |key| Self::Key(key.as_bytes().to_vec()))
    }

    fn token(&self) -> String {
        match self {
            Self::Beginning => String::new(),
            Self::Key(key) => format!("k{}", lepton_core::to_hex(key)),
            Self::Prefix(prefix) => format!("p{}", lepton_core::to_hex(prefix)),
        }
    }

    fn from_token(token: &str) -> S3Result<Self> {
        let name = |hex| lepton_core::from_hex(hex);
        let key = token.strip_prefix('k').and_then(name).map(Self::Key);
        let start = key.or_else(|| token.strip_prefix('p').and_then(name).map(Self::Prefix));
        start.ok_or_else(|| s3_error!(InvalidArgument, "the continuation token is not one of this server's"))
    }
}

struct Query {
    prefix: String,
    delimiter: Option<u8>,
    start: Start,
    max_keys: usize,
}

enum Entry {
    Object(ObjectMeta),
    Prefix(KeyPrefix),
}

impl Entry {
    fn name(&self) -> &[u8] {
        match self {
            Self::Object(meta) => meta.key.as_bytes(),
            Self::Prefix(prefix) => prefix.as_bytes(),
        }
    }

    fn write(&self, name: &str, xml: &mut Xml) {
        match self {
            Self::Prefix(_) => xml.element("CommonPrefixes", |xml| xml.text("Prefix", name)),
            Self::Object(meta) => xml.element("Contents", |xml| {
                xml.text("Key", name);
                write_meta(meta, xml);
            }),
        }
    }
}

/// The elements of a listing that describe an object.
pub(super) fn write_meta(meta: &ObjectMeta, xml: &mut Xml) {
    if let Some(time) = meta.last_modified {
        xml.time("LastModified", time);
    }
    xml.optional("ETag", meta.etag.as_ref().map(quoted));
    xml.text("Size", meta.size);
    xml.text("StorageClass", meta.storage_class.as_deref().unwrap_or("STANDARD"));
}

struct Page {
    entries: Vec<Entry>,
    next: Option<Start>,
}

impl Query {
    fn of(call: Call<'_>, start: Start) -> S3Result<Self> {
        let delimiter = match call.query.text("delimiter")?.unwrap_or_default().as_bytes() {
            [] => None,
            [byte] => Some(*byte),
            _ => return Err(s3_error!(NotImplemented, "a delimiter has one byte on this server")),
        };
        let prefix = call.query.text("prefix")?.unwrap_or_default();
        Ok(Self { prefix, delimiter, start, max_keys: limit(call, "max-keys")? })
    }

    /// The elements that repeat the request.
    fn write(&self, bucket: &str, names: &Names, xml: &mut Xml) {
        xml.text("Name", bucket);
        xml.text("Prefix", names.text(&self.prefix));
        let delimiter = self.delimiter.map(|byte| char::from(byte).to_string());
        xml.optional("Delimiter", delimiter.map(|text| names.text(&text)));
        xml.text("MaxKeys", self.max_keys);
        names.write(xml);
    }

    /// Collects one entry more than requested, to find out whether there are more.
    async fn run(&self, bucket: &BucketState) -> S3Result<Page> {
        let limit = self.max_keys;
        let mut entries = Vec::new();
        if limit == 0 {
            return Ok(Page { entries, next: None });
        }
        let mut pages = bucket.storage.list(self.request(limit + 1));
        while entries.len() <= limit {
            let Some(page) = pages.next().await else { break };
            let page = page.s3()?;
            let found = page.objects.into_iter().map(Entry::Object);
            let found = found.chain(page.prefixes.into_iter().map(Entry::Prefix).filter(|entry| !self.is_done(entry)));
            entries.extend(found.filter(|entry| !bucket.hides(entry.name())));
        }
        entries.sort_by(|a, b| a.name().cmp(b.name()));
        let more = entries.len() > limit;
        entries.truncate(limit);
        let next = entries.last().filter(|_| more).map(|last| match last {
            Entry::Object(meta) => Start::Key(meta.key.as_bytes().to_vec()),
            Entry::Prefix(prefix) => Start::Prefix(prefix.as_bytes().to_vec()),
        });
        Ok(Page { entries, next })
    }

    fn request(&self, page_size: usize) -> ListRequest {
        let mut request = ListRequest::new().prefix(self.prefix.as_str().into()).page_size(page_size);
        if let Some(delimiter) = self.delimiter {
            request = request.delimiter(delimiter);
        }
        match &self.start {
            Start::Beginning => request,
            Start::Key(key) => request.start_after(key.clone()),
            Start::Prefix(prefix) => request.start_after([prefix.as_slice(), &[BEYOND]].concat()),
        }
    }

    /// Whether the last page ended with this prefix: keys that are not UTF-8 may sort after
    /// [`BEYOND`].
    fn is_done(&self, entry: &Entry) -> bool {
        matches!(&self.start, Start::Prefix(done) if done == entry.name())
    }
}

/// How names are written: unchanged, or percent-encoded so that XML can carry every byte.
pub(super) struct Names {
    encoded: bool,
}

impl Names {
    pub(super) fn of(call: Call<'_>) -> S3Result<Self> {
        match call.query.text("encoding-type")?.as_deref() {
            None | Some("") => Ok(Self { encoded: false }),
            Some("url") => Ok(Self { encoded: true }),
            Some(_) => Err(s3_error!(InvalidArgument, "the encoding type is url or absent")),
        }
    }

    pub(super) fn write(&self, xml: &mut Xml) {
        xml.optional("EncodingType", self.encoded.then_some("url"));
    }

    pub(super) fn text(&self, text: &str) -> String {
        if self.encoded { percent_encode(text.as_bytes(), UNRESERVED).to_string() } else { text.to_owned() }
    }

    pub(super) fn bytes(&self, name: &[u8]) -> S3Result<String> {
        if self.encoded {
            return Ok(percent_encode(name, UNRESERVED).to_string());
        }
        let text = std::str::from_utf8(name).map(str::to_owned);
        text.map_err(|_| s3_error!(InvalidRequest, "a key is not UTF-8: list with encoding-type=url"))
    }

    fn entries(&self, entries: Vec<Entry>) -> S3Result<Vec<(String, Entry)>> {
        entries.into_iter().map(|entry| Ok((self.bytes(entry.name())?, entry))).collect()
    }
}

/// The requested size of a page, which is at most [`PAGE`].
pub(super) fn limit(call: Call<'_>, name: &str) -> S3Result<usize> {
    Ok(call.query.parsed(name)?.unwrap_or(PAGE).min(PAGE))
}
