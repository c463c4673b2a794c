//! How often requests were tried again for one object: counted beside what is done for
//! it, in whatever call, so that none of them has to hand a counter on.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

tokio::task_local! {
    /// The count of the object in hand.
    static RETRIES: Arc<AtomicU64>;
}

/// Does what is to be done for an object, and says how often something was tried again.
pub(crate) async fn counted<T>(work: impl Future<Output = T>) -> (T, u64) {
    let count = Arc::<AtomicU64>::default();
    let done = RETRIES.scope(Arc::clone(&count), work).await;
    (done, count.load(Relaxed))
}

/// What a task of its own does counts for the object for which the task is begun.
pub(crate) fn along<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    let count = RETRIES.try_with(Arc::clone).unwrap_or_default();
    RETRIES.scope(count, work)
}

/// Counts one retry, if it is for an object in hand: listings and deletes are for none.
pub(crate) fn retried() {
    // An error says that nobody counts.
    let _ = RETRIES.try_with(|count| count.fetch_add(1, Relaxed));
}

#[cfg(test)]
mod tests {
    use lepton_core::EnvExt as _;

    use super::*;

    #[tokio::test]
    async fn tasks_count_for_their_object_and_nobody_else() {
        let env = lepton_core::SystemEnv::shared();
        retried();
        let object = async {
            retried();
            let part = env.spawn_task(along(async { retried() }));
            // What is begun without saying for whom counts for nobody.
            env.spawn_task(async { retried() }).join().await.unwrap();
            part.join().await.unwrap();
        };
        let (((), one), ((), other)) = tokio::join!(counted(object), counted(async { retried() }));
        assert_eq!((one, other), (2, 1));
    }
}
