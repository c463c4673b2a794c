//! One file: describe and read.

use std::ops::Range;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::header::{CONTENT_LENGTH, EXPIRES, RANGE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use lepton_core::{
    ByteStream, Error, ErrorKind, GetOptions, GetReply, HeadOptions, ObjectInfo, ObjectKey, ObjectMeta, Result,
    RetryClass,
};

use super::client::{Client, Listed, Reply};
use super::pin;
use crate::transport::ResponseBody;
use crate::wire::attributes::{last_modified, standard, text};
use crate::wire::range::{content_range, insert_range, is_requested};

impl Client {
    pub(super) async fn head(&self, key: &ObjectKey, options: &HeadOptions) -> Result<ObjectInfo> {
        no_versions(options.version.is_some(), "head", key)?;
        let (size, headers) = match self.send("head", Method::HEAD, key, HeaderMap::new()).await {
            Ok(reply) => match text(&reply.headers, CONTENT_LENGTH).and_then(|size| size.parse().ok()) {
                // Some servers report 0 because they send no body.
                Some(size @ 1..) => (size, reply.headers),
                _ => self.described_by_get(key).await?,
            },
            // Some servers do not support HEAD, and a permission may cover GET only.
            Err(refused) if matches!(refused.status(), Some(400 | 403 | 405 | 501)) => {
                let by_get = self.described_by_get(key).await;
                let says_more =
                    |error: &Error| error.kind() == ErrorKind::NotFound || error.retry() != RetryClass::Never;
                by_get.map_err(|error| if says_more(&error) { error } else { refused })?
            }
            Err(error) => return Err(error),
        };
        self.info(key, size, &headers).await
    }

    /// The size of a file and the headers of the server, from a read of its first byte.
    /// If the server does not report the size, the bytes are counted.
    async fn described_by_get(&self, key: &ObjectKey) -> Result<(u64, HeaderMap)> {
        let whole = || self.send("head", Method::GET, key, HeaderMap::new());
        let first = HeaderMap::from_iter([(RANGE, HeaderValue::from_static("bytes=0-0"))]);
        let mut reply = match self.send("head", Method::GET, key, first).await {
            // An empty file has no first byte.
            Err(error) if error.status() == Some(416) => whole().await?,
            sent => sent?,
        };
        if reply.status == StatusCode::PARTIAL_CONTENT {
            if let Some((_, Some(size))) = content_range(&reply.headers) {
                return Ok((size, reply.headers));
            }
            reply = whole().await?;
        }
        let headers = std::mem::take(&mut reply.headers);
        let counted = count(reply.body).await.map_err(|e| e.with_operation("head").with_context("key", key))?;
        Ok((counted, headers))
    }

    pub(super) async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<GetReply> {
        no_versions(options.version.is_some(), "get", key)?;
        let named = |error: Error| error.with_operation("get").with_context("key", key);
        let reply = self.read(key, &options).await.map_err(named)?;
        let given = if reply.status == StatusCode::PARTIAL_CONTENT {
            self.part(key, reply, options.range).await
        } else {
            self.whole(key, reply, &options).await
        };
        let Given { size, range, headers, body } = given.map_err(named)?;
        let info = self.info(key, size, &headers).await.map_err(named)?;
        let key = key.clone();
        let body = body.map(move |piece| piece.map_err(|e| e.with_operation("get").with_context("key", &key)));
        Ok(GetReply::new(info, range, body.boxed()))
    }

    /// Requests the bytes, under the condition if there is one.
    async fn read(&self, key: &ObjectKey, options: &GetOptions) -> Result<Reply> {
        let mut headers = HeaderMap::new();
        if let Some(range) = &options.range {
            insert_range(&mut headers, range)?;
        }
        headers.extend(options.if_match.as_ref().and_then(pin::condition));
        let reply = self.send("get", Method::GET, key, headers).await?;
        if let Some(expected) = &options.if_match
            && pin::of(&reply.headers).as_ref() != Some(expected)
        {
            // A server that ignores conditions still reports the state that it sends.
            let message = "the file is not the one that was expected";
            return Err(Error::new(ErrorKind::PreconditionFailed, message));
        }
        Ok(reply)
    }

    /// The range in a response, which must be the requested one.
    async fn part(&self, key: &ObjectKey, reply: Reply, wanted: Option<Range<u64>>) -> Result<Given> {
        let senseless = |why: &str| {
            let message = format!("the server's answer makes no sense: {why}");
            Error::new(ErrorKind::Unexpected, message).with_retry(RetryClass::Now)
        };
        let wanted = wanted.ok_or_else(|| senseless("it returns a range that was not requested"))?;
        let (range, size) = content_range(&reply.headers).ok_or_else(|| senseless("no valid Content-Range"))?;
        let size = match size {
            Some(size) => size,
            None => self.size_from_head(key, &reply.headers).await?,
        };
        if !is_requested(&range, size, &wanted) {
            return Err(senseless("it returns another range than was requested"));
        }
        let body = match reply.body.len() {
            Some(len) if len != range.end - range.start => {
                return Err(senseless("the length of the body is not that of the range"));
            }
            Some(_) => reply.body.boxed(),
            None => cut(reply.body, 0..range.end - range.start, true),
        };
        Ok(Given { size, range, headers: reply.headers, body })
    }

    /// The size of a file whose response does not report it.
    async fn size_from_head(&self, key: &ObjectKey, headers: &HeaderMap) -> Result<u64> {
        let info = self.head(key, &HeadOptions::new()).await?;
        match pin::of(headers) {
            Some(pin) if info.meta.etag.as_ref() != Some(&pin) => Err(changed()),
            _ => Ok(info.meta.size),
        }
    }

    /// The requested range, cut out of a response with the whole file. If the server does
    /// not report the length, the bytes are counted first and then read again.
    async fn whole(&self, key: &ObjectKey, mut reply: Reply, options: &GetOptions) -> Result<Given> {
        let size = match reply.body.len() {
            Some(size) => size,
            None => {
                let size = count(reply.body).await?;
                let again = self.read(key, options).await?;
                let is_other = again.body.len().is_some_and(|len| len != size);
                if is_other
                    || again.status == StatusCode::PARTIAL_CONTENT
                    || pin::differs(&reply.headers, &again.headers)
                {
                    return Err(changed());
                }
                reply = again;
                size
            }
        };
        let range = match &options.range {
            None => 0..size,
            Some(range) if range.start >= size => {
                return Err(Error::invalid_input(format!("the range {range:?} begins behind the end ({size})")));
            }
            Some(range) => range.start..range.end.min(size),
        };
        let to_the_end = reply.body.len().is_none() && range.end == size;
        Ok(Given { size, range: range.clone(), headers: reply.headers, body: cut(reply.body, range, to_the_end) })
    }

    /// The description of a file: from the server, and from the list if it has digests.
    async fn info(&self, key: &ObjectKey, size: u64, headers: &HeaderMap) -> Result<ObjectInfo> {
        let mut info = info(key, size, headers);
        if let Listed::File(list) = &self.listed
            && let Some(line) = list.line(&self.env, key).await?
        {
            info.meta.checksums.clone_from(&line.checksums);
        }
        Ok(info)
    }
}

/// The bytes of a file that a response holds.
struct Given {
    size: u64,
    range: Range<u64>,
    headers: HeaderMap,
    body: ByteStream,
}

fn changed() -> Error {
    Error::new(ErrorKind::SourceChanged, "the file changed while it was read")
}

/// The length of a body: as announced, or counted.
async fn count(mut body: ResponseBody) -> Result<u64> {
    if let Some(len) = body.len() {
        return Ok(len);
    }
    let mut size = 0;
    while let Some(piece) = body.next().await {
        size += piece?.len() as u64;
    }
    Ok(size)
}

/// These bytes of a body, all of them or an error. `to_the_end`: the body must end there.
fn cut(body: ResponseBody, range: Range<u64>, to_the_end: bool) -> ByteStream {
    let cut = Cut { body, at: 0, range, to_the_end, over: false };
    stream::unfold(cut, |mut cut| async move { Some((cut.next().await?, cut)) }).boxed()
}

struct Cut {
    body: ResponseBody,
    at: u64,
    range: Range<u64>,
    to_the_end: bool,
    over: bool,
}

impl Cut {
    /// The next bytes of the range. If the body must end with the range, the last bytes
    /// are held back until it has ended, because the caller need not poll again once it
    /// has all bytes.
    async fn next(&mut self) -> Option<Result<Bytes>> {
        let end = self.range.end;
        let mut held = Bytes::new();
        while !self.over && (self.at < end || self.to_the_end) {
            match self.body.next().await {
                Some(Ok(piece)) if self.at < end => {
                    let from = self.at;
                    self.at += piece.len() as u64;
                    held = slice(&piece, from, &self.range);
                    let is_last = self.to_the_end && self.at >= end;
                    if self.to_the_end && self.at > end {
                        return self.fail(changed());
                    }
                    if !held.is_empty() && !is_last {
                        return Some(Ok(held));
                    }
                }
                Some(Ok(piece)) if piece.is_empty() => {}
                Some(Ok(_)) => return self.fail(changed()),
                Some(Err(error)) => return self.fail(error),
                None if self.at < end => {
                    let message = format!("the file ended at byte {}, before {end}", self.at);
                    return self.fail(Error::new(ErrorKind::SourceChanged, message));
                }
                None => self.over = true,
            }
        }
        (!held.is_empty()).then_some(Ok(held))
    }

    fn fail(&mut self, error: Error) -> Option<Result<Bytes>> {
        self.over = true;
        Some(Err(error))
    }
}

/// The part of a piece that is in the range; the piece begins at `from`.
fn slice(piece: &Bytes, from: u64, range: &Range<u64>) -> Bytes {
    let within = |at: u64| usize::try_from(at.saturating_sub(from)).unwrap_or(usize::MAX).min(piece.len());
    piece.slice(within(range.start)..within(range.end).max(within(range.start)))
}

fn no_versions(requested: bool, operation: &'static str, key: &ObjectKey) -> Result<()> {
    if !requested {
        return Ok(());
    }
    Err(Error::unsupported("a web server keeps no versions").with_operation(operation).with_context("key", key))
}

fn info(key: &ObjectKey, size: u64, headers: &HeaderMap) -> ObjectInfo {
    let mut meta = ObjectMeta::new(key.clone(), size);
    meta.etag = pin::of(headers);
    meta.last_modified = last_modified(headers);
    let mut attributes = standard(headers);
    attributes.expires = text(headers, EXPIRES);
    ObjectInfo::new(meta, attributes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_cut_to_the_range() {
        let piece = Bytes::from_static(b"0123456789");
        for (from, range, expected) in [
            (0, 0..10, &b"0123456789"[..]),
            (0, 3..5, b"34"),
            (100, 95..103, b"012"),
            (100, 108..200, b"89"),
            (100, 0..50, b""),
            (100, 200..300, b""),
        ] {
            assert_eq!(slice(&piece, from, &range), expected, "{from} {range:?}");
        }
    }
}
