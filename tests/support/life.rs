//! A life of the process that ends in the middle.

use std::time::Duration;

use lepton::TransferBuilder;

/// Runs the transfer for so long: then its tasks are gone from one moment to the next, as by
/// a kill. It is made in that life, with its connections.
pub async fn killed(make: impl FnOnce() -> TransferBuilder + Send + 'static, after: Duration) {
    let life = move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            // It may come to its end before.
            let _ = tokio::time::timeout(after, make().build().unwrap().run()).await;
        });
        // What waits is dropped where it stands.
        runtime.shutdown_timeout(Duration::from_secs(60));
    };
    tokio::task::spawn_blocking(|| std::thread::spawn(life).join().unwrap()).await.unwrap();
}
