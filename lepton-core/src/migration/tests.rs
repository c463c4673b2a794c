//! The whole way, and a world in which everything that can go wrong does.

use std::collections::BTreeSet;

use super::*;
use crate::data_set::{DataVerdict, Side, Verdict};

const SETS: [&str; 2] = ["objects", "queue"];

fn machine() -> Machine {
    Machine::new(SETS.map(str::to_owned).to_vec(), Policy::new()).unwrap()
}

fn each(make: impl Fn(String) -> Event) -> Vec<Event> {
    SETS.iter().map(|name| make((*name).to_owned())).collect()
}

fn verdict(data_set: String, epoch: u64, from: Side, verdict: Verdict) -> Event {
    Event::Verdict(DataVerdict::new(data_set, epoch, from, verdict))
}

fn take(machine: &mut Machine, events: impl IntoIterator<Item = Event>) {
    for event in events {
        machine.apply(event.clone()).unwrap_or_else(|error| panic!("{event:?}: {error}"));
    }
}

/// The intents that end by themselves.
fn work(machine: &Machine) -> Vec<Intent> {
    machine.intents().into_iter().filter(|intent| !intent.is_background()).collect()
}

/// To the state before the fence.
fn tested() -> Machine {
    let mut machine = machine();
    let hash = || "1".to_owned();
    take(&mut machine, [Event::Planned { hash: hash() }, Event::Approved { hash: hash() }]);
    take(&mut machine, each(|data_set| Event::Copied { data_set }));
    take(&mut machine, [Event::CaughtUp, Event::Deployed, Event::TestsPassed]);
    machine
}

/// To the question to the register.
fn fenced(machine: &mut Machine, from: Side, begin: Event) {
    take(machine, [begin, Event::Held, Event::Drained { unknown: 0 }]);
    take(machine, each(|data_set| Event::Quiesced { data_set, proof: Some("denied".into()) }));
    let epoch = machine.epoch();
    take(machine, each(|data_set| verdict(data_set, epoch, from, Verdict::Pass)));
}

/// From the question to the register to the end of the hold.
fn switched(machine: &mut Machine, to: Side, epoch: u64) {
    take(machine, [register(to, epoch, true)]);
    take(machine, each(|data_set| Event::Allowed { data_set }));
    assert_eq!(work(machine), [Intent::Release { epoch }]);
    take(machine, [register(to, epoch, false)]);
}

fn register(owner: Side, epoch: u64, holding: bool) -> Event {
    Event::Register { owner, epoch, holding }
}

#[test]
fn the_whole_way_and_back() {
    let mut machine = tested();
    let follows = machine.intents().into_iter().filter(|intent| matches!(intent, Intent::Follow { .. })).count();
    assert_eq!(follows, 2, "both follow: {:?}", machine.intents());
    fenced(&mut machine, Side::A, Event::CutOver);
    assert_eq!(work(&machine), [Intent::Switch { to: Side::B, epoch: 1 }]);
    assert_eq!(machine.clearance(Side::B).unwrap().epoch(), 1);
    switched(&mut machine, Side::B, 1);
    take(&mut machine, each(|data_set| Event::Reversed { data_set }));
    assert_eq!((machine.state(), machine.owner()), (&State::Holding, Side::B));
    let mut back = machine.clone();
    assert_eq!(work(&machine), [Intent::Start]);
    take(&mut machine, [Event::Started]);
    assert!(work(&machine).is_empty() && machine.apply(Event::Decommission).is_err());
    take(&mut machine, [Event::Finalize]);
    assert!(machine.apply(Event::Rollback).is_err(), "the point of no return is passed");
    take(&mut machine, [Event::Decommission]);
    assert_eq!(machine.intents(), [Intent::Decommission]);
    take(&mut machine, [Event::Decommissioned]);
    fenced(&mut back, Side::B, Event::Rollback);
    assert_eq!(work(&back), [Intent::Switch { to: Side::A, epoch: 2 }]);
    switched(&mut back, Side::A, 2);
    take(&mut back, [Event::Undone]);
    assert_eq!((back.state(), back.owner()), (&State::RolledBack, Side::A));
}

