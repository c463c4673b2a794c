//! Many requests at once: the credentials service of the container is a fake
//! ([`super::service`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use futures_util::future::join_all;
use lepton_core::ErrorKind;

use super::home::{Bucket, Clock, Home, ask, is, keys};
use super::service::{Reply, Service, ok, refuse};

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_requests_at_once_cause_one_issue() {
    let clock = Clock::still();
    let (time, count, refuses) = (Arc::clone(&clock), AtomicU32::new(0), Arc::new(AtomicBool::new(false)));
    let refusing = Arc::clone(&refuses);
    let service = Service::start(move |_| match refusing.load(Ordering::Relaxed) {
        true => refuse(500),
        false => ok(keys(&format!("KEY{}", count.fetch_add(1, Ordering::Relaxed)), &time.after(3600))),
    })
    .await;
    let bucket = Bucket::start().await;
    let home = Home::of(clock.clone()).var("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{}/x", service.endpoint));
    let store = bucket.open(&home);
    for asked in 1..=2 {
        for done in join_all((0..64).map(|_| ask(&store))).await {
            done.unwrap();
        }
        assert_eq!((service.count(), bucket.0.count()), (asked, asked * 64));
        clock.pass(3600);
    }
    refuses.store(true, Ordering::Relaxed);
    for done in join_all((0..64).map(|_| ask(&store))).await {
        let error = done.unwrap_err();
        assert_eq!((error.kind(), error.status()), (ErrorKind::Unavailable, Some(500)));
    }
    assert!((3..=66).contains(&service.count()));
    refuses.store(false, Ordering::Relaxed);
    assert_eq!(bucket.who(&store).await.unwrap(), is("KEY2"));
}

#[tokio::test]
async fn a_renewal_that_hangs_delays_nobody_while_the_old_ones_are_good() {
    let clock = Clock::still();
    let (time, asked) = (Arc::clone(&clock), AtomicBool::new(false));
    let service = Service::start(move |_| match asked.swap(true, Ordering::Relaxed) {
        false => ok(keys("FIRST", &time.after(3600))),
        true => Reply::Hang,
    })
    .await;
    let bucket = Bucket::start().await;
    let home = Home::of(clock.clone()).var("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{}/x", service.endpoint));
    let store = bucket.open(&home);
    assert_eq!(bucket.who(&store).await.unwrap(), is("FIRST"));
    clock.pass(3400);
    for _ in 0..10 {
        assert_eq!(bucket.who(&store).await.unwrap(), is("FIRST"));
        clock.pass(10);
    }
    while service.count() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(bucket.who(&store).await.unwrap(), is("FIRST"));
    assert_eq!(service.count(), 2, "one asks, however long it takes");
}
