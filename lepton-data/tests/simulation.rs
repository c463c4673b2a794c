//! The engine in thousands of worlds: stores in memory, time, threads and chance
//! that only the seed decides, faults at every call, and deaths. After each, what
//! always has to hold is looked at.
//!
//! `LEPTON_TEST_SEED` is the first seed, `LEPTON_TEST_SEEDS` how many there are. The
//! seed of a failure is printed and repeats it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "test")]

mod support;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{FutureExt as _, TryStreamExt as _};
use lepton_core::{
    Capabilities, CreateUploadOptions, ErrorKind, Location, MemoryStorage, ObjectKey, RetryClass, Storage as _,
    StorageExt as _, Support, Upload,
};
use lepton_data::{ExistingPolicy, ManifestReader, Report, Status, VerifyDepth, verify};
use support::faulty::{Fault, Faulty};
use support::histories::histories;
use support::simulated::{Random, Simulated, runtime};
use support::*;

const SEEDS: u64 = 2000;

/// How many lives a transfer gets before it has to come to its end.
const LIVES: u32 = 6;

/// What the seed decides before anything happens.
#[derive(Debug, Clone)]
struct World {
    seed: u64,
    /// Faults among a hundred calls, at each side.
    faults: [u64; 2],
    mirror: bool,
    copies: bool,
    /// Both sides keep versions, and all of them are moved.
    versions: bool,
    existing: ExistingPolicy,
    conditional: bool,
    concurrency: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let versions = random.chance(25);
        Self {
            seed,
            versions,
            faults: [random.below(12), random.below(12)],
            mirror: random.chance(40) && !versions,
            copies: random.chance(20),
            existing: [ExistingPolicy::Overwrite, ExistingPolicy::IfDifferent][usize::from(random.chance(50))],
            conditional: random.chance(70),
            concurrency: 1 + usize::try_from(random.below(8)).unwrap(),
        }
    }

    /// A store of the destination's side, strong or weak.
    fn destination(&self, env: &Arc<Simulated>) -> MemoryStorage {
        let mut capabilities = Capabilities::everything("store");
        if !self.conditional {
            for support in [
                &mut capabilities.put_if_absent,
                &mut capabilities.put_if_match,
                &mut capabilities.conditional_complete,
                &mut capabilities.conditional_delete,
            ] {
                *support = Support::Unsupported;
            }
        }
        MemoryStorage::builder().capabilities(capabilities).versioned(self.versions).runtime(env.clone()).build()
    }

    /// What happens at one side in one life. The last life is a quiet one.
    fn script(&self, side: usize, life: u32) -> impl FnMut(&str, &ObjectKey) -> Option<Fault> + Send + 'static {
        let mut random = Random::new(self.seed ^ (u64::from(life) << 32) ^ ((side as u64) << 48));
        let share = if life + 1 < LIVES { self.faults[side] } else { 0 };
        let mut until_death = (life + 1 < LIVES && random.chance(60)).then(|| random.below(60));
        move |call, _| {
            if let Some(left) = &mut until_death {
                if *left == 0 {
                    return Some(Fault::Die { after: random.chance(50) });
                }
                *left -= 1;
            }
            random.chance(share).then(|| fault(call, &mut random))
        }
    }
}

fn fault(call: &str, random: &mut Random) -> Fault {
    let passing = [ErrorKind::Throttled, ErrorKind::Network, ErrorKind::Unavailable, ErrorKind::Timeout];
    let kind = passing[usize::try_from(random.below(4)).unwrap()];
    match random.below(7) {
        0 | 1 => Fault::Fail(kind, RetryClass::Now),
        2 => Fault::Fail(kind, RetryClass::After(Duration::from_secs(random.below(90)))),
        3 => Fault::Slow(random.below(30_000)),
        4 if call == "get" => Fault::Cut,
        5 => Fault::LoseRequest,
        _ => Fault::LoseReply,
    }
}

