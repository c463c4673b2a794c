//! A span for each operation.

use std::sync::Arc;

use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt as _, stream};
use lepton_core::layer::{Layer, Operation, layered};
use lepton_core::{ByteStream, Error, Result, SharedStorage};
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

/// The same store with a `tracing` span, `storage`, for each operation. The span of a get
/// lasts to the end of its body.
///
/// Fields have the names of OpenTelemetry's semantic conventions where these exist:
/// `otel.name`, `otel.kind`, `otel.status_code`, `error.type` (the code of the error's
/// kind), and for S3 `aws.s3.bucket`, `aws.s3.key`, `aws.s3.upload_id`,
/// `aws.s3.part_number`. The others are `lepton.store` (its URL), `lepton.key`,
/// `lepton.bytes` (sent or received) and `lepton.pages`. No field holds a secret.
pub fn trace(storage: SharedStorage) -> SharedStorage {
    let store: Arc<str> = storage.url().into();
    layered(storage, Trace { store })
}

#[derive(Debug, Clone)]
struct Trace {
    store: Arc<str>,
}

impl Trace {
    fn span(&self, operation: &Operation) -> Span {
        let span = tracing::info_span!(
            "storage",
            otel.name = operation.name,
            otel.kind = "client",
            otel.status_code = Empty,
            error.type = Empty,
            aws.s3.bucket = Empty,
            aws.s3.key = Empty,
            aws.s3.upload_id = Empty,
            aws.s3.part_number = operation.part,
            lepton.store = &*self.store,
            lepton.key = Empty,
            lepton.bytes = Empty,
            lepton.pages = Empty,
        );
        if span.is_disabled() {
            return span;
        }
        let key = operation.key.as_ref().map(tracing::field::display);
        span.record("lepton.key", &key);
        if let Some(place) = self.store.strip_prefix("s3://") {
            span.record("aws.s3.bucket", place.split(['/', '?']).next());
            span.record("aws.s3.key", &key);
            span.record("aws.s3.upload_id", operation.upload.as_ref().map(|upload| upload.id.as_str()));
        }
        if operation.bytes > 0 {
            span.record("lepton.bytes", operation.bytes);
        }
        span
    }
}

fn failed(span: &Span, error: &Error) {
    span.record("otel.status_code", "ERROR");
    span.record("error.type", error.kind().code());
    span.in_scope(|| tracing::debug!(error = %error.full_message(), "failed"));
}

impl Layer for Trace {
    type Held = Span;

    fn keeps_bytes(&self) -> bool {
        true
    }

    async fn call<'a, T: Send + 'a>(
        &'a self,
        operation: Operation,
        mut request: impl FnMut() -> BoxFuture<'a, Result<T>> + Send + 'a,
    ) -> Result<(T, Span)> {
        let span = self.span(&operation);
        let result = span.in_scope(&mut request).instrument(span.clone()).await;
        match result {
            Ok(reply) => Ok((reply, span)),
            Err(error) => {
                failed(&span, &error);
                Err(error)
            }
        }
    }

    fn body(&self, body: ByteStream, span: Span) -> ByteStream {
        watched(body, Seen { span, field: "lepton.bytes", count: 0 }, |bytes| bytes.len() as u64)
    }

    fn stream<T: Send + 'static>(
        &self,
        operation: Operation,
        mut open: impl FnMut() -> BoxStream<'static, Result<T>> + Send + 'static,
    ) -> BoxStream<'static, Result<T>> {
        let span = self.span(&operation);
        watched(span.in_scope(&mut open), Seen { span, field: "lepton.pages", count: 0 }, |_| 1)
    }
}

/// The totals of a span, recorded once, when the stream ends or is dropped.
struct Seen {
    span: Span,
    field: &'static str,
    count: u64,
}

impl Drop for Seen {
    fn drop(&mut self) {
        self.span.record(self.field, self.count);
    }
}

/// Runs a stream within the span and adds up the weights of its items.
fn watched<T: Send + 'static>(
    items: BoxStream<'static, Result<T>>,
    seen: Seen,
    weight: impl Fn(&T) -> u64 + Copy + Send + 'static,
) -> BoxStream<'static, Result<T>> {
    let watched = stream::unfold((items, seen), move |(mut items, mut seen)| async move {
        let item = items.next().instrument(seen.span.clone()).await?;
        match &item {
            Ok(item) => seen.count += weight(item),
            Err(error) => failed(&seen.span, error),
        }
        Some((item, (items, seen)))
    });
    watched.boxed()
}
