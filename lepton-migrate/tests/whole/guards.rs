//! What a driver does not do: delete what is not its own, hold requests that nothing could answer,
//! repeat a secret, or execute a command whose sender has left.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lepton_core::data_set::Side;
use lepton_core::deployment::{Deployment as _, OperationKey, Secrets, WorkloadSpec};
use lepton_core::migration::{Choice, Command, Event, State};
use lepton_core::step::{Step, StepState};
use lepton_core::traffic::Traffic as _;
use lepton_core::{Result, RuntimeExt as _, SharedStorage};
use lepton_migrate::{
    Control, Migration, MigrationBuilder, ObjectSet, StoreQuiesce, Workload, control_socket, send_command,
};

use crate::plan;
use crate::world::World;

/// The migration whose workload gets the users' requests.
fn routed(world: &World, folder: &std::path::Path, secrets: Secrets) -> MigrationBuilder {
    let ports = serde_json::json!([{ "name": "http", "containerPort": 8080 }]);
    let spec = serde_json::json!({ "name": "front", "command": ["/usr/bin/front"], "ports": ports });
    let spec: WorkloadSpec = serde_json::from_value(spec).unwrap();
    let workload = Workload::new(Arc::new(world.deployment.clone()), spec).route("http").secrets(secrets);
    let builder = Migration::builder("shop", folder.join("migration"), Arc::new(world.traffic.clone()));
    builder.data_set(world.objects(folder)).workload(workload)
}

