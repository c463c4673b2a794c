//! A whole migration in memory, under users, with a driver that dies.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

mod data_set;
mod guards;
mod plan;
mod stopped;
mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use futures_util::StreamExt as _;
use lepton_core::data_set::Side;
use lepton_core::deployment::{Deployment as _, OperationKey};
use lepton_core::migration::{Choice, Command, Event, State};
use lepton_core::step::{Step, StepState};
use lepton_core::traffic::Traffic as _;
use lepton_core::{ErrorKind, MemoryStorage, ObjectKey, RuntimeExt as _, SharedStorage, StorageExt as _};
use lepton_migrate::{AssumeRouterOnly, Migration, ObjectSet, StoreQuiesce, read_events};
use world::World;

fn rests(state: &State) -> bool {
    matches!(state, State::Planned | State::Tested | State::Holding | State::RolledBack | State::Finalized)
}

async fn plan(migration: &mut Migration) {
    migration.command(Command::Plan { hash: "1".into() }).await.unwrap();
    migration.command(Command::Approve { hash: "1".into() }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_moves_under_its_users_and_back() {
    let (world, folder) = (World::new().await, tempfile::tempdir().unwrap());
    let (stop, users) = world.users();
    let mut migration = world.migration(folder.path()).open().await.unwrap();
    plan(&mut migration).await;
    migration.run(|state| *state == State::Tested, |_| {}).await.unwrap();
    assert_eq!(world.traffic.verify().await.unwrap().b.requests, 0, "side B gets nothing before the switch");
    for (command, end, owner) in
        [(Command::CutOver, State::Holding, Side::B), (Command::Rollback, State::RolledBack, Side::A)]
    {
        migration.command(command).await.unwrap();
        migration.run(|state| *state == end, |_| {}).await.unwrap();
        world.env.sleep(Duration::from_millis(50)).await;
        assert_eq!(migration.state(), &end);
        assert_eq!((migration.machine().owner(), world.traffic.get().await.unwrap().owner), (owner, owner));
    }
    assert!(world.deployment.observe("shop").await.unwrap().is_none(), "what was made at side B is gone");
    stop.store(true, SeqCst);
    for user in users {
        user.join().await.unwrap();
    }
    world.check(Side::A).await;
    let events = read_events(&folder.path().join("migration")).unwrap();
    assert!(events.contains(&Event::Undone));
    let failed = |event: &&Event| matches!(event, Event::GivenUp { .. } | Event::Failed { .. });
    assert_eq!(events.iter().find(failed), None);
    let proof =
        |event: &Event| matches!(event, Event::Quiesced { proof: Some(how), .. } if how.contains("policy denies"));
    assert!(events.iter().any(proof), "the refusal is recorded: {events:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_are_a_stream_and_commands_reach_its_driver() {
    let (world, folder) = (World::new().await, tempfile::tempdir().unwrap());
    let mut migration = world.migration(folder.path()).open().await.unwrap();
    plan(&mut migration).await;
    let (commander, mut events) = migration.into_events(|state| *state == State::Holding);
    let mut names = Vec::new();
    while let Some(recorded) = events.next().await {
        let recorded = recorded.unwrap();
        names.push(recorded.event.name());
        if recorded.state == State::Tested {
            let refused = commander.send(Command::Finalize).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::PreconditionFailed);
            assert!(matches!(commander.send(Command::CutOver).await.unwrap(), State::Fence(_)));
        }
    }
    assert_eq!(names.first(), Some(&"copied"));
    assert!(names.ends_with(&["register", "reversed"]) || names.contains(&"started"), "{names:?}");
    assert_eq!(commander.send(Command::Pause).await.unwrap_err().kind(), ErrorKind::Cancelled);
    // A stream that is dropped stops its driver, and another one resumes.
    let (_, events) = world.reopened(folder.path()).await.into_events(|_| false);
    drop(events);
    assert_eq!(world.reopened(folder.path()).await.state(), &State::Holding);
}

/// A step that counts, and that is in effect a while after it was made.
#[derive(Debug, Default)]
struct Counted {
    name: &'static str,
    log: Arc<std::sync::Mutex<Vec<String>>>,
    looks: std::sync::atomic::AtomicU32,
}

#[async_trait::async_trait]
impl Step for Counted {
    fn name(&self) -> &str {
        self.name
    }

    async fn plan(&self) -> lepton_core::Result<Vec<String>> {
        Ok(vec!["count".to_owned()])
    }

    async fn apply(&self, key: &OperationKey) -> lepton_core::Result<()> {
        assert_eq!((key.owner.as_str(), key.step.as_str()), ("shop", self.name));
        self.log.lock().unwrap().push(format!("apply {}", self.name));
        Ok(())
    }

    async fn observe(&self) -> lepton_core::Result<StepState> {
        match self.looks.fetch_add(1, SeqCst) {
            0 => Ok(StepState::Pending { reason: "it spreads".to_owned() }),
            _ => Ok(StepState::Done),
        }
    }

    async fn undo(&self, _: &OperationKey) -> lepton_core::Result<()> {
        self.log.lock().unwrap().push(format!("undo {}", self.name));
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_are_made_in_order_and_taken_back() {
    let (world, folder) = (World::new().await, tempfile::tempdir().unwrap());
    let log = Arc::new(std::sync::Mutex::new(Vec::new()));
    let step = |name| Arc::new(Counted { name, log: Arc::clone(&log), ..Counted::default() });
    let builder =
        world.migration(folder.path()).step(step("first")).step(step("second")).step_after_switch(step("dns"));
    let mut migration = builder.open().await.unwrap();
    let twice = world.migration(folder.path()).step(step("first")).step(step("first")).open().await.unwrap_err();
    assert!(twice.to_string().contains("same name"), "{twice}");
    plan(&mut migration).await;
    migration.run(|state| *state == State::Tested, |_| {}).await.unwrap();
    assert_eq!(*log.lock().unwrap(), ["apply first", "apply second"]);
    migration.command(Command::CutOver).await.unwrap();
    let started = AtomicBool::new(false);
    let done = |state: &State| *state == State::Holding && started.load(SeqCst);
    let observe = |observed: lepton_migrate::Observed<'_>| {
        if *observed.event == Event::Started {
            started.store(true, SeqCst);
        }
    };
    migration.run(done, observe).await.unwrap();
    assert_eq!(log.lock().unwrap().last().unwrap(), "apply dns");
    migration.command(Command::Rollback).await.unwrap();
    migration.run(|state| *state == State::RolledBack, |_| {}).await.unwrap();
    assert_eq!(log.lock().unwrap()[3..], ["undo dns", "undo second", "undo first"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_that_dies_after_each_record_is_followed_by_another() {
    let (world, folder) = (World::new().await, tempfile::tempdir().unwrap());
    let (stop, users) = world.users();
    let mut deaths = 0;
    let mut ends = vec![State::RolledBack, State::Holding, State::Tested];
    while let Some(end) = ends.last().cloned() {
        let mut migration = world.reopened(folder.path()).await;
        match migration.state() {
            State::Draft => plan(&mut migration).await,
            State::Tested if end == State::Holding => migration.command(Command::CutOver).await.unwrap(),
            State::Holding if end == State::RolledBack => migration.command(Command::Rollback).await.unwrap(),
            _ => {}
        }
        if let State::NeedsDecision { question, .. } = migration.state() {
            panic!("{}: {:?}", question.text, question.evidence);
        }
        // It dies after its next record, or after a moment.
        let died = AtomicBool::new(false);
        let moment = Duration::from_micros(world.env.random() % 30_000);
        tokio::select! {
            run = migration.run(|state| *state == end || died.load(SeqCst), |_| died.store(true, SeqCst)) => run.unwrap(),
            () = world.env.sleep(moment), if deaths % 3 == 0 => {}
        }
        if *migration.state() == end {
            ends.pop();
        }
        deaths += 1;
        let state = migration.state().clone();
        drop(migration);
        assert!(deaths < 500, "it does not get to {end}, but to {state}");
    }
    stop.store(true, SeqCst);
    for user in users {
        user.join().await.unwrap();
    }
    world.check(Side::A).await;
    assert!(deaths > 15, "{deaths} drivers died");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_background_writer_that_ignores_the_fence_is_found() {
    let (world, folder) = (World::new().await, tempfile::tempdir().unwrap());
    // Side A's policy cannot be switched: the probe is accepted.
    let broken = StoreQuiesce::new(|_, _, _| async { Ok(()) }, world.application(Side::A), world.application(Side::B));
    let store = |side: Side| -> SharedStorage { Arc::new(world.stores[side as usize].clone()) };
    let objects =
        ObjectSet::builder("objects", store(Side::A), store(Side::B), folder.path().join("o"), broken).build().unwrap();
    let traffic = Arc::new(world.traffic.clone());
    let builder = Migration::builder("shop", folder.path().join("m"), traffic).data_set(objects);
    let mut migration = builder.open().await.unwrap();
    plan(&mut migration).await;
    migration.run(|state| *state == State::Tested, |_| {}).await.unwrap();
    migration.command(Command::CutOver).await.unwrap();
    let mut seen = Vec::new();
    migration.run(rests, |observed| seen.push(observed.event.clone())).await.unwrap();
    assert_eq!((migration.state(), migration.machine().owner()), (&State::Tested, Side::A));
    let why = format!("{seen:?}");
    assert!(why.contains("accepts writes although it was made to refuse them"), "{why}");
    assert_eq!(world.traffic.get().await.unwrap().hold, None);
    world.check(Side::A).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_side_a_gets_after_the_fence_is_named_and_kept() {
    let (world, folder) = (World::new().await, tempfile::tempdir().unwrap());
    let mut migration = world.migration(folder.path()).open().await.unwrap();
    plan(&mut migration).await;
    migration.run(|state| *state == State::Tested, |_| {}).await.unwrap();
    migration.command(Command::CutOver).await.unwrap();
    migration.run(|state| *state == State::Holding, |_| {}).await.unwrap();
    // Somebody writes to side A although it is denied to the application.
    world.stores[0].write(&ObjectKey::try_from("late").unwrap(), "kept".into()).await.unwrap();
    migration.run(|state| matches!(state, State::NeedsDecision { .. }), |_| {}).await.unwrap();
    let State::NeedsDecision { question, .. } = migration.state() else { panic!("{}", migration.state()) };
    assert!(question.evidence.iter().any(|item| item.contains("late")), "{question:?}");
    assert_eq!(world.stores[0].read(&ObjectKey::try_from("late").unwrap(), 10).await.unwrap(), "kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_side_b_gets_before_the_switch_is_named_and_kept() {
    let (world, folder) = (World::new().await, tempfile::tempdir().unwrap());
    let mut migration = world.migration(folder.path()).open().await.unwrap();
    plan(&mut migration).await;
    migration.run(|state| *state == State::Tested, |_| {}).await.unwrap();
    // Side B's application writes before the switch.
    let early = ObjectKey::try_from("early").unwrap();
    world.stores[1].write(&early, "kept".into()).await.unwrap();
    migration.command(Command::CutOver).await.unwrap();
    migration.run(|state| matches!(state, State::NeedsDecision { .. }), |_| {}).await.unwrap();
    let State::NeedsDecision { question, .. } = migration.state() else { panic!("{}", migration.state()) };
    assert!(question.evidence.iter().any(|item| item.contains("early")), "{question:?}");
    assert_eq!(world.stores[1].read(&early, 10).await.unwrap(), "kept");
    assert_eq!(world.traffic.get().await.unwrap().owner, Side::A);
    // Somebody removes it, and the migration continues.
    world.stores[1].remove(&early).await.unwrap();
    migration.command(Command::Decide { choice: Choice::Retry }).await.unwrap();
    migration.command(Command::CutOver).await.unwrap();
    migration.run(|state| *state == State::Holding, |_| {}).await.unwrap();
    world.check(Side::B).await;
}

/// The policy of side A takes a while to change, and the hold ends meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn an_effect_that_is_late_comes_before_what_follows_it() {
    let (world, folder) = (World::new().await, tempfile::tempdir().unwrap());
    let (policies, env) = (world.policies.clone(), world.env.clone());
    let slow = move |side: Side, deny: bool, _| {
        let (policy, env) = (policies[side as usize].clone(), env.clone());
        async move {
            if side == Side::A && deny {
                env.sleep(Duration::from_millis(300)).await;
            }
            policy.0.store(deny, SeqCst);
            Ok(())
        }
    };
    let quiesce = StoreQuiesce::new(slow, world.application(Side::A), world.application(Side::B));
    let store = |side: Side| -> SharedStorage { Arc::new(world.stores[side as usize].clone()) };
    let objects = ObjectSet::builder("objects", store(Side::A), store(Side::B), folder.path().join("o"), quiesce);
    let traffic = Arc::new(world.traffic.clone());
    let builder = Migration::builder("shop", folder.path().join("m"), traffic).data_set(objects.build().unwrap());
    let mut migration = builder.open().await.unwrap();
    plan(&mut migration).await;
    migration.run(|state| *state == State::Tested, |_| {}).await.unwrap();
    migration.command(Command::CutOver).await.unwrap();
    let commander = migration.commander();
    let rollback = world.env.spawn_task({
        let env = world.env.clone();
        async move {
            env.sleep(Duration::from_millis(150)).await;
            commander.send(Command::Rollback).await.unwrap();
        }
    });
    migration.run(|state| *state == State::Tested, |_| {}).await.unwrap();
    rollback.join().await.unwrap();
    world.env.sleep(Duration::from_millis(400)).await;
    assert!(!world.policies[0].0.load(SeqCst), "side A owns the writes and refuses them");
    world.write(1, 1).await;
    world.check(Side::A).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_belongs_to_its_data_sets() {
    let (world, folder) = (World::new().await, tempfile::tempdir().unwrap());
    let mut migration = world.migration(folder.path()).open().await.unwrap();
    plan(&mut migration).await;
    drop(migration);
    let store = |side: Side| -> SharedStorage { Arc::new(world.stores[side as usize].clone()) };
    let more = ObjectSet::builder("more", store(Side::A), store(Side::B), folder.path().join("more"), AssumeRouterOnly);
    let error = loop {
        let opened = world.migration(folder.path()).data_set(more.clone().build().unwrap()).open().await;
        match opened.unwrap_err() {
            error if error.kind() == ErrorKind::Locked => world.env.sleep(Duration::from_millis(1)).await,
            error => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::PlanMismatch, "{error}");
}

#[test]
fn settings_that_make_the_sides_differ_are_refused_by_name() {
    let store = || -> SharedStorage { Arc::new(MemoryStorage::new()) };
    for setting in ["encode_keys", "decode_keys", "backup_prefix"] {
        let value = if setting == "backup_prefix" { "\"old/\"" } else { "true" };
        let settings = serde_json::from_str(&format!("{{\"{setting}\": {value}}}")).unwrap();
        let builder = ObjectSet::builder("objects", store(), store(), "/nowhere", AssumeRouterOnly).config(settings);
        let error = builder.build().unwrap_err();
        assert!(error.to_string().contains(setting), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_driver_is_refused() {
    let (world, folder) = (World::new().await, tempfile::tempdir().unwrap());
    let first = world.migration(folder.path()).open().await.unwrap();
    let error = world.migration(folder.path()).open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    drop(first);
}
