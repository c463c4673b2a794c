//! Limits the number of concurrent requests.

use std::num::NonZeroUsize;
use std::sync::Arc;

use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt as _, stream};
use lepton_core::layer::{Layer, Operation, layered};
use lepton_core::{Result, SharedStorage};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The same store with at most `requests` in flight; the others wait in order.
///
/// A get counts until its body has ended or is dropped; a listing counts only while a
/// page is fetched. A caller that reads and writes concurrently through one such store
/// needs a limit of at least two.
pub fn limit(storage: SharedStorage, requests: NonZeroUsize) -> SharedStorage {
    let requests = requests.get().min(Semaphore::MAX_PERMITS);
    layered(storage, Limit { semaphore: Arc::new(Semaphore::new(requests)) })
}

#[derive(Debug, Clone)]
struct Limit {
    semaphore: Arc<Semaphore>,
}

/// A permit for one request. `None` only if the semaphore were closed, which never
/// happens.
type Permit = Option<OwnedSemaphorePermit>;

impl Limit {
    async fn acquire(&self) -> Permit {
        Arc::clone(&self.semaphore).acquire_owned().await.ok()
    }
}

impl Layer for Limit {
    type Held = Permit;

    async fn call<'a, T: Send + 'a>(
        &'a self,
        _: Operation,
        mut request: impl FnMut() -> BoxFuture<'a, Result<T>> + Send + 'a,
    ) -> Result<(T, Permit)> {
        let permit = self.acquire().await;
        Ok((request().await?, permit))
    }

    fn stream<T: Send + 'static>(
        &self,
        _: Operation,
        mut open: impl FnMut() -> BoxStream<'static, Result<T>> + Send + 'static,
    ) -> BoxStream<'static, Result<T>> {
        let this = self.clone();
        let limited = stream::unfold(open(), move |mut pages| {
            let this = this.clone();
            async move {
                let _permit = this.acquire().await;
                pages.next().await.map(|page| (page, pages))
            }
        });
        limited.boxed()
    }
}