fn rests(state: &State) -> bool {
    matches!(state, State::NeedsDecision { .. } | State::Tested | State::Holding | State::RolledBack)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workload_of_another_owner_is_kept_and_an_error_repeats_no_secret() {
    let (world, folder) = (World::new().await, tempfile::tempdir().unwrap());
    let theirs = WorkloadSpec::of_command("front", ["/usr/bin/front"]);
    let key = OperationKey::new("hunter2hunter2", "deploy", "1");
    world.deployment.apply(&theirs, &Secrets::new(), &key).await.unwrap();
    let secrets = Secrets::new().with("PASSWORD", "hunter2hunter2");
    let mut migration = routed(&world, folder.path(), secrets).open().await.unwrap();
    plan(&mut migration).await;
    migration.run(rests, |_| {}).await.unwrap();
    let State::NeedsDecision { question, .. } = migration.state() else { panic!("{}", migration.state()) };
    let evidence = format!("{question:?}");
    assert!(evidence.contains("belongs to") && !evidence.contains("hunter2"), "{evidence}");
    migration.command(Command::Decide { choice: Choice::Rollback }).await.unwrap();
    migration.run(rests, |_| {}).await.unwrap();
    assert_eq!(migration.state(), &State::RolledBack);
    assert!(world.deployment.observe("front").await.unwrap().is_some(), "the workload of another owner is deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_not_held_while_no_replica_of_side_b_is_ready() {
    let (world, folder) = (World::new().await, tempfile::tempdir().unwrap());
    let mut migration = routed(&world, folder.path(), Secrets::new()).open().await.unwrap();
    plan(&mut migration).await;
    migration.run(rests, |_| {}).await.unwrap();
    assert_eq!(migration.state(), &State::Tested);
    world.deployment.scale("front", 0).await.unwrap();
    while world.deployment.observe("front").await.unwrap().is_some_and(|seen| !seen.endpoints.is_empty()) {}
    migration.command(Command::CutOver).await.unwrap();
    let mut seen = Vec::new();
    migration.run(rests, |observed| seen.push(observed.event.clone())).await.unwrap();
    assert_eq!(migration.state(), &State::Tested);
    assert!(!seen.contains(&Event::Held), "{seen:?}");
    assert!(format!("{seen:?}").contains("no replica of side B is ready"), "{seen:?}");
    // With a replica it moves.
    world.deployment.scale("front", 1).await.unwrap();
    while !world.deployment.observe("front").await.unwrap().unwrap().is_ready() {}
    migration.command(Command::CutOver).await.unwrap();
    migration.run(rests, |_| {}).await.unwrap();
    assert_eq!((migration.state(), world.traffic.get().await.unwrap().owner), (&State::Holding, Side::B));
}

#[tokio::test(flavor = "multi_thread")]
async fn side_b_refuses_writes_before_the_first_copy() {
    let (world, folder) = (World::new().await, tempfile::tempdir().unwrap());
    world.policies[1].0.store(false, SeqCst);
    let mut migration = world.migration(folder.path()).open().await.unwrap();
    plan(&mut migration).await;
    let (policy, denied) = (world.policies[1].clone(), AtomicBool::new(false));
    let copied = |observed: lepton_migrate::Observed<'_>| {
        if matches!(observed.event, Event::Copied { .. }) {
            denied.store(policy.0.load(SeqCst), SeqCst);
        }
    };
    migration.run(|state| matches!(state, State::Delta { .. }), copied).await.unwrap();
    assert!(denied.load(SeqCst), "the application could write at side B during the copy");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_whose_sender_has_left_is_not_executed() {
    let (world, folder) = (World::new().await, tempfile::tempdir().unwrap());
    let mut migration = world.migration(folder.path()).open().await.unwrap();
    plan(&mut migration).await;
    migration.run(|state| *state == State::Tested, |_| {}).await.unwrap();
    let socket = control_socket(folder.path());
    let control = Control::serve(socket.clone(), migration.commander(), &world.env).unwrap();
    // No driver takes it, and the client leaves.
    tokio::select! {
        sent = send_command(&socket, &Command::CutOver, &world.env) => panic!("{sent:?}"),
        () = world.env.sleep(Duration::from_millis(300)) => {}
    }
    // The end of the connection arrives at the socket.
    world.env.sleep(Duration::from_millis(100)).await;
    let pause = world.env.spawn_task({
        let env = world.env.clone();
        async move { send_command(&socket, &Command::Pause, &env).await }
    });
    let mut seen = Vec::new();
    let paused = |state: &State| matches!(state, State::Paused(_));
    migration.run(paused, |observed| seen.push(observed.event.clone())).await.unwrap();
    assert_eq!(seen, [Event::Pause]);
    assert!(pause.join().await.unwrap().unwrap().contains("paused"));
    drop(control);
}

/// A step that takes a while to be made.
#[derive(Debug)]
struct Slow {
    world: World,
    log: Arc<Mutex<Vec<String>>>,
}

#[async_trait::async_trait]
impl Step for Slow {
    fn name(&self) -> &'static str {
        "jobs"
    }

    async fn plan(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    async fn apply(&self, _: &OperationKey) -> Result<()> {
        self.log.lock().unwrap().push("begun".to_owned());
        self.world.env.sleep(Duration::from_millis(500)).await;
        self.log.lock().unwrap().push("made".to_owned());
        Ok(())
    }

    async fn observe(&self) -> Result<StepState> {
        Ok(StepState::Done)
    }

    async fn undo(&self, _: &OperationKey) -> Result<()> {
        Ok(())
    }
}

/// The rollback begins while a change after the switch is being made, which could start writers.
#[tokio::test(flavor = "multi_thread")]
async fn writes_are_denied_after_a_change_in_flight_has_ended() {
    let (world, folder) = (World::new().await, tempfile::tempdir().unwrap());
    let log = Arc::new(Mutex::new(Vec::new()));
    let (policies, denials) = (world.policies.clone(), Arc::clone(&log));
    let switch = move |side: Side, deny: bool, _| {
        policies[side as usize].0.store(deny, SeqCst);
        if side == Side::B && deny {
            denials.lock().unwrap().push("denied".to_owned());
        }
        async { Ok(()) }
    };
    let quiesce = StoreQuiesce::new(switch, world.application(Side::A), world.application(Side::B));
    let store = |side: Side| -> SharedStorage { Arc::new(world.stores[side as usize].clone()) };
    let objects = ObjectSet::builder("objects", store(Side::A), store(Side::B), folder.path().join("o"), quiesce);
    let step = Arc::new(Slow { world: world.clone(), log: Arc::clone(&log) });
    let traffic = Arc::new(world.traffic.clone());
    let builder = Migration::builder("shop", folder.path().join("m"), traffic).step_after_switch(step);
    let mut migration = builder.data_set(objects.build().unwrap()).open().await.unwrap();
    plan(&mut migration).await;
    migration.run(rests, |_| {}).await.unwrap();
    migration.command(Command::CutOver).await.unwrap();
    let (commander, env, begun) = (migration.commander(), world.env.clone(), Arc::clone(&log));
    let rollback = world.env.spawn_task(async move {
        while !begun.lock().unwrap().iter().any(|entry| entry == "begun") {
            env.sleep(Duration::from_millis(2)).await;
        }
        commander.send(Command::Rollback).await.unwrap();
    });
    migration.run(|state| *state == State::RolledBack, |_| {}).await.unwrap();
    rollback.join().await.unwrap();
    let log = log.lock().unwrap();
    let made = log.iter().position(|entry| entry == "made").unwrap();
    assert!(log[made..].contains(&"denied".to_owned()) && log.ends_with(&["denied".to_owned()]), "{log:?}");
    assert!(
        !log[log.iter().position(|entry| entry == "begun").unwrap()..made].contains(&"denied".to_owned()),
        "{log:?}"
    );
}
