//! Logs.

use futures_util::{StreamExt as _, TryStreamExt as _};
use lepton_core::deployment::{Deployment as _, LogRequest};

use crate::place::{Place, serve};

pub(crate) async fn lines_of_each_replica_are_read_and_followed() {
    let place = Place::new().await;
    let mut spec = serve();
    spec.replicas = 2;
    let revision = place.apply(&spec, "1").await.unwrap();
    place.ready(&revision).await;
    let lines: Vec<_> = place.deployment.logs("shop", LogRequest::default()).try_collect().await.unwrap();
    let expected: Vec<_> = place.replicas().into_iter().map(|id| (id.clone(), format!("replica {id} runs"))).collect();
    let found: Vec<_> = lines.iter().map(|line| (line.replica.clone(), line.text.clone())).collect();
    assert_eq!(found, expected);
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(3600);
    let none: Vec<_> = place.deployment.logs("shop", LogRequest::default().since(later)).try_collect().await.unwrap();
    assert_eq!(none, []);
    // Following sees those who come later, and ends with the workload.
    let mut followed = place.deployment.logs("shop", LogRequest::tail(0).follow());
    let first = tokio::spawn(async move {
        let first = followed.next().await;
        (first, followed)
    });
    place.deployment.scale("shop", 3).await.unwrap();
    let (first, followed) = tokio::time::timeout(crate::place::LONG, first).await.unwrap().unwrap();
    let line = first.unwrap().unwrap();
    place.deployment.delete("shop").await.unwrap();
    let rest = tokio::time::timeout(crate::place::LONG, followed.collect::<Vec<_>>()).await.unwrap();
    assert!(rest.iter().all(Result::is_ok), "{rest:?}");
    assert!(line.text.contains(&line.replica), "{line:?}");
    place.gone().await;
}
