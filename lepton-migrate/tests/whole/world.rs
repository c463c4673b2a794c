//! Both sides in memory, the route between them, and users who write.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_core::future::BoxFuture;
use lepton_core::data_set::Side;
use lepton_core::deployment::{MemoryDeployment, WorkloadSpec};
use lepton_core::layer::{Layer, Operation, layered};
use lepton_core::traffic::{HoldLimits, MemoryTraffic, Sent, Traffic as _};
use lepton_core::{
    Body, Error, ErrorKind, MemoryStorage, ObjectKey, PutOptions, Result, RuntimeExt as _, SharedRuntime,
    SharedStorage, Storage as _, StorageExt as _, SystemRuntime,
};
use lepton_migrate::{AcceptanceTest, Migration, MigrationBuilder, ObjectSet, StoreQuiesce, Workload};

/// The policy of a store: the application may write, or not.
#[derive(Debug, Clone, Default)]
pub(crate) struct Policy(pub(crate) Arc<AtomicBool>);

impl Layer for Policy {
    type Held = ();

    fn keeps_bytes(&self) -> bool {
        true
    }

    async fn call<'a, T: Send + 'a>(
        &'a self,
        operation: Operation,
        mut request: impl FnMut() -> BoxFuture<'a, Result<T>> + Send + 'a,
    ) -> Result<(T, ())> {
        let writes = matches!(operation.name, "put" | "delete" | "create_upload" | "upload_part" | "complete_upload");
        if writes && self.0.load(SeqCst) {
            return Err(Error::new(ErrorKind::PermissionDenied, "the policy denies writes"));
        }
        Ok((request().await?, ()))
    }
}

/// Both sides, the route and the users.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) env: SharedRuntime,
    pub(crate) stores: [MemoryStorage; 2],
    pub(crate) policies: [Policy; 2],
    pub(crate) traffic: MemoryTraffic,
    pub(crate) deployment: MemoryDeployment,
    /// Every write that was acknowledged: the last value of each key, `None` where it was deleted.
    pub(crate) acknowledged: Arc<Mutex<BTreeMap<String, Option<u64>>>>,
}

impl World {
    pub(crate) async fn new() -> Self {
        let env = SystemRuntime::shared();
        let world = Self {
            stores: [MemoryStorage::new(), MemoryStorage::new()],
            policies: Default::default(),
            traffic: MemoryTraffic::new(env.clone()),
            deployment: MemoryDeployment::new(env.clone()),
            acknowledged: Arc::default(),
            env,
        };
        // Before the switch side B's application may not write.
        world.policies[1].0.store(true, SeqCst);
        for number in 0..40 {
            world.write(number, 0).await;
        }
        world
    }

    /// The store with the application's credentials.
    pub(crate) fn application(&self, side: Side) -> SharedStorage {
        layered(Arc::new(self.stores[side as usize].clone()), self.policies[side as usize].clone())
    }

    /// A write of a user; it is acknowledged or it has failed.
    pub(crate) async fn write(&self, number: u64, value: u64) {
        let side = match self.traffic.send(true) {
            Sent::To(side) => side,
            Sent::Refused => return,
            Sent::Held => loop {
                let route = self.traffic.get().await.unwrap();
                if route.hold.is_none() {
                    break route.owner;
                }
                self.env.sleep(Duration::from_millis(1)).await;
            },
        };
        let (name, store) = (format!("k{number}"), self.application(side));
        let key = ObjectKey::try_from(name.as_str()).unwrap();
        // Values have one length, so that neither time nor size tells them apart.
        let deletes = value % 7 == 6;
        let done = if deletes {
            store.remove(&key).await.map(drop)
        } else {
            let body = Body::from(format!("{value:020}").into_bytes());
            store.put(&key, body, PutOptions::new()).await.map(drop)
        };
        if done.is_ok() {
            self.acknowledged.lock().unwrap().insert(name, (!deletes).then_some(value));
        }
    }

