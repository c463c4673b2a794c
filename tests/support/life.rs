//! A run whose process is killed halfway, simulated by a runtime.

use std::time::Duration;

use lepton::TransferBuilder;

/// Runs the transfer for this long; then all its tasks are dropped, as by a kill. The transfer
/// is created inside the runtime, with its connections.
pub async fn killed(make: impl FnOnce() -> TransferBuilder + Send + 'static, after: Duration) {
    let life = move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            // The run may end earlier.
            let _ = tokio::time::timeout(after, make().build().unwrap().run()).await;
        });
        // Waiting tasks are dropped where they are.
        runtime.shutdown_timeout(Duration::from_secs(60));
    };
    tokio::task::spawn_blocking(|| std::thread::spawn(life).join().unwrap()).await.unwrap();
}
