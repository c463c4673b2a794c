//! A store at which the process that uses it dies.

use std::sync::Arc;

use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use lepton_core::layer::{Layer, Operation, layered};
use lepton_core::{Result, SharedStorage};

use super::fate::Fate;

/// When the process dies that uses the store. Calls of a dead process never end.
#[derive(Debug, Clone)]
struct Mortal(Arc<Fate>);

/// The same store, used by a process with this fate.
pub(super) fn mortal(storage: SharedStorage, fate: &Arc<Fate>) -> SharedStorage {
    layered(storage, Mortal(Arc::clone(fate)))
}

impl Layer for Mortal {
    type Held = ();

    fn keeps_bytes(&self) -> bool {
        true
    }

    async fn call<'a, T: Send + 'a>(
        &'a self,
        operation: Operation,
        mut request: impl FnMut() -> BoxFuture<'a, Result<T>> + Send + 'a,
    ) -> Result<(T, ())> {
        let reply = match operation.name {
            "sign" | "versions_enabled" => request().await,
            _ => self.0.request(request()).await,
        };
        Ok((reply?, ()))
    }

    fn stream<T: Send + 'static>(
        &self,
        operation: Operation,
        mut open: impl FnMut() -> BoxStream<'static, Result<T>> + Send + 'static,
    ) -> BoxStream<'static, Result<T>> {
        let fate = Arc::clone(&self.0);
        match operation.name {
            "list" => {
                let page = move |page| {
                    let fate = Arc::clone(&fate);
                    async move { fate.request(async { page }).await }
                };
                open().then(page).boxed()
            }
            // One request, however many pages.
            "list_parts" | "list_uploads" => {
                let opened = async move { fate.request(async { Ok(open()) }).await };
                stream::once(opened).try_flatten().boxed()
            }
            _ => open(),
        }
    }
}
