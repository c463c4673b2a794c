//! The program `router` gets SIGKILL: its register decides what the next one does.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test")]

mod program;
mod replica;
mod storm;

use std::time::Duration;

use lepton::core::data_set::Side;
use lepton::core::traffic::{HoldRequest, Traffic as _};

use crate::program::{Program, answer, cleared};

#[tokio::test]
async fn a_router_that_is_killed_during_a_hold_starts_closed() {
    let mut program = Program::start();
    assert!(answer(program.write()).ends_with('A'));
    let hold = program.traffic.hold(HoldRequest::new(1)).await.unwrap();
    let held = program.held_write(&hold).await;
    program.kill_and_start();
    assert_eq!(answer(held), "", "a held request dies with its router");
    let refused = answer(program.write()).to_ascii_lowercase();
    assert!(refused.starts_with("http/1.1 503 ") && refused.contains("retry-after: "), "{refused}");
    let route = program.traffic.get().await.unwrap();
    assert_eq!((route.owner, route.hold.map(|hold| hold.id)), (Side::A, Some(hold.id.clone())));
    assert_eq!((program.a.requests(), program.b.requests()), (1, 0));
    program.traffic.release(&hold.id, 1).await.unwrap();
    assert!(answer(program.write()).ends_with('A'));
}

#[tokio::test]
async fn a_router_that_is_killed_after_a_release_keeps_the_new_owner() {
    for epoch in 1..=10 {
        let mut program = Program::start();
        let hold = program.traffic.hold(HoldRequest::new(epoch)).await.unwrap();
        let _held = program.held_write(&hold).await;
        program.release_to_b(&hold).await;
        program.kill_and_start();
        let route = program.traffic.get().await.unwrap();
        assert_eq!((route.owner, route.epoch, route.hold), (Side::B, epoch, None));
        assert!(answer(program.write()).ends_with('B'));
        assert_eq!(program.a.requests(), 0, "the old owner gets nothing");
    }
}

/// Wherever the kill is, the next router has an owner and an epoch of one of the two states.
#[tokio::test]
async fn a_router_that_is_killed_during_a_switch_has_the_old_owner_or_the_new_one() {
    for delay in 0..12 {
        let mut program = Program::start();
        let hold = program.traffic.hold(HoldRequest::new(1)).await.unwrap();
        let (traffic, id) = (program.traffic.clone(), hold.id.clone());
        let switched = tokio::spawn(async move {
            traffic.switch(cleared(Side::B, 1), &id, 1).await?;
            traffic.release(&id, 1).await
        });
        tokio::time::sleep(Duration::from_micros(delay * 300)).await;
        program.kill();
        let confirmed = switched.await.unwrap().is_ok();
        program.kill_and_start();
        let route = program.traffic.get().await.unwrap();
        match route.hold {
            None => assert_eq!(route.owner, Side::B),
            Some(still) => assert_eq!((still.id, confirmed), (hold.id, false), "the owner is {}", route.owner),
        }
        assert_eq!(program.a.requests(), 0, "a hold or the new owner");
    }
}

/// The write at A has no client and no router any more. Until the release to B, which takes the
/// proof that A is quiet, each router counts it.
#[tokio::test]
async fn a_write_that_outlives_its_client_and_its_router_is_in_flight_until_the_other_side_owns() {
    let mut program = Program::start();
    for count in 1..=2 {
        let client = program.address.send("POST", "/slow").unwrap();
        while program.a.requests() < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(client);
    }
    assert_eq!(program.in_flight(Side::A).await.writes, 2);
    let unknown = async |program: &Program, expected| {
        let open = program.in_flight(Side::A).await;
        assert_eq!((open.requests, open.writes, open.unknown), (0, 0, expected));
    };
    for _ in 0..2 {
        program.kill_and_start();
        unknown(&program, 2).await;
    }
    let hold = program.traffic.hold(HoldRequest::new(1)).await.unwrap();
    program.kill_and_start();
    unknown(&program, 2).await;
    program.a.open();
    program.traffic.release(&hold.id, 1).await.unwrap();
    assert!(answer(program.write()).ends_with('A'));
    unknown(&program, 2).await;
    let hold = program.traffic.hold(HoldRequest::new(2)).await.unwrap();
    program.release_to_b(&hold).await;
    unknown(&program, 0).await;
    program.kill_and_start();
    unknown(&program, 0).await;
    assert_eq!((program.a.requests(), program.b.requests()), (3, 0), "no write was sent again");
}
