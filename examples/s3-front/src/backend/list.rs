//! ListObjects and ListObjectsV2.

use futures_util::StreamExt as _;
use lepton_core::{KeyPrefix, ListRequest, ObjectMeta};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use s3s::dto::{
    CommonPrefix, EncodingType, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output, Object,
};
use s3s::{S3Response, S3Result, s3_error};

use super::attributes::s3_etag;
use super::error::IntoS3 as _;
use super::{Backend, BucketState, signed};

/// The largest page, as in Amazon S3.
const PAGE: i32 = 1000;
/// A byte that occurs in no UTF-8 text: appended to a prefix it is greater than every key below
/// that prefix.
const BEYOND: u8 = 0xff;
/// The characters that `encoding-type=url` leaves unchanged.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

impl Backend {
    pub(super) async fn list_v2(&self, input: ListObjectsV2Input) -> S3Result<S3Response<ListObjectsV2Output>> {
        let bucket = self.bucket(&input.bucket)?;
        let names = Names::new(input.encoding_type.as_ref())?;
        let start = match &input.continuation_token {
            Some(token) => Start::from_token(token)?,
            None => Start::after_key(input.start_after.as_deref()),
        };
        let query = Query::new(input.prefix.as_deref(), input.delimiter.as_deref(), start, input.max_keys)?;
        let page = query.run(bucket).await?;
        let (contents, common_prefixes) = names.entries(page.entries)?;
        let plain = |text: &Option<String>| text.as_ref().map(|text| names.text(text));
        Ok(S3Response::new(ListObjectsV2Output {
            prefix: Some(names.text(input.prefix.as_deref().unwrap_or_default())),
            delimiter: plain(&input.delimiter),
            start_after: plain(&input.start_after),
            name: Some(input.bucket),
            max_keys: Some(query.max_keys),
            key_count: i32::try_from(contents.len() + common_prefixes.len()).ok(),
            is_truncated: Some(page.next.is_some()),
            continuation_token: input.continuation_token,
            next_continuation_token: page.next.map(|next| next.token()),
            contents: Some(contents),
            common_prefixes: Some(common_prefixes),
            encoding_type: input.encoding_type,
            ..Default::default()
        }))
    }

    pub(super) async fn list_v1(&self, input: ListObjectsInput) -> S3Result<S3Response<ListObjectsOutput>> {
        let bucket = self.bucket(&input.bucket)?;
        let names = Names::new(input.encoding_type.as_ref())?;
        let start = match (&input.marker, &input.delimiter) {
            // The marker of a page that ended with a common prefix.
            (Some(marker), Some(delimiter)) if !delimiter.is_empty() && marker.ends_with(delimiter.as_str()) => {
                Start::Prefix(marker.clone().into_bytes())
            }
            (marker, _) => Start::after_key(marker.as_deref()),
        };
        let query = Query::new(input.prefix.as_deref(), input.delimiter.as_deref(), start, input.max_keys)?;
        let page = query.run(bucket).await?;
        let (contents, common_prefixes) = names.entries(page.entries)?;
        let next_marker = match page.next {
            Some(Start::Key(last) | Start::Prefix(last)) => Some(names.bytes(&last)?),
            Some(Start::Beginning) | None => None,
        };
        Ok(S3Response::new(ListObjectsOutput {
            prefix: Some(names.text(input.prefix.as_deref().unwrap_or_default())),
            delimiter: input.delimiter.as_ref().map(|text| names.text(text)),
            marker: Some(names.text(input.marker.as_deref().unwrap_or_default())),
            name: Some(input.bucket),
            max_keys: Some(query.max_keys),
            is_truncated: Some(next_marker.is_some()),
            next_marker,
            contents: Some(contents),
            common_prefixes: Some(common_prefixes),
            encoding_type: input.encoding_type,
            ..Default::default()
        }))
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
    prefix: KeyPrefix,
    delimiter: Option<u8>,
    start: Start,
    max_keys: i32,
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
}

struct Page {
    entries: Vec<Entry>,
    next: Option<Start>,
}

impl Query {
    fn new(prefix: Option<&str>, delimiter: Option<&str>, start: Start, max_keys: Option<i32>) -> S3Result<Self> {
        let delimiter = match delimiter.unwrap_or_default().as_bytes() {
            [] => None,
            [byte] => Some(*byte),
            _ => return Err(s3_error!(NotImplemented, "a delimiter has one byte on this server")),
        };
        let max_keys = max_keys.unwrap_or(PAGE);
        if max_keys < 0 {
            return Err(s3_error!(InvalidArgument, "max-keys is negative"));
        }
        let prefix = KeyPrefix::from(prefix.unwrap_or_default());
        Ok(Self { prefix, delimiter, start, max_keys: max_keys.min(PAGE) })
    }

    /// Collects one entry more than requested, to find out whether there are more.
    async fn run(&self, bucket: &BucketState) -> S3Result<Page> {
        let limit = usize::try_from(self.max_keys).unwrap_or_default();
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
        let mut request = ListRequest::new().prefix(self.prefix.clone()).page_size(page_size);
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
    pub(super) fn new(encoding: Option<&EncodingType>) -> S3Result<Self> {
        match encoding.map(EncodingType::as_str) {
            None => Ok(Self { encoded: false }),
            Some(EncodingType::URL) => Ok(Self { encoded: true }),
            Some(_) => Err(s3_error!(InvalidArgument, "the encoding type is url or absent")),
        }
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

    fn entries(&self, entries: Vec<Entry>) -> S3Result<(Vec<Object>, Vec<CommonPrefix>)> {
        let (mut objects, mut prefixes) = (Vec::new(), Vec::new());
        for entry in entries {
            let name = Some(self.bytes(entry.name())?);
            match entry {
                Entry::Prefix(_) => prefixes.push(CommonPrefix { prefix: name }),
                Entry::Object(meta) => objects.push(Object {
                    key: name,
                    size: Some(signed(meta.size)),
                    e_tag: meta.etag.as_ref().map(s3_etag),
                    last_modified: meta.last_modified.map(Into::into),
                    storage_class: Some(meta.storage_class.unwrap_or_else(|| "STANDARD".to_owned()).into()),
                    ..Default::default()
                }),
            }
        }
        Ok((objects, prefixes))
    }
}
