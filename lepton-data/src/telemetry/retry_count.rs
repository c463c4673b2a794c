//! Counts the retries for one object in a task-local, so that calls need not pass a counter
//! on.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

tokio::task_local! {
    /// The count of the current object.
    static RETRIES: Arc<AtomicU64>;
}

/// Runs the work for an object, and returns its result and the number of retries.
pub(crate) async fn counted<T>(work: impl Future<Output = T>) -> (T, u64) {
    let count = Arc::<AtomicU64>::default();
    let done = RETRIES.scope(Arc::clone(&count), work).await;
    (done, count.load(Relaxed))
}

/// Makes the work of a separate task count for the object for which the task is spawned.
pub(crate) fn along<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    let count = RETRIES.try_with(Arc::clone).unwrap_or_default();
    RETRIES.scope(count, work)
}

/// Counts one retry if it is for an object. Listings and deletes are not.
pub(crate) fn retried() {
    // An error means that the retry is not for an object.
    let _ = RETRIES.try_with(|count| count.fetch_add(1, Relaxed));
}

#[cfg(test)]
mod tests {
    use lepton_core::RuntimeExt as _;

    use super::*;

    #[tokio::test]
    async fn tasks_count_for_their_object_and_nobody_else() {
        let env = lepton_core::SystemRuntime::shared();
        retried();
        let object = async {
            retried();
            let part = env.spawn_task(along(async { retried() }));
            // A task that is spawned without `along` counts for no object.
            env.spawn_task(async { retried() }).join().await.unwrap();
            part.join().await.unwrap();
        };
        let (((), one), ((), other)) = tokio::join!(counted(object), counted(async { retried() }));
        assert_eq!((one, other), (2, 1));
    }
}
