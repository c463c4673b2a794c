//! A mirror that runs for thirty nights, in worlds that a seed decides: objects vanish,
//! change and come back, also while they are read; some cannot be read or written for a
//! few nights; others write at the destination; there is too much to delete; some nights
//! are killed. After each quiet night the destination is the source, and nothing has to be
//! removed by hand.
//!
//! `LEPTON_TEST_SEED` is the first seed, `LEPTON_TEST_SEEDS` how many there are.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "test")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{FutureExt as _, TryStreamExt as _};
use lepton_core::{ErrorKind, Location, MemoryStorage, ObjectKey, RetryClass, Storage as _, StorageExt as _};
use lepton_data::{ExistingPolicy, Report, Status, VerifyDepth, verify};
use support::faulty::{Fault, Faulty};
use support::simulated::{Random, Simulated, runtime};
use support::*;

const SEEDS: u64 = 150;
const NIGHTS: u32 = 30;

/// What the seed decides before the first night.
#[derive(Debug, Clone)]
struct World {
    existing: ExistingPolicy,
    mirror: bool,
    backwards: bool,
    concurrency: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mirror = random.chance(70);
        let existing =
            if mirror && random.chance(30) { ExistingPolicy::Overwrite } else { ExistingPolicy::IfDifferent };
        let backwards = random.chance(20);
        Self { existing, mirror, backwards, concurrency: 1 + usize::try_from(random.below(6)).unwrap() }
    }
}

/// What happens in one night.
#[derive(Debug)]
struct Night {
    quiet: bool,
    /// Objects that fail at this call, however often it is tried, and for how many nights.
    broken: BTreeMap<ObjectKey, (&'static str, ErrorKind, u32)>,
    max_delete: Option<u64>,
    part_size: u64,
}

impl Night {
    fn next(&mut self, random: &mut Random, number: u32) {
        self.quiet = number + 1 == NIGHTS || random.chance(30);
        self.broken.retain(|_, (.., nights)| {
            *nights -= 1;
            *nights > 0
        });
        for _ in 0..random.below(3) {
            let how = [
                ("get", ErrorKind::Archived),
                ("get", ErrorKind::PermissionDenied),
                ("put", ErrorKind::InvalidKey),
                ("complete", ErrorKind::InvalidInput),
            ];
            let (call, kind) = how[usize::try_from(random.below(4)).unwrap()];
            self.broken.insert(name(random), (call, kind, 1 + u32::try_from(random.below(4)).unwrap()));
        }
        self.max_delete = random.chance(20).then(|| random.below(3));
        // Now and then the command is another one.
        if random.chance(5) {
            self.part_size = if self.part_size == MIB as u64 { 2 * MIB as u64 } else { MIB as u64 };
        }
    }

    /// What goes wrong at one side.
    fn script(
        &self,
        store: &MemoryStorage,
        mut random: Random,
    ) -> impl FnMut(&str, &ObjectKey) -> Option<Fault> + Send + 'static {
        let (quiet, broken, store) = (self.quiet, self.broken.clone(), store.clone());
        let mut until_death = (!quiet && random.chance(40)).then(|| random.below(60));
        move |call, key| {
            if quiet {
                return None;
            }
            if let Some(left) = &mut until_death {
                if *left == 0 {
                    return Some(Fault::Die { after: random.chance(50) });
                }
                *left -= 1;
            }
            if let Some((at, kind, _)) = broken.get(key)
                && *at == call
            {
                return Some(Fault::Fail(*kind, RetryClass::Never));
            }
            match random.below(100) {
                // It vanishes or changes between its listing and its reading.
                0..3 if call == "get" => drop(store.remove(key).now_or_never()),
                3..6 if call == "get" => change(&store, key, &mut random),
                6..9 => return Some(Fault::LoseReply),
                9..12 => return Some(Fault::Fail(ErrorKind::Unavailable, RetryClass::Now)),
                _ => {}
            }
            None
        }
    }
}

fn name(random: &mut Random) -> ObjectKey {
    let folder = ["", "a/", "b/"][usize::try_from(random.below(3)).unwrap()];
    key(&format!("{folder}{}", random.below(8)))
}

fn change(store: &MemoryStorage, key: &ObjectKey, random: &mut Random) {
    let len = match random.below(12) {
        // The same length as others have.
        0..4 => 100,
        11 => MIB as u64 + random.below(2 * MIB as u64),
        _ => random.below(3000),
    };
    let bytes = bytes(random.next(), usize::try_from(len).unwrap());
    store.write(key, bytes).now_or_never().unwrap().unwrap();
}

/// What happens in the day before a night.
fn day(from: &MemoryStorage, to: &MemoryStorage, random: &mut Random) {
    for _ in 0..random.below(6) {
        match random.below(10) {
            0..5 => change(from, &name(random), random),
            5..7 => from.remove(&name(random)).now_or_never().unwrap().unwrap(),
            7 => change(to, &name(random), random),
            8 => change(to, &key(&format!("extra/{}", random.below(4))), random),
            _ => to.remove(&name(random)).now_or_never().unwrap().unwrap(),
        }
    }
}

