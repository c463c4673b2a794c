//! SIGKILL and SIGSTOP while users read and write.

use crate::{EXACT, contains, demonstration};

/// The kills of the driver in one run.
const KILLS: u64 = 10;
/// The kills of the router in every run but the first.
const ROUTER_KILLS: u64 = 5;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn one_side_owns_the_writes_however_often_driver_and_router_are_killed() {
    let kills = number("LEPTON_KILL_ROUNDS").unwrap_or(30);
    let seed = number("LEPTON_KILL_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    for run in 0..kills.div_ceil(KILLS) {
        let kills = KILLS.min(kills - run * KILLS);
        let router = if run == 0 { 0 } else { ROUTER_KILLS };
        let (numbers, text) = ([kills, router, seed + run], |number: u64| number.to_string());
        let [kills, router, seed] = numbers.map(text);
        let storm = ["--kills", &kills, "--router-kills", &router, "--seed", &seed, "--back"];
        let out = demonstration(&[&storm[..], &["--users", "4", "--objects", "50"]].concat());
        contains(&out, EXACT);
        contains(&out, &["owner of the writes   A", "failures              0"]);
        contains(&out, &[&format!("kills                 {kills} of the driver, {router} of the router")]);
    }
}

/// Each time the hold ends by itself meanwhile, and the fence is given up or finished. A job writes
/// all the while without the router.
#[test]
fn a_driver_that_stands_still_at_a_stage_of_the_fence_makes_no_second_owner() {
    stops("hold,drain,lift,quiesce,back,last_delta,switch");
}

/// The ownership has moved: the hold ends at side B, before side B accepts writes or after.
#[test]
fn a_driver_that_stands_still_after_the_switch_moves_the_writes_all_the_same() {
    stops("allow");
    stops("release");
}

fn stops(stages: &str) {
    let terms = ["--silence", "1500", "--fences", "20", "--cut-over-by-command", "--stops", stages];
    let out = demonstration(&[&terms[..], &["--users", "4", "--objects", "50"]].concat());
    contains(&out, EXACT);
    contains(&out, &["owner of the writes   B"]);
    let stopped = out.matches("the driver gets SIGSTOP").count();
    assert_eq!(stopped, stages.split(',').count());
}