    /// Writes without an end: one user for each of the keys, so that the order is known.
    pub(crate) fn users(&self) -> (Arc<AtomicBool>, Vec<lepton_core::Task<()>>) {
        let stop = Arc::new(AtomicBool::new(false));
        let tasks = (0..4).map(|user| {
            let (world, stop) = (self.clone(), Arc::clone(&stop));
            self.env.spawn_task(async move {
                let mut value = 1;
                while !stop.load(SeqCst) {
                    world.write(user * 10 + value % 10, value).await;
                    value += 1;
                    world.env.sleep(Duration::from_millis(2)).await;
                }
            })
        });
        let tasks = tasks.collect();
        (stop, tasks)
    }

    /// Whether a side accepts the application's writes.
    pub(crate) fn accepts(&self, side: Side) -> bool {
        !self.policies[side as usize].0.load(SeqCst)
    }

    /// The data set, with its journals in this folder.
    pub(crate) fn objects(&self, folder: &Path) -> ObjectSet {
        let policies = self.policies.clone();
        let switch = move |side: Side, deny, _| {
            policies[side as usize].0.store(deny, SeqCst);
            async { Ok(()) }
        };
        let quiesce = StoreQuiesce::new(switch, self.application(Side::A), self.application(Side::B));
        let store = |side: Side| -> SharedStorage { Arc::new(self.stores[side as usize].clone()) };
        let mut settings = lepton_data::TransferConfig::default();
        settings.max_delete_percent = 100;
        let objects = ObjectSet::builder("objects", store(Side::A), store(Side::B), folder.join("objects"), quiesce);
        objects.pause(Duration::from_millis(20)).config(settings).build().unwrap()
    }

    pub(crate) fn migration(&self, folder: &Path) -> MigrationBuilder {
        let spec = WorkloadSpec::of_command("shop", ["/usr/bin/shop"]);
        let workload = Workload::new(Arc::new(self.deployment.clone()), spec);
        let mut limits = HoldLimits::default();
        limits.silence = Duration::from_secs(5);
        Migration::builder("shop", folder.join("migration"), Arc::new(self.traffic.clone()))
            .data_set(self.objects(folder))
            .workload(workload)
            .test(Reads(self.clone()))
            .hold(limits)
    }

    /// The journal of a driver that was dropped is unlocked when its last write has returned.
    pub(crate) async fn reopened(&self, folder: &Path) -> Migration {
        loop {
            match self.migration(folder).open().await {
                Err(error) if error.kind() == ErrorKind::Locked => self.env.sleep(Duration::from_millis(1)).await,
                opened => return opened.unwrap(),
            }
        }
    }

    pub(crate) async fn check(&self, owner: Side) {
        let store = &self.stores[owner as usize];
        let expected = self.acknowledged.lock().unwrap().clone();
        for (name, value) in &expected {
            let found = store.read(&ObjectKey::try_from(name.as_str()).unwrap(), 100).await;
            let found = found.ok().map(|bytes| String::from_utf8_lossy(&bytes).parse::<u64>().unwrap());
            assert_eq!(found, *value, "{name} at side {owner}");
        }
        let listed = store.list(lepton_core::ListRequest::new());
        let listed: Vec<_> = futures_util::TryStreamExt::try_collect(listed).await.unwrap();
        let kept = listed.iter().map(|page: &lepton_core::ListPage| page.objects.len()).sum::<usize>();
        assert_eq!(kept, expected.values().flatten().count(), "objects at side {owner}");
    }
}

/// Side B answers with what side A had.
#[derive(Clone)]
pub(crate) struct Reads(pub(crate) World);

impl std::fmt::Debug for Reads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reads")
    }
}

#[async_trait::async_trait]
impl AcceptanceTest for Reads {
    fn name(&self) -> &'static str {
        "side B reads"
    }

    async fn run(&self) -> Result<()> {
        let listed = self.0.stores[1].list(lepton_core::ListRequest::new());
        let pages: Vec<lepton_core::ListPage> = futures_util::TryStreamExt::try_collect(listed).await?;
        let found = pages.iter().map(|page| page.objects.len()).sum::<usize>();
        if found == 0 { Err(Error::invalid_input("side B is empty")) } else { Ok(()) }
    }
}