/// One night of the process: to its end, or to its death.
fn run(world: &World, night: &Night, env: &Arc<Simulated>, [from, to]: [Faulty; 2], folder: &Path) -> Option<Report> {
    runtime().block_on(async {
        env.begin_life(Duration::from_secs(86_400));
        let from = if world.backwards { from.backwards() } else { from };
        let builder = transfer(Arc::new(from.clone()), Arc::new(to.clone())).runtime(env.clone()).journal(folder);
        let builder = builder.existing(world.existing).delete(world.mirror).max_delete_percent(100);
        let builder = builder.max_delete(night.max_delete.filter(|_| !night.quiet)).part_size(night.part_size);
        let run = builder.concurrency(world.concurrency.try_into().unwrap()).build().unwrap().run();
        tokio::select! {
            biased;
            () = from.died() => None,
            () = to.died() => None,
            report = run => match report {
                Ok(report) => Some(report),
                Err(error) => {
                    assert!(!night.quiet, "a quiet night failed: {}", error.full_message());
                    None
                }
            },
        }
    })
}

fn contents(store: &MemoryStorage) -> BTreeMap<String, bytes::Bytes> {
    let all = list(store).now_or_never().unwrap();
    let read = |key: &ObjectKey| store.read(key, 1 << 30).now_or_never().unwrap().unwrap();
    all.iter().map(|meta| (meta.key.to_string(), read(&meta.key))).collect()
}

fn world(seed: u64) -> u32 {
    let world = World::new(seed);
    let mut random = Random::new(!seed);
    let env = Simulated::new(seed);
    let from = MemoryStorage::builder().runtime(env.clone()).build();
    let to = MemoryStorage::builder().runtime(env.clone()).build();
    let folder = tempfile::tempdir_in(shared_memory()).unwrap();
    let mut night = Night { quiet: false, broken: BTreeMap::new(), max_delete: None, part_size: MIB as u64 };
    let mut quiet = 0;
    for number in 0..NIGHTS {
        runtime().block_on(async { env.begin_life(Duration::from_secs(3600)) });
        day(&from, &to, &mut random);
        night.next(&mut random, number);
        let mut side = |store| Faulty::new(store, night.script(store, Random::new(random.next())));
        let sides = [side(&from), side(&to)];
        let report = run(&world, &night, &env, sides, folder.path());
        if let Some(report) = report.as_ref().filter(|report| report.status == Status::Complete) {
            runtime().block_on(is_there(&to, report, number));
        }
        if night.quiet {
            quiet += 1;
            runtime().block_on(look(&world, &from, &to, &report.unwrap(), number));
        }
    }
    quiet
}

/// Every object that a run reports as complete is at the destination, where nothing else writes at
/// night.
async fn is_there(to: &MemoryStorage, report: &Report, number: u32) {
    let place = Location::from(shared(to));
    let found = verify(report.manifest.as_ref().unwrap(), &place, VerifyDepth::Full).await.unwrap();
    assert!(found.problems.is_empty(), "night {number}: {:?}", found.problems);
}

/// What holds after a quiet night.
async fn look(world: &World, from: &MemoryStorage, to: &MemoryStorage, report: &Report, number: u32) {
    assert_eq!(report.status, Status::Complete, "night {number}: {:?}", report.failures);
    let (ours, mut theirs) = (contents(from), contents(to));
    if !world.mirror {
        theirs.retain(|name, _| ours.contains_key(name));
    }
    let names = |all: &BTreeMap<String, _>| all.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&ours), names(&theirs), "night {number}");
    assert!(ours == theirs, "night {number}: the bytes differ");
    for name in names(&contents(to)).iter().chain(&names(&ours)) {
        let open: Vec<_> = to.multipart().unwrap().list_uploads(&key(name)).try_collect().await.unwrap();
        assert!(open.is_empty(), "night {number}: uploads of {name} are left over");
    }
    assert_eq!(report.objects + report.unchanged, ours.len() as u64, "night {number}: {report:?}");
    let found =
        verify(report.manifest.as_ref().unwrap(), &Location::from(shared(to)), VerifyDepth::Full).await.unwrap();
    assert!(found.problems.is_empty() && found.objects == ours.len() as u64, "night {number}: {:?}", found.problems);
}

/// Where files cost nothing.
fn shared_memory() -> std::path::PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
}

/// Panics with the seed of the first world in which something did not hold.
#[test]
fn after_each_quiet_night_the_destination_is_the_source() {
    let (first, count) = (setting("LEPTON_TEST_SEED", 1), setting("LEPTON_TEST_SEEDS", SEEDS));
    let (next, quiet) = (Mutex::new(first), Mutex::new(0));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = {
                        let mut next = next.lock().unwrap();
                        *next += 1;
                        *next - 1
                    };
                    if seed >= first + count {
                        return;
                    }
                    let nights = std::panic::catch_unwind(|| world(seed));
                    assert!(nights.is_ok(), "LEPTON_TEST_SEED={seed} LEPTON_TEST_SEEDS=1: {:?}", World::new(seed));
                    *quiet.lock().unwrap() += nights.unwrap();
                }
            });
        }
    });
    println!("{count} worlds, {} quiet nights of {}", quiet.into_inner().unwrap(), count * u64::from(NIGHTS));
}