#[test]
fn a_verdict_that_is_no_pass_gives_the_fence_up() {
    for outcome in [Verdict::Fail, Verdict::NoData, Verdict::Error] {
        let mut machine = tested();
        take(&mut machine, [Event::CutOver, Event::Held, Event::Drained { unknown: 0 }]);
        take(&mut machine, each(|data_set| Event::Quiesced { data_set, proof: Some("denied".into()) }));
        take(&mut machine, [verdict("objects".into(), 1, Side::A, Verdict::Pass)]);
        take(&mut machine, [verdict("queue".into(), 1, Side::A, outcome)]);
        assert!(machine.clearance(Side::B).is_err());
        take(&mut machine, each(|data_set| Event::Allowed { data_set }));
        assert_eq!(work(&machine), [Intent::Release { epoch: 1 }], "after the owner accepts writes again");
        take(&mut machine, [register(Side::A, 1, false)]);
        assert_eq!(machine.state(), &State::Tested);
    }
}

#[test]
fn a_hold_that_has_ended_gives_the_fence_up_at_every_stage() {
    let mut machine = tested();
    take(&mut machine, [Event::CutOver, Event::Held]);
    let mut switching = machine.clone();
    take(&mut switching, [Event::Drained { unknown: 0 }]);
    take(&mut switching, each(|data_set| Event::Quiesced { data_set, proof: Some("denied".into()) }));
    take(&mut switching, each(|data_set| verdict(data_set, 1, Side::A, Verdict::Pass)));
    for mut machine in [machine, switching] {
        take(&mut machine, [register(Side::A, 1, false)]);
        assert!(matches!(&work(&machine)[..], [Intent::Allow { side: Side::A, .. }, _]), "{}", machine.state());
    }
}

#[test]
fn writes_of_unknown_end_need_a_proof() {
    for (unknown, proof, stage) in
        [(2, None, "given up"), (2, Some("denied".to_owned()), "quiesce"), (0, None, "quiesce")]
    {
        let mut machine = tested();
        take(&mut machine, [Event::CutOver, Event::Held, Event::Drained { unknown }]);
        take(&mut machine, [Event::Quiesced { data_set: "objects".into(), proof }]);
        assert!(machine.state().to_string().contains(stage), "{unknown}: {}", machine.state());
    }
}

#[test]
fn a_policy_starts_the_fence_and_a_pause_stops_everything() {
    let mut machine = Machine::new(vec!["objects".into()], Policy::new().cuts_over(true)).unwrap();
    take(&mut machine, [Event::Planned { hash: "1".into() }, Event::Approved { hash: "1".into() }]);
    take(&mut machine, [Event::Copied { data_set: "objects".into() }]);
    take(&mut machine, [Event::CaughtUp, Event::Deployed, Event::TestsPassed]);
    assert_eq!(work(&machine), [Intent::StartCutOver { given_up: 0 }]);
    take(&mut machine, [Event::Pause]);
    assert!(machine.intents().is_empty());
    take(&mut machine, [Event::Resume, Event::CutOver, Event::GivenUp { why: "slow".into() }]);
    take(&mut machine, [Event::Allowed { data_set: "objects".into() }, register(Side::A, 1, false)]);
    assert_eq!(work(&machine), [Intent::StartCutOver { given_up: 1 }]);
}

#[test]
fn every_event_has_a_form_in_the_journal() {
    let name = || "objects".to_owned();
    let events = [
        Event::Planned { hash: name() },
        Event::Approved { hash: name() },
        Event::Copied { data_set: name() },
        Event::CaughtUp,
        Event::Deployed,
        Event::TestsPassed,
        Event::TestsFailed { why: name() },
        Event::CutOver,
        Event::Held,
        Event::Drained { unknown: 0 },
        Event::Drained { unknown: 7 },
        Event::Quiesced { data_set: name(), proof: None },
        Event::Quiesced { data_set: name(), proof: Some(name()) },
        verdict(name(), 1, Side::A, Verdict::Pass),
        Event::Allowed { data_set: name() },
        register(Side::B, 3, true),
        Event::GivenUp { why: name() },
        Event::Reversed { data_set: name() },
        Event::ReverseConflict { data_set: name(), items: vec![name()] },
        Event::Failed { what: name(), why: name() },
        Event::Started,
        Event::Finalize,
        Event::Decommission,
        Event::Decommissioned,
        Event::Rollback,
        Event::Undone,
        Event::Pause,
        Event::Resume,
        Event::Decided { choice: Choice::Retry },
        Event::Decided { choice: Choice::Rollback },
    ];
    for event in events {
        let json = serde_json::to_string(&event).unwrap();
        assert!(json.contains(event.name()), "{json}");
        assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), event);
    }
    let command = Command::Decide { choice: Choice::Rollback };
    let json = serde_json::to_string(&command).unwrap();
    assert_eq!(json, r#"{"command":"decide","choice":"rollback"}"#);
    assert_eq!(serde_json::from_str::<Command>(&json).unwrap(), command);
}

