//! Tests of the order in which units start.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use lepton_core::SystemRuntime;

use super::*;

const MIB: u64 = 1 << 20;

fn lanes(places: usize, memory: u64) -> Arc<Lanes> {
    Lanes::new(SystemRuntime::shared(), places, memory, false)
}

/// The slot if it is granted immediately, otherwise the future that waits for it.
fn enter(lanes: &Arc<Lanes>, lane: Lane, bytes: u64) -> (Option<Slot>, Option<BoxFuture<'static, Option<Slot>>>) {
    let lanes = Arc::clone(lanes);
    let mut entering = async move { lanes.enter(lane, bytes).await }.boxed();
    match entering.as_mut().now_or_never() {
        Some(slot) => (slot, None),
        None => (None, Some(entering)),
    }
}

/// Takes slots until there are none left.
fn fill(lanes: &Arc<Lanes>, lane: Lane, bytes: u64) -> Vec<Slot> {
    std::iter::from_fn(|| enter(lanes, lane, bytes).0).collect()
}

#[tokio::test]
async fn one_lane_alone_takes_nearly_all_and_the_other_begins_at_once() {
    for (ours, other) in [(Lane::Small, Lane::Parts), (Lane::Parts, Lane::Small)] {
        let lanes = lanes(64, 1 << 30);
        let held = fill(&lanes, ours, MIB);
        assert_eq!(held.len(), 60);
        assert_eq!(fill(&lanes, other, MIB).len(), 4);
    }
}

#[tokio::test]
async fn each_lane_with_work_has_a_quarter_for_sure() {
    for (ours, other) in [(Lane::Small, Lane::Parts), (Lane::Parts, Lane::Small)] {
        let lanes = lanes(64, 1 << 30);
        assert!(lanes.open(other, 2));
        let held = fill(&lanes, ours, MIB);
        assert_eq!(held.len(), 48);
        let theirs = fill(&lanes, other, MIB);
        assert_eq!(theirs.len(), 16);
        drop(theirs);
        // When the other lane has no work left, its share is free.
        let (none, waiting) = enter(&lanes, ours, MIB);
        assert!(none.is_none());
        lanes.close(other);
        assert!(waiting.unwrap().now_or_never().flatten().is_some());
    }
}

#[tokio::test]
async fn memory_is_shared_like_places() {
    let lanes = lanes(1000, 64 * MIB);
    assert!(lanes.open(Lane::Small, 2));
    let parts = fill(&lanes, Lane::Parts, 3 * MIB);
    assert_eq!(parts.len(), 16);
    assert_eq!(lanes.free_memory(), 16 * MIB);
    // Units that wait for memory do not block units of a lane with a guaranteed share.
    let (_, part) = enter(&lanes, Lane::Parts, 3 * MIB);
    let small = fill(&lanes, Lane::Small, MIB / 4);
    assert_eq!(small.len(), 64);
    let mut part = part.unwrap();
    assert!(part.as_mut().now_or_never().is_none());
    drop(parts);
    assert!(part.now_or_never().flatten().is_some());
}

#[tokio::test]
async fn with_few_places_the_lanes_take_turns() {
    let lanes = lanes(1, 64 * MIB);
    let (first, _) = enter(&lanes, Lane::Parts, MIB);
    let mut waiting: Vec<_> = [Lane::Parts, Lane::Parts, Lane::Small, Lane::Small]
        .map(|lane| enter(&lanes, lane, MIB).1.unwrap())
        .into_iter()
        .collect();
    let mut order = Vec::new();
    let mut held = first;
    while !waiting.is_empty() {
        drop(held.take());
        waiting.retain_mut(|entering| match entering.as_mut().now_or_never().flatten() {
            Some(slot) => {
                order.push(slot.lane());
                held = Some(slot);
                false
            }
            None => true,
        });
    }
    assert_eq!(order, [Lane::Small, Lane::Parts, Lane::Small, Lane::Parts]);
}

#[tokio::test]
async fn who_gives_up_waiting_leaves_no_trace() {
    let lanes = lanes(1, 64 * MIB);
    let (first, _) = enter(&lanes, Lane::Small, MIB);
    let (_, given_up) = enter(&lanes, Lane::Small, MIB);
    let (_, waiting) = enter(&lanes, Lane::Small, MIB);
    drop(given_up);
    drop(first);
    drop(waiting.unwrap().now_or_never().flatten().unwrap());
    assert_eq!(lanes.progress().small, LaneProgress { running: 0, waiting: 0, ..lanes.progress().small });
    assert_eq!(lanes.free_memory(), 64 * MIB);
}

#[tokio::test]
async fn what_waits_to_be_tried_again_keeps_a_quarter_of_its_place() {
    let lanes = Lanes::new(SystemRuntime::shared(), 4, 1 << 30, true);
    let held = fill(&lanes, Lane::Listing(Side::Source), 0);
    assert_eq!(held.len(), 16);
    let rests: Vec<_> = held.iter().map(Slot::rest).collect();
    assert_eq!(fill(&lanes, Lane::Listing(Side::Source), 0).len(), 12);
    assert_eq!(lanes.progress().listing.backing_off, 16);
    drop(rests);
    assert!(fill(&lanes, Lane::Listing(Side::Source), 0).is_empty());
}

#[tokio::test]
async fn a_refusal_counts_for_its_side_and_its_lane_alone() {
    let lanes = Lanes::new(SystemRuntime::shared(), 64, 1 << 30, true);
    let _held = fill(&lanes, Lane::Small, MIB);
    lanes.throttled(Lane::Small, Side::Destination, Duration::ZERO);
    lanes.throttled(Lane::Small, Side::Destination, Duration::ZERO);
    let now = lanes.progress();
    assert_eq!((now.small.destination.limit, now.small.destination.throttled), (11, 2));
    assert_eq!((now.small.source.limit, now.small.source.throttled), (16, 0));
    assert_eq!((now.parts.destination.limit, now.listing.destination.limit), (4, 16));
    assert_eq!(now.throttled(), 2);
}
