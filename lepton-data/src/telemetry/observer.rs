//! Events of single objects, for a caller that follows them.

use std::fmt;
use std::sync::Arc;

use lepton_core::ObjectKey;
use serde::Serialize;

/// An event of one object. Every object that was found has one `Ended`, and one `Started` before
/// if a request for it was needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ObjectEvent {
    /// The object is in flight from now on.
    Started {
        /// Its key at the source.
        key: ObjectKey,
        /// Its size in bytes.
        size: u64,
    },
    /// The object needs nothing more.
    Ended {
        /// Its key at the source; for a deleted object, that at the destination.
        key: ObjectKey,
        /// Its size in bytes.
        size: u64,
        /// How it ended.
        end: ObjectEnd,
    },
}

/// How an object ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ObjectEnd {
    /// It is at the destination now.
    Copied,
    /// It was there before.
    Unchanged,
    /// It was skipped, as the settings ask.
    Skipped,
    /// It was deleted at the destination.
    Deleted,
    /// It failed, for this reason; the report has it, too.
    Failed(String),
}

type Callback = dyn Fn(&ObjectEvent) + Send + Sync;

/// Where the events go.
#[derive(Clone, Default)]
pub(crate) struct Observer(Option<Arc<Callback>>);

impl Observer {
    pub(crate) fn new(observer: impl Fn(&ObjectEvent) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(observer)))
    }

    pub(crate) fn started(&self, key: &ObjectKey, size: u64) {
        if let Some(observer) = &self.0 {
            observer(&ObjectEvent::Started { key: key.clone(), size });
        }
    }

    pub(crate) fn ended(&self, key: &ObjectKey, size: u64, end: ObjectEnd) {
        if let Some(observer) = &self.0 {
            observer(&ObjectEvent::Ended { key: key.clone(), size, end });
        }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Observer" } else { "no observer" })
    }
}
