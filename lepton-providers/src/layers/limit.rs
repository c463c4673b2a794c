//! Limits the number of concurrent requests.

use std::num::NonZeroUsize;
use std::sync::Arc;

use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt as _, stream};
use lepton_core::layer::{Layer, Operation, layered};
use lepton_core::{ByteStream, Result, SharedStorage};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The same store with at most `requests` in flight that send a body, and at most as many others;
/// the rest wait in order.
///
/// The body of a get counts while its next bytes are awaited, and a listing while its next page
/// is. So a caller may read and write through one such store at the same time, whatever the limit:
/// a body that waits for its reader does not keep another request waiting.
pub fn limit(storage: SharedStorage, requests: NonZeroUsize) -> SharedStorage {
    let semaphore = || Arc::new(Semaphore::new(requests.get().min(Semaphore::MAX_PERMITS)));
    layered(storage, Limit { sends: semaphore(), others: semaphore() })
}

/// Requests that send a body wait for its source, which may be a get through the same limit. So
/// they have permits of their own: a request with one of the other permits waits only for the store.
#[derive(Debug, Clone)]
struct Limit {
    sends: Arc<Semaphore>,
    others: Arc<Semaphore>,
}

/// Waits for a permit. `None` only if the semaphore were closed, which never happens.
async fn permit(semaphore: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    Arc::clone(semaphore).acquire_owned().await.ok()
}

impl Limit {
    /// Passes on a stream; each item takes a permit while it is awaited.
    fn item_by_item<T: Send + 'static>(&self, items: BoxStream<'static, T>) -> BoxStream<'static, T> {
        let limited = stream::unfold((items, Arc::clone(&self.others)), |(mut items, others)| async move {
            let _permit = permit(&others).await;
            items.next().await.map(|item| (item, (items, others)))
        });
        limited.boxed()
    }
}

impl Layer for Limit {
    type Held = ();

    async fn call<'a, T: Send + 'a>(
        &'a self,
        operation: Operation,
        mut request: impl FnMut() -> BoxFuture<'a, Result<T>> + Send + 'a,
    ) -> Result<(T, ())> {
        let sends = matches!(operation.name, "put" | "upload_part");
        let _permit = permit(if sends { &self.sends } else { &self.others }).await;
        Ok((request().await?, ()))
    }

    fn body(&self, body: ByteStream, (): ()) -> ByteStream {
        self.item_by_item(body)
    }

    fn stream<T: Send + 'static>(
        &self,
        _: Operation,
        mut open: impl FnMut() -> BoxStream<'static, Result<T>> + Send + 'static,
    ) -> BoxStream<'static, Result<T>> {
        self.item_by_item(open())
    }

    fn keeps_bytes(&self) -> bool {
        true
    }
}
