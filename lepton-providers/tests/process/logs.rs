//! Logs.

use futures_util::{StreamExt as _, TryStreamExt as _};
use lepton_core::deployment::{Deployment as _, LogRequest};

use crate::place::{Place, program, serve};

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

pub(crate) async fn a_replica_that_talks_a_lot_keeps_its_last_lines() {
    let place = Place::with(|builder| builder.output_limit(64 * 1024)).await;
    let revision = place.apply(&program("talk"), "1").await.unwrap();
    place.ready(&revision).await;
    let id = place.replicas().pop_first().unwrap();
    let file = place.path("workloads/shop/replicas").join(id).join("output.log");
    let written = |line: &str| std::fs::read(&file).unwrap().ends_with(format!("{line}\n").as_bytes());
    place.until("all is written", |_| written("line 19999 of a replica that talks a lot")).await;
    // Each look gives the supervisor time for another step.
    for _ in 0..20 {
        place.ready(&revision).await;
    }
    let lines: Vec<_> = place.deployment.logs("shop", LogRequest::default()).try_collect().await.unwrap();
    assert!(lines.iter().all(|line| line.text.starts_with("line ") || line.text.starts_with("replica ")), "{lines:?}");
    assert_eq!(lines.last().unwrap().text, "line 19999 of a replica that talks a lot");
    let tail: Vec<_> = place.deployment.logs("shop", LogRequest::tail(3)).try_collect().await.unwrap();
    assert_eq!(tail, lines[lines.len() - 3..]);
}