async fn fill_random(store: &MemoryStorage, random: &mut Random, names: &str) {
    for i in 0..1 + random.below(8) {
        let len = usize::try_from(random.below(3000)).unwrap();
        store.write(&key(&format!("{names}/{i}")), bytes(random.next(), len)).await.unwrap();
    }
    if random.chance(35) {
        let len = MIB + usize::try_from(random.below(2 * MIB as u64)).unwrap();
        store.write(&key(&format!("{names}/large")), bytes(random.next(), len)).await.unwrap();
    }
}

/// Versions and delete markers, some in a row of the same bytes.
async fn fill_histories(store: &MemoryStorage, random: &mut Random) {
    for i in 0..1 + random.below(5) {
        let name = key(&format!("objects/{i} ü%41"));
        let mut last = bytes(i, 1);
        for _ in 0..1 + random.below(5) {
            match random.below(10) {
                0..3 => store.remove(&name).await.unwrap(),
                3..5 => drop(store.write(&name, last.clone()).await.unwrap()),
                5 => {
                    last = bytes(0, 0);
                    store.write(&name, last.clone()).await.unwrap();
                }
                drawn => {
                    let least = if drawn == 9 { MIB } else { 0 };
                    last = bytes(random.next(), least + usize::try_from(random.below(3000)).unwrap());
                    store.write(&name, last.clone()).await.unwrap();
                }
            }
        }
    }
}

/// One life of the process: to its end, or to its death.
fn life(world: &World, env: &Arc<Simulated>, [from, to]: &[Faulty; 2], folder: &Path, number: u32) -> Option<Report> {
    let runtime = runtime();
    runtime.block_on(async {
        // An empty upload that is begun at the same time cannot be told from ours.
        env.begin_life(Duration::from_secs(300));
        let builder = transfer(Arc::new(from.clone()), Arc::new(to.clone())).runtime(env.clone()).journal(folder);
        let builder = builder.existing(world.existing).delete(world.mirror).max_delete_percent(100);
        let builder = builder.server_copy(world.copies).concurrency(world.concurrency.try_into().unwrap());
        let builder = builder.versions(world.versions);
        let run = builder.build().unwrap().run();
        tokio::select! {
            biased;
            () = from.died() => None,
            () = to.died() => None,
            report = run => match report {
                Ok(report) if report.status == Status::Complete => Some(report),
                // Too many faults for so many attempts: the next life goes on.
                Ok(report) => {
                    assert!(!report.failures.is_empty(), "incomplete without a failure");
                    report.failures.iter().for_each(|failure| assert_exhausted(&failure.error));
                    None
                }
                Err(error) => {
                    assert!(number + 1 < LIVES, "the quiet life failed: {}", error.full_message());
                    assert_exhausted(&error.full_message());
                    None
                }
            },
        }
    })
}

/// Every fault passes, so that nothing may fail before it was tried as often as allowed.
fn assert_exhausted(error: &str) {
    assert!(error.contains("attempts=8"), "given up too early: {error}");
}

/// Plays a world to its end and looks at it; tells every call that was made.
fn world(seed: u64) -> Vec<String> {
    let world = World::new(seed);
    let mut random = Random::new(!seed);
    let env = Simulated::new(seed);
    let from = MemoryStorage::builder().versioned(world.versions).runtime(env.clone()).build();
    let to = world.destination(&env);
    let folder = tempfile::tempdir_in(shared_memory()).unwrap();
    let stranger = runtime().block_on(async {
        env.begin_life(Duration::ZERO);
        if world.versions {
            fill_histories(&from, &mut random).await;
        } else {
            fill_random(&from, &mut random, "objects").await;
            fill_random(&to, &mut random, "objects").await;
        }
        fill_random(&to, &mut random, "extra").await;
        to.multipart().unwrap().create(&key("objects/large"), CreateUploadOptions::new()).await.unwrap()
    });
    let before = names(&to);
    let mut calls = Vec::new();
    let report = (0..LIVES).find_map(|number| {
        let side = |store: &MemoryStorage, side| {
            let faulty = Faulty::new(store, world.script(side, number));
            if world.copies { faulty.copying() } else { faulty }
        };
        let sides = [side(&from, 0), side(&to, 1)];
        let report = life(&world, &env, &sides, folder.path(), number);
        sides.iter().for_each(|side| calls.extend(side.calls()));
        report
    });
    let report = report.expect("no life came to its end");
    runtime().block_on(look(&world, &from, &to, &before, &stranger, &report));
    calls
}