#[test]
fn a_switch_in_flight_is_ended_by_the_register_alone() {
    let mut machine = tested();
    fenced(&mut machine, Side::A, Event::CutOver);
    let before = machine.clone();
    take(&mut machine, [Event::Failed { what: "switch".into(), why: "no answer".into() }]);
    take(&mut machine, [Event::GivenUp { why: "late".into() }]);
    assert_eq!(machine, before);
    let refused = machine.apply(Event::Rollback).unwrap_err().to_string();
    assert!(refused.contains("fence (switch)"), "{refused}");
    // The hold has ended by itself after the switch: side B must accept writes all the same.
    take(&mut machine, [register(Side::B, 1, false)]);
    assert_eq!(machine.state().to_string(), "fence (allow)");
    take(&mut machine, each(|data_set| Event::Allowed { data_set }));
    take(&mut machine, [register(Side::B, 1, false)]);
    assert!(matches!(machine.state(), State::Switched { .. }));
}

#[test]
fn an_owner_that_cannot_accept_writes_becomes_a_question() {
    let mut machine = tested();
    fenced(&mut machine, Side::A, Event::CutOver);
    take(&mut machine, [register(Side::B, 1, true), Event::GivenUp { why: "the hold has ended".into() }]);
    let failed = || Event::Failed { what: "allow".into(), why: "denied".into() };
    take(&mut machine, [failed()]);
    assert!(matches!(machine.state(), State::NeedsDecision { .. }), "{}", machine.state());
    let mut again = machine.clone();
    take(&mut again, [Event::Decided { choice: Choice::Retry }]);
    assert_eq!(again.state().to_string(), "fence (allow)");
    // The rollback is a fence of its own, after the hold has ended.
    take(&mut machine, [Event::Rollback]);
    assert_eq!(work(&machine), [Intent::Release { epoch: 1 }]);
    take(&mut machine, [register(Side::B, 1, true), register(Side::B, 1, false)]);
    assert_eq!(work(&machine), [Intent::Hold { epoch: 2 }]);
    // On the way back there is nothing to go back to: both answers try again.
    let begun = [Event::Held, Event::Drained { unknown: 0 }];
    take(&mut machine, begun);
    take(&mut machine, each(|data_set| Event::Quiesced { data_set, proof: None }));
    take(&mut machine, each(|data_set| verdict(data_set, 2, Side::B, Verdict::Pass)));
    take(&mut machine, [register(Side::A, 2, true), failed(), Event::Rollback]);
    assert_eq!(machine.state().to_string(), "rolling_back (allow)");
    assert!(machine.apply(Event::Rollback).is_err(), "it is on its way");
    // Somebody has restored an older register: nothing is guessed, and the way back is open.
    take(&mut machine, [register(Side::B, 3, false)]);
    assert!(matches!(machine.state(), State::RollbackBlocked { .. }), "{}", machine.state());
    assert_eq!((machine.owner(), machine.intents()), (Side::B, vec![Intent::KeepBackends]));
    take(&mut machine, [Event::Rollback]);
    assert_eq!(work(&machine), [Intent::Hold { epoch: 3 }]);
}

#[test]
fn an_owner_that_cannot_accept_writes_again_becomes_a_question() {
    let mut machine = tested();
    take(&mut machine, [Event::CutOver, Event::Held, Event::GivenUp { why: "slow".into() }]);
    take(&mut machine, [Event::Failed { what: "allow".into(), why: "denied".into() }]);
    let mut back = machine.clone();
    take(&mut machine, [Event::Decided { choice: Choice::Retry }]);
    take(&mut machine, each(|data_set| Event::Allowed { data_set }));
    take(&mut machine, [register(Side::A, 1, false)]);
    assert_eq!(machine.state(), &State::Tested);
    // A rollback needs side A to accept writes, too.
    take(&mut back, [Event::Rollback]);
    take(&mut back, each(|data_set| Event::Allowed { data_set }));
    take(&mut back, [register(Side::A, 1, false)]);
    assert_eq!(back.intents(), [Intent::Undo]);
}

#[test]
fn a_rollback_in_a_fence_is_carried_out_when_the_fence_has_ended() {
    let mut machine = tested();
    take(&mut machine, [Event::CutOver, Event::Held, Event::Rollback]);
    take(&mut machine, each(|data_set| Event::Allowed { data_set }));
    take(&mut machine, [register(Side::A, 1, false)]);
    assert_eq!(machine.intents(), [Intent::Undo]);
}

