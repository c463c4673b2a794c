//! Finds out by trial what an unknown server supports.

use futures_util::TryStreamExt as _;
use http::{HeaderMap, HeaderValue, Method};
use lepton_core::{
    Body, Capabilities, CompleteOptions, CreateUploadOptions, DeleteRequest, ETag, Error, ErrorKind, HeadOptions,
    KeyPrefix, LEAF_SIZE, ListRequest, Multipart as _, ObjectKey, ObjectVersion, PartSpec, Precondition, PutOptions,
    Result, Support, Versions as _,
};

use super::client::Request;
use super::payload::Payload;
use super::storage::S3Storage;
use super::sum::Sum;

/// The `ETag` of no object.
const NO_TAG: &str = "\"00000000000000000000000000000000\"";

/// The capabilities that the server shows. What it shows nothing of stays unknown. The
/// objects are deleted, also after a failure.
pub(super) async fn probe(storage: &mut S3Storage, prefix: &[u8]) -> Result<Capabilities> {
    let known = storage.client.capabilities.clone();
    let name = format!(".lepton-probe-{:016x}", storage.client.env.random());
    let key = ObjectKey::new([prefix, name.as_bytes()].concat())?;
    let mut probe = Probe { storage, key, found: known.clone() };
    let tried = probe.all(&known).await;
    let cleaned = probe.clean().await;
    let found = probe.found;
    let advice = |error: Error| error.with_context("setting", "probe=true writes and deletes an object");
    tried.and(cleaned).map_err(advice)?;
    Ok(found)
}

struct Probe<'a> {
    storage: &'a mut S3Storage,
    key: ObjectKey,
    found: Capabilities,
}