fn names(store: &MemoryStorage) -> Vec<String> {
    list(store).now_or_never().unwrap().iter().map(|meta| meta.key.as_str().unwrap().to_owned()).collect()
}

/// What always holds.
async fn look(
    world: &World,
    from: &MemoryStorage,
    to: &MemoryStorage,
    before: &[String],
    stranger: &Upload,
    report: &Report,
) {
    let wanted = names(from);
    for name in &wanted {
        let (ours, theirs) = (from.read(&key(name), 1 << 30).await.unwrap(), to.read(&key(name), 1 << 30).await);
        assert!(theirs.is_ok_and(|theirs| theirs == ours), "{name} is not what the source has");
    }
    let extra: Vec<_> = names(to).into_iter().filter(|name| !wanted.contains(name)).collect();
    let expected = before.iter().filter(|name| !wanted.contains(name) && !world.mirror).cloned().collect::<Vec<_>>();
    assert_eq!(extra, expected, "what only the destination has");
    for name in before.iter().chain(&wanted) {
        let open: Vec<_> = to.multipart().unwrap().list_uploads(&key(name)).try_collect().await.unwrap();
        let ours = open.iter().filter(|info| info.upload != *stranger).count();
        assert_eq!(ours, 0, "uploads of {name} are left over: {open:?}");
    }
    let left = to.multipart().unwrap().list_uploads(&stranger.key).try_collect::<Vec<_>>().await.unwrap();
    assert_eq!(left.len(), 1, "somebody else's upload was not left alone");
    let mut moved = wanted.len() as u64;
    if world.versions {
        let mut theirs = histories(to).await;
        theirs.retain(|(name, _)| !before.contains(name));
        let ours = histories(from).await;
        assert!(ours == theirs, "the histories are not the same: {ours:?} and {theirs:?}");
        moved = ours.iter().map(|(_, versions)| versions.len() as u64).sum();
    }
    let counted = report.objects + report.unchanged;
    assert_eq!(counted, moved, "objects that were told: {report:?}");
    let entries = ManifestReader::open(report.manifest.as_ref().unwrap()).unwrap().map(Result::unwrap);
    let copied: u64 = entries.filter(|entry| entry.unchanged.is_none()).map(|entry| entry.size).sum();
    assert_eq!(report.bytes, copied, "bytes that were told: {report:?}");
    let place = Location::from(shared(to));
    let found = verify(report.manifest.as_ref().unwrap(), &place, VerifyDepth::Full).await.unwrap();
    assert!(found.problems.is_empty() && found.objects == moved, "{:?}", found.problems);
}

/// Where files cost nothing.
fn shared_memory() -> std::path::PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
}

/// Without this no failure could be repeated.
#[test]
fn a_seed_decides_every_call() {
    for seed in 1..30 {
        assert_eq!(world(seed), world(seed), "{:?}", World::new(seed));
    }
}

/// Panics with the seed of the first world in which something did not hold.
#[test]
fn what_always_holds_holds_in_every_world() {
    let (first, count) = (setting("LEPTON_TEST_SEED", 1), setting("LEPTON_TEST_SEEDS", SEEDS));
    let next = Mutex::new(first);
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
                    let held = std::panic::catch_unwind(|| drop(world(seed)));
                    assert!(held.is_ok(), "LEPTON_TEST_SEED={seed} LEPTON_TEST_SEEDS=1: {:?}", World::new(seed));
                }
            });
        }
    });
}