#[test]
fn the_owner_serves_while_a_person_decides() {
    let mut holding = tested();
    fenced(&mut holding, Side::A, Event::CutOver);
    switched(&mut holding, Side::B, 1);
    take(&mut holding, each(|data_set| Event::Reversed { data_set }));
    let mut blocked = holding.clone();
    take(&mut holding, [Event::Pause]);
    assert_eq!(holding.intents(), [Intent::KeepBackends]);
    for epoch in 2..=4 {
        take(&mut blocked, [Event::Rollback, Event::GivenUp { why: "slow".into() }]);
        take(&mut blocked, each(|data_set| Event::Allowed { data_set }));
        take(&mut blocked, [register(Side::B, epoch, false)]);
    }
    assert!(matches!(blocked.state(), State::RollbackBlocked { .. }));
    assert_eq!(blocked.intents(), [Intent::KeepBackends]);
}

#[test]
fn after_several_fences_a_person_is_asked() {
    let mut machine = tested();
    for epoch in 1..=3 {
        take(&mut machine, [Event::CutOver, Event::GivenUp { why: format!("try {epoch}") }]);
        take(&mut machine, each(|data_set| Event::Allowed { data_set }));
        take(&mut machine, [register(Side::A, epoch, false)]);
    }
    let State::NeedsDecision { question, .. } = machine.state() else { panic!("{:?}", machine.state()) };
    assert_eq!(question.evidence, ["try 1", "try 2", "try 3"]);
    take(&mut machine, [Event::Decided { choice: Choice::Retry }]);
    assert_eq!(machine.state(), &State::Tested);
}

#[test]
fn what_is_impossible_changes_nothing_and_is_named() {
    let mut machine = tested();
    let before = machine.clone();
    let error = machine.apply(Event::Finalize).unwrap_err().to_string();
    assert!(error.contains("finalize is not possible") && error.contains("tested"), "{error}");
    assert_eq!(machine, before);
    let mut draft = self::machine();
    take(&mut draft, [Event::Planned { hash: "1".into() }]);
    let error = draft.apply(Event::Approved { hash: "2".into() }).unwrap_err();
    assert_eq!(error.kind(), crate::ErrorKind::PlanMismatch);
}

/// The router and the two sides.
struct World {
    owner: Side,
    epoch: u64,
    holding: Option<u64>,
    accepts: BTreeSet<Side>,
    /// Writes that each side took, and those that its follower has.
    written: [u64; 2],
    followed: u64,
    random: u64,
}

impl World {
    fn chance(&mut self, of: u64) -> bool {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33).is_multiple_of(of)
    }

    /// Users write through the route, and a job that ignores it writes at each side that accepts
    /// writes.
    fn write(&mut self) {
        if self.holding.is_none() && self.accepts.contains(&self.owner) {
            self.written[self.owner as usize] += 1;
        }
        for side in self.accepts.clone() {
            assert_eq!(side, self.owner, "a side accepts writes that it does not own");
            self.written[side as usize] += 1;
        }
    }

    /// The hold ends by itself.
    fn silence(&mut self) {
        if self.holding.is_some() && self.chance(30) {
            self.holding = None;
        }
    }

    fn register(&self) -> Event {
        register(self.owner, self.epoch, self.holding.is_some())
    }

    /// Carries out an intent; `None` for one of the background.
    fn run(&mut self, machine: &Machine, intent: Intent) -> Option<Event> {
        let given_up = |why: &str| Some(Event::GivenUp { why: why.to_owned() });
        match intent {
            Intent::Copy { data_set } => Some(Event::Copied { data_set }),
            Intent::Follow { from, .. } => {
                self.followed = self.written[from as usize];
                None
            }
            Intent::KeepHold { epoch } if self.holding != Some(epoch) => given_up("the hold has ended"),
            Intent::KeepHold { .. } => None,
            Intent::WatchLag => Some(Event::CaughtUp),
            Intent::Deploy => Some(Event::Deployed),
            Intent::KeepBackends => None,
            Intent::StartCutOver { .. } => Some(Event::CutOver),
            Intent::Start => Some(Event::Started),
            Intent::Test => Some(Event::TestsPassed),
            Intent::Hold { epoch } if self.holding == Some(epoch) => Some(Event::Held),
            Intent::Hold { epoch } if epoch <= self.epoch => given_up("the epoch is used"),
            Intent::Hold { epoch } => {
                (self.epoch, self.holding) = (epoch, Some(epoch));
                Some(Event::Held)
            }
            Intent::Drain { .. } if self.chance(8) => given_up("a slow upload"),
            Intent::Drain { .. } => Some(Event::Drained { unknown: 0 }),
            Intent::Quiesce { data_set, side } => {
                self.accepts.remove(&side);
                Some(Event::Quiesced { data_set, proof: Some("denied".into()) })
            }
            Intent::LastDelta { data_set, from, epoch } => {
                assert!(!self.accepts.contains(&from), "the last delta runs while its owner accepts writes");
                self.followed = self.written[from as usize];
                let outcome = if self.chance(8) { Verdict::Fail } else { Verdict::Pass };
                Some(verdict(data_set, epoch, from, outcome))
            }
            Intent::Allow { .. } if self.chance(12) => {
                Some(Event::Failed { what: "allow".into(), why: "the policy program ended with 1".into() })
            }
            Intent::Allow { data_set, side } => {
                self.accepts.insert(side);
                Some(Event::Allowed { data_set })
            }
            Intent::Switch { to, epoch } => {
                let clearance = machine.clearance(to).unwrap();
                if self.holding == Some(epoch) && clearance.epoch() == epoch && self.owner != to {
                    self.owner = to;
                    // The new owner has every write that the old one accepted.
                    assert_eq!(self.followed, self.written[to.other() as usize]);
                    self.written[to as usize] = self.followed;
                }
                Some(self.register())
            }
            Intent::Release { .. } => {
                self.holding = None;
                Some(self.register())
            }
            Intent::Reverse { data_set, .. } => Some(Event::Reversed { data_set }),
            Intent::Undo => Some(Event::Undone),
            Intent::Decommission => Some(Event::Decommissioned),
        }
    }
}