impl Probe<'_> {
    async fn all(&mut self, known: &Capabilities) -> Result<()> {
        self.assume(known, |trial| {
            trial.put_if_absent = Support::Native;
            trial.put_if_match = Support::Native;
            trial.conditional_complete = Support::Native;
            trial.conditional_delete = Support::Native;
        })?;
        self.write(1, Precondition::None).await?;
        self.found.versions = self.lists_versions().await?;
        self.found.put_if_absent = self.refuses(Precondition::IfAbsent).await?;
        self.found.put_if_match = self.refuses(Precondition::IfMatch(ETag::new(NO_TAG))).await?;
        // A server may honour one of the conditions and not the other.
        let conditions = [Precondition::IfAbsent, Precondition::IfMatch(ETag::new(NO_TAG))];
        self.found.conditional_complete = Support::Native;
        for condition in conditions {
            if self.completes(condition).await? != Support::Native {
                self.found.conditional_complete = Support::Unsupported;
            }
        }
        for sum in Sum::all() {
            if self.compares(sum).await? {
                self.found.verified_checksums.push(sum.algorithm);
            }
        }
        self.found.signed_chunks = self.unpacks(known, |trial| trial.signed_chunks = Support::Native).await?;
        let chunks = self.found.signed_chunks;
        let trailers = |trial: &mut Capabilities| (trial.trailers, trial.signed_chunks) = (Support::Native, chunks);
        self.found.trailers = self.unpacks(known, trailers).await?;
        self.assume(known, |trial| trial.conditional_delete = Support::Native)?;
        self.found.conditional_delete = self.deletes().await?;
        Ok(())
    }

    /// Lets the client do what the server may not support.
    fn assume(&mut self, known: &Capabilities, change: impl FnOnce(&mut Capabilities)) -> Result<()> {
        let mut trial = known.clone();
        trial.verified_checksums = Vec::new();
        change(&mut trial);
        self.storage.client_mut()?.set_capabilities(trial);
        Ok(())
    }

    async fn write(&mut self, len: usize, precondition: Precondition) -> Result<()> {
        let options = PutOptions::new().precondition(precondition);
        self.storage.client.put(&self.key, Body::from(vec![b'x'; len]), options).await.map(drop)
    }

    /// Whether a put is refused whose condition does not hold.
    async fn refuses(&mut self, precondition: Precondition) -> Result<Support> {
        let written = self.write(1, precondition).await;
        conditional(written)
    }

    /// The same for the completion of an upload.
    async fn completes(&mut self, condition: Precondition) -> Result<Support> {
        let upload = self.storage.create(&self.key, CreateUploadOptions::new()).await?;
        let part = self.storage.upload_part(&upload, PartSpec::new(1, 0..1), Body::from(vec![b'x'])).await;
        let completed = match part {
            Ok(part) => {
                let options = CompleteOptions::new().precondition(condition);
                self.storage.complete(&upload, vec![part], options).await.map(drop)
            }
            Err(error) => Err(error),
        };
        self.storage.abort(&upload).await?;
        conditional(completed)
    }

    /// The same for a delete.
    async fn deletes(&mut self) -> Result<Support> {
        let request = DeleteRequest::new(self.key.clone()).if_match(Some(ETag::new(NO_TAG)));
        let deleted = self.storage.client.delete(vec![request]).await?.into_iter().collect::<Result<()>>();
        conditional(deleted)
    }

    /// Whether a put is refused whose checksum is wrong.
    async fn compares(&mut self, sum: &'static Sum) -> Result<bool> {
        let wrong = HeaderValue::try_from(sum.value(&sum.hasher()));
        let wrong = wrong.map_err(|error| Error::new(ErrorKind::Unexpected, "a checksum").with_source(error))?;
        let headers = HeaderMap::from_iter([(http::HeaderName::from_static(sum.header), wrong)]);
        let request = Request::new("put", Method::PUT, Some(&self.key))
            .headers(headers)
            .payload(Payload::Body(Body::from(vec![b'x'])));
        match self.storage.client.send(request).await {
            Ok(reply) => {
                reply.drain().await;
                Ok(false)
            }
            Err(error) => refused(error).map(|()| true),
        }
    }

    async fn lists_versions(&self) -> Result<Support> {
        match self.storage.list_versions(self.listing()).try_next().await {
            Ok(Some(page)) if !page.is_empty() => Ok(Support::Native),
            Ok(_) => Ok(Support::Unsupported),
            Err(error) => refused(error).map(|()| Support::Unsupported),
        }
    }

    /// Whether a body that is framed is stored without its frames.
    async fn unpacks(&mut self, known: &Capabilities, change: impl FnOnce(&mut Capabilities)) -> Result<Support> {
        self.assume(known, change)?;
        let len = LEAF_SIZE + 1;
        if let Err(error) = self.write(len, Precondition::None).await {
            return refused(error).map(|()| Support::Unsupported);
        }
        let info = self.storage.client.head(&self.key, HeadOptions::new()).await?;
        Ok(if info.meta.size == len as u64 { Support::Native } else { Support::Unsupported })
    }

    /// Deletes what was written, with the delete markers that a refused condition can leave.
    async fn clean(&mut self) -> Result<()> {
        let mut requests = vec![DeleteRequest::new(self.key.clone())];
        if self.found.versions.is_available() {
            let versions: Vec<_> = self.storage.list_versions(self.listing()).try_concat().await?;
            let version = |found: ObjectVersion| DeleteRequest::new(found.meta.key).version(found.meta.version);
            requests = versions.into_iter().map(version).collect();
        }
        self.storage.client.delete(requests).await?.into_iter().collect()
    }

    fn listing(&self) -> ListRequest {
        ListRequest::new().prefix(KeyPrefix::new(self.key.as_bytes().to_vec()))
    }
}

/// What the answer to a request says whose condition does not hold.
fn conditional(answer: Result<()>) -> Result<Support> {
    match answer {
        Ok(()) => Ok(Support::Unsupported),
        Err(error) if error.status() == Some(412) => Ok(Support::Native),
        Err(error) => refused(error).map(|()| Support::Unsupported),
    }
}

/// Passes over a refusal of what the server does not support.
fn refused(error: Error) -> Result<()> {
    let unsupported = matches!(error.status(), Some(400 | 404 | 405 | 411 | 501));
    if unsupported || error.kind() == ErrorKind::Unsupported { Ok(()) } else { Err(error) }
}
