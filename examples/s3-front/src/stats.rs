//! Counters of the requests to a server and of the bytes on the wire.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use lepton_core::ObjectKey;

use crate::request::RequestInfo;

/// The counters of a server since it was started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// By S3 operation.
    pub operations: BTreeMap<&'static str, OperationStats>,
    /// By part of a multipart upload.
    pub parts: BTreeMap<PartId, PartStats>,
}

impl Stats {
    /// The counters of one operation, zero if it was never requested.
    pub fn of(&self, operation: &str) -> OperationStats {
        self.operations.get(operation).copied().unwrap_or_default()
    }

    /// The parts that the storage accepted more than once.
    pub fn stored_twice(&self) -> impl Iterator<Item = &PartId> {
        self.parts.iter().filter(|(_, part)| part.stored > 1).map(|(id, _)| id)
    }

    /// The parts that a client sent although an earlier ListParts had shown that the storage
    /// already held them.
    pub fn sent_though_listed(&self) -> impl Iterator<Item = &PartId> {
        self.parts.iter().filter(|(_, part)| part.sent_though_listed > 0).map(|(id, _)| id)
    }
}

impl Stats {
    fn mark_listed(&mut self, info: &RequestInfo) {
        let of_upload =
            |id: &PartId| Some(&id.bucket) == info.bucket.as_ref() && Some(&id.upload) == info.upload.as_ref();
        for (_, part) in self.parts.iter_mut().filter(|(id, part)| of_upload(id) && part.stored > 0) {
            part.listed = true;
        }
    }
}

/// The counters of one operation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OperationStats {
    /// Requests that arrived, including those that a hook answered.
    pub requests: u64,
    /// Requests that the storage carried out, even if the reply was lost.
    pub succeeded: u64,
    /// Body bytes received, including the framing of signed chunks.
    pub bytes_in: u64,
    /// Body bytes sent.
    pub bytes_out: u64,
}

/// A part of a multipart upload.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartId {
    /// The bucket.
    pub bucket: String,
    /// The key of the object.
    pub key: ObjectKey,
    /// The id of the upload.
    pub upload: String,
    /// The number of the part.
    pub number: u32,
}

/// The counters of one part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartStats {
    /// Requests that arrived.
    pub requests: u64,
    /// How many times the storage accepted the part, even if the reply was lost.
    pub stored: u64,
    /// Body bytes received, including the framing of signed chunks.
    pub bytes_in: u64,
    /// Whether a ListParts arrived after the storage had accepted the part.
    pub listed: bool,
    /// Requests that arrived after that.
    pub sent_though_listed: u64,
}

/// The shared counters behind [`Stats`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Recorder(Arc<Mutex<Stats>>);

impl Recorder {
    pub(crate) fn snapshot(&self) -> Stats {
        self.with(|stats| stats.clone())
    }

    /// Counts a request that arrived and assigns its number.
    pub(crate) fn arrived(&self, info: &mut RequestInfo) {
        self.with(|stats| {
            let counts = stats.operations.entry(info.operation).or_default();
            counts.requests += 1;
            info.nth = counts.requests;
        });
        self.part(info, |part| {
            part.requests += 1;
            part.sent_though_listed += u64::from(part.listed);
        });
        if info.operation == "ListParts" {
            self.with(|stats| stats.mark_listed(info));
        }
    }

    pub(crate) fn succeeded(&self, info: &RequestInfo) {
        self.operation(info.operation, |counts| counts.succeeded += 1);
        self.part(info, |part| part.stored += 1);
    }

    pub(crate) fn bytes_in(&self, info: &RequestInfo, bytes: u64) {
        self.operation(info.operation, |counts| counts.bytes_in += bytes);
        self.part(info, |part| part.bytes_in += bytes);
    }

    pub(crate) fn bytes_out(&self, operation: &'static str, bytes: u64) {
        self.operation(operation, |counts| counts.bytes_out += bytes);
    }

    fn operation(&self, operation: &'static str, change: impl FnOnce(&mut OperationStats)) {
        self.with(|stats| change(stats.operations.entry(operation).or_default()));
    }

    fn part(&self, info: &RequestInfo, change: impl FnOnce(&mut PartStats)) {
        if !matches!(info.operation, "UploadPart" | "UploadPartCopy") {
            return;
        }
        if let (Some(bucket), Some(key), Some(upload), Some(number)) =
            (&info.bucket, &info.key, &info.upload, info.part)
        {
            let id = PartId { bucket: bucket.clone(), key: key.clone(), upload: upload.clone(), number };
            self.with(|stats| change(stats.parts.entry(id).or_default()));
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Stats) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