#[test]
fn no_world_has_two_writers_or_loses_a_write() {
    let (mut switched, mut back) = (0, 0);
    for seed in 0..1_000 {
        let mut world = World {
            owner: Side::A,
            epoch: 0,
            holding: None,
            accepts: BTreeSet::from([Side::A]),
            written: [0; 2],
            followed: 0,
            random: seed,
        };
        let mut machine = machine();
        let mut journal = vec![Event::Planned { hash: "1".into() }, Event::Approved { hash: "1".into() }];
        take(&mut machine, journal.clone());
        for _ in 0..200 {
            world.write();
            world.silence();
            let command = match machine.state() {
                State::Tested => Some(Event::CutOver),
                State::Holding => Some(if world.chance(3) { Event::Rollback } else { Event::Finalize }),
                State::NeedsDecision { .. } => {
                    let choice = if world.chance(3) { Choice::Rollback } else { Choice::Retry };
                    Some(Event::Decided { choice })
                }
                State::RollbackBlocked { .. } => Some(Event::Rollback),
                State::Fence(fence) if fence.stage != Stage::Switch && world.chance(60) => Some(Event::Rollback),
                _ => None,
            };
            let mut events: Vec<Event> = command.into_iter().collect();
            if events.is_empty() {
                let intents = machine.intents();
                let some = intents.into_iter().filter(|_| !world.chance(4)).collect::<Vec<_>>();
                events.extend(some.into_iter().filter_map(|intent| world.run(&machine, intent)).take(1));
            }
            for event in events {
                // The driver may die between an effect and its record.
                if world.chance(10) {
                    continue;
                }
                if machine.apply(event.clone()).is_ok() {
                    journal.push(event);
                }
            }
            if world.chance(15) {
                // It comes back: the journal gives the state, and the register is read first.
                let mut again = self::machine();
                take(&mut again, journal.clone());
                assert_eq!(again, machine, "seed {seed}");
                if matches!(machine.state(), State::Fence(_) | State::RollingBack(_)) {
                    let event = world.register();
                    take(&mut machine, [event.clone()]);
                    journal.push(event);
                }
            }
            assert!(
                machine.owner() == world.owner || matches!(machine.state(), State::Fence(_) | State::RollingBack(_)),
                "seed {seed}: the driver believes in {} in {}",
                machine.owner(),
                machine.state()
            );
        }
        if matches!(machine.state(), State::Tested | State::Holding | State::RolledBack) {
            assert!(
                world.accepts.contains(&machine.owner()),
                "seed {seed}: nobody takes writes in {}",
                machine.state()
            );
            assert_eq!(world.holding, None, "seed {seed}: users wait in {}", machine.state());
        }
        switched += u64::from(world.owner == Side::B);
        back += u64::from(machine.state() == &State::RolledBack);
    }
    assert!(switched > 150 && back > 150, "{switched} at B, {back} rolled back of 1,000");
}
